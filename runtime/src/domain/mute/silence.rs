//! Silences: a person mutes some alerts for a while.

use crate::domain::matcher::{Matcher, all_match};
use crate::domain::{Labels, UnixMillis};

#[derive(Debug, Clone, PartialEq)]
pub struct Silence {
    pub id: i64,
    /// All have to match; never empty.
    pub matchers: Vec<Matcher>,
    pub starts_ms: UnixMillis,
    /// The first moment at which it no longer holds.
    pub ends_ms: UnixMillis,
    pub author: String,
    pub comment: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SilenceState {
    Pending,
    Active,
    Expired,
}

impl SilenceState {
    pub fn as_str(self) -> &'static str {
        match self {
            SilenceState::Pending => "pending",
            SilenceState::Active => "active",
            SilenceState::Expired => "expired",
        }
    }
}

impl Silence {
    pub fn state(&self, now_ms: UnixMillis) -> SilenceState {
        match now_ms {
            now if now >= self.ends_ms => SilenceState::Expired,
            now if now < self.starts_ms => SilenceState::Pending,
            _ => SilenceState::Active,
        }
    }

    pub fn mutes(&self, labels: &Labels, now_ms: UnixMillis) -> bool {
        self.state(now_ms) == SilenceState::Active
            && !self.matchers.is_empty()
            && all_match(&self.matchers, labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silence(matchers: &[&str]) -> Silence {
        Silence {
            id: 1,
            matchers: matchers
                .iter()
                .map(|text| Matcher::parse(text).unwrap())
                .collect(),
            starts_ms: 1_000,
            ends_ms: 2_000,
            author: "ana".to_owned(),
            comment: "moving the database".to_owned(),
        }
    }

    #[test]
    fn mutes_what_matches_while_it_holds() {
        let shop = Labels::from([("service", "shop-api"), ("severity", "critical")]);
        for (matchers, now_ms, wanted) in [
            (&["service=shop-api"][..], 999, false),
            (&["service=shop-api"], 1_000, true),
            (&["service=shop-api"], 1_999, true),
            (&["service=shop-api"], 2_000, false),
            (&["service=shop-api", "severity=info"], 1_500, false),
            (&["service=~\"shop-.*\"", "severity!=info"], 1_500, true),
            (&[], 1_500, false),
        ] {
            assert_eq!(
                silence(matchers).mutes(&shop, now_ms),
                wanted,
                "{matchers:?} at {now_ms}"
            );
        }
    }
}

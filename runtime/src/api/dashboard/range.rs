//! The span of time that a page is about, as it stands in its address.

use crate::domain::{Tier, UnixMillis};

const MINUTE_MS: UnixMillis = 60_000;
const HOUR_MS: UnixMillis = 60 * MINUTE_MS;
const DAY_MS: UnixMillis = 24 * HOUR_MS;

/// Span that ends now. No chart of one has more than 366 points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Range {
    SixHours,
    #[default]
    Day,
    Week,
    Month,
    Quarter,
    Year,
}

impl Range {
    pub(super) const ALL: [Range; 6] = [
        Range::SixHours,
        Range::Day,
        Range::Week,
        Range::Month,
        Range::Quarter,
        Range::Year,
    ];

    /// The word in `?range=`; another word stands for a day.
    pub(super) fn parse(text: Option<&str>) -> Self {
        Self::ALL
            .into_iter()
            .find(|range| Some(range.word()) == text)
            .unwrap_or_default()
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Range::SixHours => "6h",
            Range::Day => "24h",
            Range::Week => "7d",
            Range::Month => "30d",
            Range::Quarter => "90d",
            Range::Year => "1y",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Range::SixHours => "6 hours",
            Range::Day => "24 hours",
            Range::Week => "7 days",
            Range::Month => "30 days",
            Range::Quarter => "90 days",
            Range::Year => "365 days",
        }
    }

    /// Interval as SQL writes it.
    pub(super) fn interval(self) -> &'static str {
        match self {
            Range::SixHours => "6 HOUR",
            Range::Day => "24 HOUR",
            Range::Week => "7 DAY",
            Range::Month => "30 DAY",
            Range::Quarter => "90 DAY",
            Range::Year => "365 DAY",
        }
    }

    fn length_ms(self) -> UnixMillis {
        match self {
            Range::SixHours => 6 * HOUR_MS,
            Range::Day => DAY_MS,
            Range::Week => 7 * DAY_MS,
            Range::Month => 30 * DAY_MS,
            Range::Quarter => 90 * DAY_MS,
            Range::Year => 365 * DAY_MS,
        }
    }

    /// The tier that it is read from, and the width of its slots.
    pub(super) fn slots(self) -> (Tier, UnixMillis) {
        match self {
            Range::SixHours | Range::Day => (Tier::FiveMinutes, 5 * MINUTE_MS),
            Range::Week => (Tier::FiveMinutes, 30 * MINUTE_MS),
            Range::Month => (Tier::Hour, 2 * HOUR_MS),
            Range::Quarter => (Tier::Hour, 6 * HOUR_MS),
            Range::Year => (Tier::Day, DAY_MS),
        }
    }

    /// The whole slots up to the one that `now_ms` lies in.
    pub(super) fn span(self, now_ms: UnixMillis) -> (UnixMillis, UnixMillis) {
        let (_, width_ms) = self.slots();
        let until_ms = now_ms.div_euclid(width_ms) * width_ms + width_ms;
        (until_ms - self.length_ms(), until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_of_whole_slots_and_few_of_them() {
        let now_ms = 1_795_419_803_120;
        for range in Range::ALL {
            let (_, width_ms) = range.slots();
            let (since_ms, until_ms) = range.span(now_ms);
            assert_eq!((since_ms % width_ms, until_ms % width_ms), (0, 0));
            assert!(since_ms < now_ms && now_ms < until_ms, "{range:?}");
            assert!((until_ms - since_ms) / width_ms <= 366, "{range:?}");
            assert_eq!(Range::parse(Some(range.word())), range);
        }
        assert_eq!(Range::parse(Some("forever")), Range::Day);
    }
}

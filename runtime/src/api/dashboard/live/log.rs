//! When each thing last changed, so that a dashboard that was away for a moment is sent what it
//! missed and no more.

use std::collections::HashMap;

use crate::api::dashboard::changes::Pending;
use crate::domain::now_ms;

/// A page that missed more rows than this is quicker loaded again.
const MAX_MISSED: usize = 400;

/// One number a service: it grows with the list of services only, and starts anew when that
/// changes.
pub(super) struct Log {
    sequence: u64,
    /// Pages from before know nothing of our numbers, or of the list of services as it is now.
    start: u64,
    services: HashMap<String, u64>,
    alerts: u64,
    plugins: u64,
}

#[derive(Debug, PartialEq)]
pub(super) enum Missed {
    Nothing,
    Some(u64, Pending),
    TooMuch(u64),
}

impl Log {
    /// Numbers start at the clock, so that they keep growing over a restart.
    pub(super) fn new() -> Self {
        let start = now_ms().unsigned_abs();
        Self {
            sequence: start,
            start,
            services: HashMap::new(),
            alerts: start,
            plugins: start,
        }
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Numbers a batch.
    pub(super) fn note(&mut self, pending: &Pending) -> u64 {
        self.sequence += 1;
        if pending.list {
            self.start = self.sequence;
            self.services.clear();
        }
        for slug in &pending.services {
            match self.services.get_mut(slug) {
                Some(sequence) => *sequence = self.sequence,
                None => drop(self.services.insert(slug.clone(), self.sequence)),
            }
        }
        if pending.alerts {
            self.alerts = self.sequence;
        }
        if pending.plugins {
            self.plugins = self.sequence;
        }
        self.sequence
    }

    pub(super) fn missed(&self, since: u64) -> Missed {
        if since == self.sequence {
            return Missed::Nothing;
        }
        if since < self.start || since > self.sequence {
            return Missed::TooMuch(self.sequence);
        }
        let missed = self
            .services
            .iter()
            .filter(|(_, sequence)| **sequence > since)
            .map(|(slug, _)| slug.clone());
        let pending = Pending {
            services: missed.take(MAX_MISSED + 1).collect(),
            list: false,
            alerts: self.alerts > since,
            plugins: self.plugins > since,
        };
        match pending.services.len() {
            0..=MAX_MISSED => Missed::Some(self.sequence, pending),
            _ => Missed::TooMuch(self.sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(slugs: &[&str]) -> Pending {
        Pending {
            services: slugs.iter().map(|slug| (*slug).to_owned()).collect(),
            ..Pending::default()
        }
    }

    #[test]
    fn tells_what_changed_since() {
        let mut log = Log::new();
        let start = log.sequence();
        let first = log.note(&services(&["a", "b"]));
        let second = log.note(&Pending {
            alerts: true,
            ..services(&["b"])
        });
        assert_eq!(log.missed(second), Missed::Nothing);
        assert_eq!(
            log.missed(first),
            Missed::Some(
                second,
                Pending {
                    alerts: true,
                    ..services(&["b"])
                }
            )
        );
        assert_eq!(
            log.missed(start),
            Missed::Some(
                second,
                Pending {
                    alerts: true,
                    ..services(&["a", "b"])
                }
            )
        );
    }

    #[test]
    fn a_page_from_before_loads_again() {
        let mut log = Log::new();
        let start = log.sequence();
        assert_eq!(
            log.missed(start - 1),
            Missed::TooMuch(start),
            "of an earlier process"
        );
        assert_eq!(
            log.missed(start + 1),
            Missed::TooMuch(start),
            "of a process whose clock was ahead"
        );
        let listed = log.note(&Pending {
            list: true,
            ..Pending::default()
        });
        assert_eq!(log.missed(start), Missed::TooMuch(listed));
        let many: Vec<String> = (0..=MAX_MISSED).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let last = log.note(&services(&many));
        assert_eq!(log.missed(listed), Missed::TooMuch(last));
    }
}

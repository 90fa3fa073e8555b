//! How each rule stands: its last verdict, and since when it has none. In memory only, for people
//! who ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{UnixMillis, Verdict};

#[derive(Debug, Clone, PartialEq)]
pub struct RuleStanding {
    /// None: not evaluated since the program started.
    pub evaluated_ms: Option<UnixMillis>,
    /// None: it could not be evaluated.
    pub verdict: Option<Verdict>,
    /// Why it could not.
    pub error: Option<String>,
    /// Since when it has said neither `ok` nor `breached`, once that is longer than its
    /// `noDataAfter`.
    pub no_data_since_ms: Option<UnixMillis>,
    pub is_flapping: bool,
    /// A person resolved its alert, and it has not been satisfied since.
    pub is_held: bool,
    /// Breaches that count for nothing until the probe's retries are over.
    pub is_retrying: bool,
}

impl RuleStanding {
    const UNKNOWN: RuleStanding = RuleStanding {
        evaluated_ms: None,
        verdict: None,
        error: None,
        no_data_since_ms: None,
        is_flapping: false,
        is_held: false,
        is_retrying: false,
    };
}

/// By the key of the rule. Cheap to clone: one board, many handles.
#[derive(Debug, Clone, Default)]
pub struct RuleStandings(Arc<Mutex<HashMap<String, RuleStanding>>>);

impl RuleStandings {
    pub fn get(&self, rule: &str) -> RuleStanding {
        self.lock()
            .get(rule)
            .cloned()
            .unwrap_or(RuleStanding::UNKNOWN)
    }

    /// Rules without any data at the moment.
    pub fn silent(&self) -> usize {
        self.lock()
            .values()
            .filter(|standing| standing.no_data_since_ms.is_some())
            .count()
    }

    pub(super) fn change(&self, rule: &str, change: impl FnOnce(&mut RuleStanding)) {
        let mut standings = self.lock();
        match standings.get_mut(rule) {
            Some(standing) => change(standing),
            None => change(
                standings
                    .entry(rule.to_owned())
                    .or_insert(RuleStanding::UNKNOWN),
            ),
        }
    }

    pub(super) fn forget(&self, rule: &str) {
        self.lock().remove(rule);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, RuleStanding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

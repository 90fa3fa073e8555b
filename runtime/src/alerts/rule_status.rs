//! [`RuleStatus`]: the last verdict of each rule, or since when it has none. In memory only, for
//! people who ask.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{UnixMillis, Verdict};

#[derive(Debug, Clone, PartialEq)]
pub struct RuleStatus {
    /// Moment of the last evaluation since the program started.
    pub evaluated_ms: Option<UnixMillis>,
    /// Last verdict; none: the rule could not be evaluated.
    pub verdict: Option<Verdict>,
    /// Error of the last evaluation.
    pub error: Option<String>,
    /// Moment of the last `ok` or `breached`, once that is longer ago than `noDataAfter`.
    pub no_data_since_ms: Option<UnixMillis>,
    pub is_flapping: bool,
    /// A person resolved its alert, and it has not been satisfied since.
    pub is_held: bool,
    /// Breaches that count for nothing until the probe's retries are over.
    pub is_retrying: bool,
}

impl RuleStatus {
    const UNKNOWN: RuleStatus = RuleStatus {
        evaluated_ms: None,
        verdict: None,
        error: None,
        no_data_since_ms: None,
        is_flapping: false,
        is_held: false,
        is_retrying: false,
    };
}

/// Statuses by the key of the rule. Cheap to clone: one table, many handles.
#[derive(Debug, Clone, Default)]
pub struct RuleStatuses(Arc<Mutex<HashMap<String, RuleStatus>>>);

impl RuleStatuses {
    pub fn get(&self, rule: &str) -> RuleStatus {
        self.lock()
            .get(rule)
            .cloned()
            .unwrap_or(RuleStatus::UNKNOWN)
    }

    /// Rules without any data at the moment.
    pub fn silent(&self) -> usize {
        self.lock()
            .values()
            .filter(|status| status.no_data_since_ms.is_some())
            .count()
    }

    pub(super) fn change(&self, rule: &str, change: impl FnOnce(&mut RuleStatus)) {
        let mut statuses = self.lock();
        match statuses.get_mut(rule) {
            Some(status) => change(status),
            None => change(
                statuses
                    .entry(rule.to_owned())
                    .or_insert(RuleStatus::UNKNOWN),
            ),
        }
    }

    pub(super) fn forget(&self, rule: &str) {
        self.lock().remove(rule);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, RuleStatus>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Changes of alerts that are not committed yet, in their order. A breach that could not be committed
//! is not forgotten because the next run is good: it is committed first, then its end.

use std::collections::{BTreeMap, VecDeque};

use crate::alerts::evaluator::Outcome;
use crate::domain::Verdict;

/// Changes of one rule that wait for the store. Beyond that, changes between the first and the last
/// are left out.
const MAX_PENDING: usize = 32;

pub(super) enum PendingChange {
    Outcome(Outcome),
    /// The rule is gone.
    Removed,
}

/// Pending changes by the key of the rule.
#[derive(Default)]
pub(super) struct PendingChanges(BTreeMap<String, VecDeque<PendingChange>>);

impl PendingChanges {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Returns the oldest change of a rule.
    pub(super) fn first(&self, key: &str) -> Option<&PendingChange> {
        self.0.get(key)?.front()
    }

    /// Returns the changes of a rule, oldest first.
    pub(super) fn of(&self, key: &str) -> std::collections::vec_deque::Iter<'_, PendingChange> {
        self.0
            .get(key)
            .map_or_else(Default::default, VecDeque::iter)
    }

    /// Removes the oldest change of a rule, which is done.
    pub(super) fn remove_first(&mut self, key: &str) {
        if let Some(waiting) = self.0.get_mut(key) {
            waiting.pop_front();
            if waiting.is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// Adds a change. Of equal ones in a row the first and the last are enough: since when, and how
    /// it is now.
    pub(super) fn push(&mut self, key: &str, pending: PendingChange) {
        let waiting = self.0.entry(key.to_owned()).or_default();
        let kind = kind(&pending);
        let is_third = waiting.len() >= 2
            && waiting
                .iter()
                .rev()
                .take(2)
                .all(|before| self::kind(before) == kind);
        if is_third {
            waiting.pop_back();
        } else if waiting.len() >= MAX_PENDING {
            waiting.remove(waiting.len() - 2);
        }
        waiting.push_back(pending);
    }

    /// Drops the changes of rules that are gone. `unruled`: rules of which an open alert or a memory
    /// is left, which is to be closed.
    pub(super) fn follow<'k>(
        &mut self,
        is_ruled: impl Fn(&str) -> bool,
        unruled: impl Iterator<Item = &'k String>,
    ) {
        self.0.retain(|key, waiting| {
            let is_ruled = is_ruled(key);
            waiting.retain(|pending| matches!(pending, PendingChange::Removed) != is_ruled);
            !waiting.is_empty()
        });
        for key in unruled.filter(|key| !is_ruled(key)) {
            self.0
                .insert(key.clone(), VecDeque::from([PendingChange::Removed]));
        }
    }
}

fn kind(pending: &PendingChange) -> u8 {
    match pending {
        PendingChange::Outcome(Outcome::Verdict {
            verdict: Verdict::Breached(_),
            ..
        }) => 0,
        PendingChange::Outcome(Outcome::Verdict { .. }) => 1,
        PendingChange::Outcome(Outcome::NoData { .. }) => 2,
        PendingChange::Removed => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Finding, UnixMillis};

    fn verdict(is_breach: bool, now_ms: UnixMillis) -> PendingChange {
        let finding = Finding::default();
        let verdict = if is_breach {
            Verdict::Breached(finding)
        } else {
            Verdict::Ok(finding)
        };
        PendingChange::Outcome(Outcome::Verdict { verdict, now_ms })
    }

    fn moments(pending: &mut PendingChanges) -> Vec<UnixMillis> {
        let mut moments = Vec::new();
        while let Some(PendingChange::Outcome(Outcome::Verdict { now_ms, .. })) = pending.first("a")
        {
            moments.push(*now_ms);
            pending.remove_first("a");
        }
        moments
    }

    #[test]
    fn verdicts_keep_their_order_and_rows_of_the_same_their_ends() {
        let mut pending = PendingChanges::default();
        for (now_ms, is_breach) in [true, true, true, true, false, false, false, true]
            .into_iter()
            .enumerate()
        {
            pending.push("a", verdict(is_breach, now_ms as i64));
        }
        assert_eq!(moments(&mut pending), [0, 3, 4, 6, 7]);
        assert!(pending.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_has_the_oldest_and_the_newest() {
        let mut pending = PendingChanges::default();
        (0..1_000).for_each(|now_ms| pending.push("a", verdict(now_ms % 2 == 0, now_ms)));
        let moments = moments(&mut pending);
        assert!(
            moments.len() <= MAX_PENDING && moments[0] == 0 && moments.last() == Some(&999),
            "{moments:?}"
        );
    }

    #[test]
    fn a_rule_that_is_gone_leaves_only_its_alert_to_be_closed() {
        let mut pending = PendingChanges::default();
        pending.push("a", verdict(true, 1));
        pending.push("b", verdict(true, 1));
        let open = ["b".to_owned()];
        pending.follow(|_| false, open.iter());
        assert!(pending.first("a").is_none());
        assert!(matches!(pending.first("b"), Some(PendingChange::Removed)));
        pending.follow(|key| key == "b", open.iter());
        assert!(pending.is_empty(), "it is back");
    }
}

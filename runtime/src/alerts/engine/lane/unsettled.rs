//! What still has to be made of alerts: verdicts that led to a transition which is not committed
//! yet, in their order. A breach that could not be committed is not forgotten because the next run
//! is good: it is committed first, then its end.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::{Finding, UnixMillis, Verdict};

/// Verdicts of one rule that wait for the store. What is beyond it leaves out verdicts between the
/// first and the last.
const MOST: usize = 32;

pub(super) enum Pending {
    Judged {
        verdict: Verdict,
        now_ms: UnixMillis,
    },
    /// It could not be judged for long.
    Silent {
        finding: Finding,
        now_ms: UnixMillis,
    },
    /// The rule is gone.
    Removed,
}

/// By the key of the rule.
#[derive(Default)]
pub(super) struct Unsettled(BTreeMap<String, VecDeque<Pending>>);

impl Unsettled {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The oldest of a rule.
    pub(super) fn first(&self, key: &str) -> Option<&Pending> {
        self.0.get(key)?.front()
    }

    /// Those of a rule, oldest first.
    pub(super) fn of(&self, key: &str) -> std::collections::vec_deque::Iter<'_, Pending> {
        self.0
            .get(key)
            .map_or_else(Default::default, VecDeque::iter)
    }

    /// The oldest of a rule is done with.
    pub(super) fn settle_first(&mut self, key: &str) {
        if let Some(waiting) = self.0.get_mut(key) {
            waiting.pop_front();
            if waiting.is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// Of a row of verdicts that say the same the first and the last are enough: since when, and
    /// how it is now.
    pub(super) fn push(&mut self, key: &str, pending: Pending) {
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
        } else if waiting.len() >= MOST {
            waiting.remove(waiting.len() - 2);
        }
        waiting.push_back(pending);
    }

    /// The rules are these now: what was judged of others counts no more, and what is kept of
    /// others, an open alert or a memory, is to be closed.
    pub(super) fn follow<'k>(
        &mut self,
        is_ruled: impl Fn(&str) -> bool,
        kept: impl Iterator<Item = &'k String>,
    ) {
        self.0.retain(|key, waiting| {
            let is_ruled = is_ruled(key);
            waiting.retain(|pending| matches!(pending, Pending::Removed) != is_ruled);
            !waiting.is_empty()
        });
        for key in kept.filter(|key| !is_ruled(key)) {
            self.0
                .insert(key.clone(), VecDeque::from([Pending::Removed]));
        }
    }
}

fn kind(pending: &Pending) -> u8 {
    match pending {
        Pending::Judged {
            verdict: Verdict::Breached(_),
            ..
        } => 0,
        Pending::Judged { .. } => 1,
        Pending::Silent { .. } => 2,
        Pending::Removed => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(is_breach: bool, now_ms: UnixMillis) -> Pending {
        let finding = Finding::default();
        let verdict = if is_breach {
            Verdict::Breached(finding)
        } else {
            Verdict::Ok(finding)
        };
        Pending::Judged { verdict, now_ms }
    }

    fn moments(unsettled: &mut Unsettled) -> Vec<UnixMillis> {
        let mut moments = Vec::new();
        while let Some(Pending::Judged { now_ms, .. }) = unsettled.first("a") {
            moments.push(*now_ms);
            unsettled.settle_first("a");
        }
        moments
    }

    #[test]
    fn verdicts_keep_their_order_and_rows_of_the_same_their_ends() {
        let mut unsettled = Unsettled::default();
        for (now_ms, is_breach) in [true, true, true, true, false, false, false, true]
            .into_iter()
            .enumerate()
        {
            unsettled.push("a", verdict(is_breach, now_ms as i64));
        }
        assert_eq!(moments(&mut unsettled), [0, 3, 4, 6, 7]);
        assert!(unsettled.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_has_the_oldest_and_the_newest() {
        let mut unsettled = Unsettled::default();
        (0..1_000).for_each(|now_ms| unsettled.push("a", verdict(now_ms % 2 == 0, now_ms)));
        let moments = moments(&mut unsettled);
        assert!(
            moments.len() <= MOST && moments[0] == 0 && moments.last() == Some(&999),
            "{moments:?}"
        );
    }

    #[test]
    fn a_rule_that_is_gone_leaves_only_its_alert_to_be_closed() {
        let mut unsettled = Unsettled::default();
        unsettled.push("a", verdict(true, 1));
        unsettled.push("b", verdict(true, 1));
        let open = ["b".to_owned()];
        unsettled.follow(|_| false, open.iter());
        assert!(unsettled.first("a").is_none());
        assert!(matches!(unsettled.first("b"), Some(Pending::Removed)));
        unsettled.follow(|key| key == "b", open.iter());
        assert!(unsettled.is_empty(), "it is back");
    }
}

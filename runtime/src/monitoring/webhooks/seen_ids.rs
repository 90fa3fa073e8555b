//! [`SeenIds`]: the last ids of one webhook's sender. A sender repeats a delivery for
//! some days at the most.

use std::collections::{HashMap, VecDeque};

use crate::domain::{ReceivedEvent, Status};

/// Ids remembered: a week at one event a minute, 320 KB.
pub(super) const MAX_IDS: usize = 10_000;

/// 128 bits of the id's sha256: short, and no two ids have the same.
type Key = u128;

/// The last verdict under an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Not known any more, and there were others after it.
    Past,
    /// Not known any more, but nothing came after it: it was the last of the service.
    Last,
    Was(Option<Status>),
}

#[derive(Debug, Default)]
pub(super) struct SeenIds {
    verdicts: HashMap<Key, Verdict>,
    /// Oldest first.
    order: VecDeque<Key>,
    is_whole: bool,
}

impl SeenIds {
    /// Newest first, as the store has them.
    pub(super) fn of(ids: Vec<String>) -> Self {
        let mut seen = Self {
            is_whole: true,
            ..Self::default()
        };
        let last = ids.first().map(|id| key(id));
        for id in ids.into_iter().rev() {
            seen.insert(key(&id), Verdict::Past);
        }
        if let Some(last) = last {
            seen.verdicts.insert(last, Verdict::Last);
        }
        seen
    }

    /// Knows what is stored; else it has to be read.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns the events that are not known. An event without an id is always new. One whose id is
    /// known and which reports another status of the service than the one before is new as well:
    /// many senders have one id for a problem and for its end. `latest` is the last status that was
    /// reported, under any id.
    pub(super) fn fresh(
        &self,
        events: Vec<ReceivedEvent>,
        latest: Option<Status>,
    ) -> Vec<ReceivedEvent> {
        let mut here: HashMap<Key, Verdict> = HashMap::new();
        let is_fresh = |event: &ReceivedEvent| {
            let Some(id) = &event.id else { return true };
            let key = key(id);
            let verdict = event.report.as_ref().map(|report| report.status);
            let is_fresh = match (here.get(&key).or(self.verdicts.get(&key)), verdict) {
                (None, _) => true,
                (Some(_), None) | (Some(Verdict::Past), _) => false,
                (Some(Verdict::Last), verdict) => verdict != latest,
                (Some(Verdict::Was(before)), verdict) => verdict != *before,
            };
            here.insert(key, Verdict::Was(verdict));
            is_fresh
        };
        events.into_iter().filter(is_fresh).collect()
    }

    pub(super) fn remember(&mut self, events: impl IntoIterator<Item = (String, Option<Status>)>) {
        for (id, verdict) in events {
            self.insert(key(&id), Verdict::Was(verdict));
        }
    }

    fn insert(&mut self, key: Key, verdict: Verdict) {
        if self.verdicts.insert(key, verdict).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MAX_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.verdicts.remove(&oldest);
        }
    }
}

fn key(id: &str) -> Key {
    use sha2::{Digest, Sha256};
    let mut key = [0; 16];
    key.copy_from_slice(&Sha256::digest(id.as_bytes())[..16]);
    Key::from_le_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Report;

    fn event(id: Option<&str>) -> ReceivedEvent {
        ReceivedEvent {
            id: id.map(str::to_owned),
            kind: "k".into(),
            ts_ms: None,
            summary: "s".into(),
            payload: "{}".into(),
            attributes: Vec::new(),
            report: None,
        }
    }

    #[test]
    fn an_id_is_new_once() {
        let mut seen = SeenIds::of(vec!["b".into(), "a".into()]);
        let fresh = |seen: &SeenIds, ids: &[Option<&str>]| {
            let events = seen.fresh(ids.iter().copied().map(event).collect(), None);
            events.into_iter().map(|event| event.id).collect::<Vec<_>>()
        };
        let some = |id: &str| Some(id.to_owned());
        assert_eq!(
            fresh(&seen, &[Some("a"), Some("c"), Some("c"), None, None]),
            [some("c"), None, None]
        );
        seen.remember([("c".to_owned(), None)]);
        assert_eq!(fresh(&seen, &[Some("c"), Some("d")]), [some("d")]);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut seen = SeenIds::of(
            (0..MAX_IDS)
                .rev()
                .map(|number| number.to_string())
                .collect(),
        );
        seen.remember([("new".to_owned(), None), ("new".to_owned(), None)]);
        assert_eq!((seen.verdicts.len(), seen.order.len()), (MAX_IDS, MAX_IDS));
        assert_eq!(
            seen.fresh(
                vec![event(Some("0")), event(Some("1")), event(Some("new"))],
                None
            )
            .len(),
            1
        );
    }

    #[test]
    fn an_id_with_another_verdict_is_new() {
        use Status::{Healthy, Unhealthy};
        let said = |id: &str, status| {
            let report = Report {
                status,
                failure: None,
                metrics: Vec::new(),
            };
            ReceivedEvent {
                report: Some(report),
                ..event(Some(id))
            }
        };
        let mut seen = SeenIds::of(vec!["old".into(), "older".into()]);
        let delivery = vec![
            said("a", Unhealthy),
            said("a", Unhealthy),
            said("a", Healthy),
            said("b", Unhealthy),
        ];
        let fresh = seen.fresh(delivery, None);
        assert_eq!(fresh.len(), 3);
        seen.remember([("a".to_owned(), Some(Healthy))]);
        assert_eq!(
            seen.fresh(vec![said("a", Healthy), event(Some("a"))], Some(Unhealthy))
                .len(),
            0,
            "repeated"
        );
        assert_eq!(
            seen.fresh(vec![said("a", Unhealthy)], Some(Unhealthy))
                .len(),
            1,
            "again"
        );
        // After a start, what the service said last decides.
        assert_eq!(
            seen.fresh(vec![said("old", Unhealthy)], Some(Unhealthy))
                .len(),
            0
        );
        assert_eq!(
            seen.fresh(vec![said("old", Healthy)], Some(Unhealthy))
                .len(),
            1
        );
        assert_eq!(
            seen.fresh(vec![said("older", Unhealthy)], Some(Healthy))
                .len(),
            0
        );
    }
}

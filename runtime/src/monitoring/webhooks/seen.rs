//! Which of a sender's ids are known: the last ones of one webhook. A sender repeats a delivery for some days at the most.

use std::collections::{HashSet, VecDeque};

use crate::domain::ReceivedEvent;

/// Ids remembered: a week at one event a minute, 320 KB.
pub(super) const IDS: usize = 10_000;

/// 128 bits of the id's sha256: short, and nobody finds two ids with the same.
type Key = u128;

#[derive(Debug, Default)]
pub(super) struct Seen {
    keys: HashSet<Key>,
    /// Oldest first.
    order: VecDeque<Key>,
    is_whole: bool,
}

impl Seen {
    /// Newest first, as the store has them.
    pub(super) fn of(ids: Vec<String>) -> Self {
        let mut seen = Self { is_whole: true, ..Self::default() };
        seen.remember(ids.into_iter().rev());
        seen
    }

    /// Knows what is stored; else it has to be read.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Those not known, the first of each id. An event without an id is always new.
    pub(super) fn fresh(&self, events: Vec<ReceivedEvent>) -> Vec<ReceivedEvent> {
        let mut here = HashSet::new();
        let is_fresh = |event: &ReceivedEvent| match &event.id {
            Some(id) => !self.keys.contains(&key(id)) && here.insert(key(id)),
            None => true,
        };
        events.into_iter().filter(is_fresh).collect()
    }

    pub(super) fn remember(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            if self.keys.insert(key(&id)) {
                self.order.push_back(key(&id));
            }
            if self.order.len() > IDS
                && let Some(oldest) = self.order.pop_front()
            {
                self.keys.remove(&oldest);
            }
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
        let mut seen = Seen::of(vec!["b".into(), "a".into()]);
        let fresh = |seen: &Seen, ids: &[Option<&str>]| {
            let events = seen.fresh(ids.iter().copied().map(event).collect());
            events.into_iter().map(|event| event.id).collect::<Vec<_>>()
        };
        let some = |id: &str| Some(id.to_owned());
        assert_eq!(fresh(&seen, &[Some("a"), Some("c"), Some("c"), None, None]), [some("c"), None, None]);
        seen.remember(["c".to_owned()]);
        assert_eq!(fresh(&seen, &[Some("c"), Some("d")]), [some("d")]);
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let mut seen = Seen::of((0..IDS).rev().map(|number| number.to_string()).collect());
        seen.remember(["new".to_owned(), "new".to_owned()]);
        assert_eq!((seen.keys.len(), seen.order.len()), (IDS, IDS));
        assert_eq!(seen.fresh(vec![event(Some("0")), event(Some("1")), event(Some("new"))]).len(), 1);
    }
}

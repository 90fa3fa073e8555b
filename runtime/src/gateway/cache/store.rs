//! Kept answers of one service within a number of bytes and of entries: those used least recently
//! make room.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

use http::HeaderMap;

use super::stored::{Head, Stored};

/// Answers of one address for one owner that differ by what they depend on.
const MAX_VARIANTS: usize = 16;
/// Memory of an entry beside its answer.
const OF_EACH: usize = 256;
/// Counters that the addresses share: two of one counter only lose what could have been kept.
const GENERATIONS: usize = 1024;

/// Where an answer belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Consumer whose it is; 0: everybody's.
    pub(super) owner: i64,
    /// Path and query as they were sent.
    pub(super) target: Arc<str>,
}

#[derive(Debug)]
pub(super) struct Store {
    by_target: HashMap<Arc<str>, Vec<Slot>>,
    /// Number of times that addresses were cleared, by their hash.
    generations: Box<[u64]>,
    /// Addresses by the moments at which an answer of theirs was used.
    by_use: BTreeMap<u64, Arc<str>>,
    next_use: u64,
    bytes: usize,
    /// Bytes of answers that are still coming.
    coming: usize,
    max_bytes: usize,
    max_entries: usize,
}

#[derive(Debug)]
struct Slot {
    owner: i64,
    used: u64,
    bytes: usize,
    stored: Arc<Stored>,
}

/// Result of a look-up.
#[derive(Debug)]
pub(super) enum Found {
    /// No answer of this address.
    Nothing,
    /// Answers to other requests only.
    Others,
    Stored(Arc<Stored>),
}

impl Store {
    pub(super) fn new(max_bytes: usize, max_entries: usize) -> Self {
        Self {
            by_target: HashMap::new(),
            generations: vec![0; GENERATIONS].into_boxed_slice(),
            by_use: BTreeMap::new(),
            next_use: 0,
            bytes: 0,
            coming: 0,
            max_bytes,
            max_entries,
        }
    }

    /// Looks for the newest answer that a request selects, and counts that as a use.
    pub(super) fn find(&mut self, key: &Key, request: &HeaderMap) -> Found {
        let Some(slots) = self.by_target.get_mut(&key.target) else {
            return Found::Nothing;
        };
        let mut found = Found::Nothing;
        let mut newest: Option<&mut Slot> = None;
        for slot in slots.iter_mut().filter(|slot| slot.owner == key.owner) {
            found = Found::Others;
            let came = slot.stored.head.came();
            let is_newer = newest
                .as_ref()
                .is_none_or(|known| known.stored.head.came() < came);
            if is_newer && slot.stored.head.is_selected_by(request) {
                newest = Some(slot);
            }
        }
        let Some(slot) = newest else {
            return found;
        };
        self.by_use.remove(&slot.used);
        slot.used = self.next_use;
        self.by_use.insert(slot.used, key.target.clone());
        self.next_use += 1;
        Found::Stored(slot.stored.clone())
    }

    /// Returns the generation of an address, which ends when it is cleared.
    pub(super) fn generation(&self, target: &str) -> u64 {
        self.generations[self.counter(target)]
    }

    fn counter(&self, target: &str) -> usize {
        (self.by_target.hasher().hash_one(target) % GENERATIONS as u64) as usize
    }

    /// Keeps an answer, in the place of the one to the same request. One that was asked for in an
    /// earlier generation may show what has been changed since.
    pub(super) fn insert(&mut self, key: &Key, generation: u64, stored: Arc<Stored>) {
        if generation != self.generation(&key.target) {
            return;
        }
        let bytes = stored.bytes() + key.target.len() + OF_EACH;
        self.remove_like(key, &stored.head);
        if bytes > self.max_bytes {
            return;
        }
        let used = self.next_use;
        self.next_use += 1;
        self.by_use.insert(used, key.target.clone());
        self.bytes += bytes;
        let slots = self.by_target.entry(key.target.clone()).or_default();
        slots.push(Slot {
            owner: key.owner,
            used,
            bytes,
            stored,
        });
        let variants = slots.iter().filter(|slot| slot.owner == key.owner);
        if variants.clone().count() > MAX_VARIANTS
            && let Some(oldest) = variants.map(|slot| slot.used).min()
        {
            self.remove(&key.target, |slot| slot.used == oldest);
        }
        self.make_room();
    }

    pub(super) fn remove_like(&mut self, key: &Key, head: &Head) {
        self.remove(&key.target, |slot| {
            slot.owner == key.owner && slot.stored.head.selects_like(head)
        });
    }

    /// Forgets the answers to a request that its newer answer has shown to be outdated.
    pub(super) fn remove_outdated(
        &mut self,
        key: &Key,
        request: &HeaderMap,
        is_outdated: impl Fn(&Head) -> bool,
    ) {
        self.remove(&key.target, |slot| {
            let head = &slot.stored.head;
            slot.owner == key.owner && head.is_selected_by(request) && is_outdated(head)
        });
    }

    /// Forgets all answers of an address, whose they are, and those that are under way.
    pub(super) fn clear_target(&mut self, target: &str) {
        let counter = self.counter(target);
        self.generations[counter] += 1;
        self.remove(target, |_| true);
    }

    /// Takes room for bytes that are coming, if there can be so much.
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        if self.coming + bytes > self.max_bytes {
            return false;
        }
        self.coming += bytes;
        self.make_room();
        true
    }

    pub(super) fn give_back(&mut self, bytes: usize) {
        self.coming = self.coming.saturating_sub(bytes);
    }

    fn make_room(&mut self) {
        while self.bytes + self.coming > self.max_bytes || self.by_use.len() > self.max_entries {
            let Some((used, target)) = self.by_use.pop_first() else {
                return;
            };
            self.remove(&target, |slot| slot.used == used);
        }
    }

    fn remove(&mut self, target: &str, is_gone: impl Fn(&Slot) -> bool) {
        let Some(slots) = self.by_target.get_mut(target) else {
            return;
        };
        slots.retain(|slot| {
            if !is_gone(slot) {
                return true;
            }
            self.bytes -= slot.bytes;
            self.by_use.remove(&slot.used);
            false
        });
        if slots.is_empty() {
            self.by_target.remove(target);
        }
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.by_use.len(), self.bytes + self.coming)
    }
}

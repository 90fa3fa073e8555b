//! The heartbeats in memory: by service, by id, and when each changes next. Bounded by the services.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::HeartbeatStatus;
use crate::domain::{Catalog, Heartbeat, HeartbeatRecord, HeartbeatState, UnixMillis};
use crate::monitoring::clock::WallClock;
use crate::store::control::StoredHeartbeat;

/// One heartbeat.
#[derive(Debug, Clone)]
pub(in crate::monitoring) struct Entry {
    pub(in crate::monitoring) uuid: String,
    pub(in crate::monitoring) heartbeat: Arc<Heartbeat>,
    pub(in crate::monitoring) record: HeartbeatRecord,
    /// When the time alone changes it.
    change_ms: Option<UnixMillis>,
}

#[derive(Debug, Default)]
pub(in crate::monitoring) struct HeartbeatBook(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    entries: BTreeMap<String, Entry>,
    /// Slugs.
    by_uuid: HashMap<String, String>,
    /// Since when pings could arrive.
    listening_since_ms: UnixMillis,
    clock: Option<WallClock>,
}

impl HeartbeatBook {
    pub(super) fn status(&self, service: &str) -> Option<HeartbeatStatus> {
        let book = self.lock();
        book.entries.get(service).map(|entry| entry.status(service))
    }

    pub(super) fn all(&self) -> Vec<HeartbeatStatus> {
        let book = self.lock();
        let entries = book.entries.iter();
        entries.map(|(slug, entry)| entry.status(slug)).collect()
    }

    pub(super) fn service_of(&self, uuid: &str) -> Option<String> {
        self.lock().by_uuid.get(uuid).cloned()
    }

    pub(super) fn entry(&self, service: &str) -> Option<Entry> {
        self.lock().entries.get(service).cloned()
    }

    /// Services whose heartbeats had a ping.
    pub(super) fn observed(&self) -> Vec<String> {
        let book = self.lock();
        let entries = book.entries.iter();
        entries
            .filter(|(_, entry)| entry.record.state != HeartbeatState::Never)
            .map(|(slug, _)| slug.clone())
            .collect()
    }

    /// Whether it has the heartbeats of a catalog and no others.
    pub(super) fn has_all_of(&self, catalog: &Catalog) -> bool {
        self.lock().entries.keys().eq(catalog.heartbeats.keys())
    }

    /// Takes over what is expected of the heartbeats that it has.
    pub(super) fn update(&self, catalog: &Catalog) {
        let mut book = self.lock();
        for (slug, heartbeat) in &catalog.heartbeats {
            if let Some(entry) = book.entries.get_mut(slug) {
                entry.heartbeat = Arc::clone(heartbeat);
            }
        }
        book.reckon();
    }

    /// Takes over the heartbeats of a catalog. Of one that it has already it knows more than was
    /// stored.
    pub(super) fn adopt(
        &self,
        catalog: &Catalog,
        stored: impl Iterator<Item = StoredHeartbeat>,
        now_ms: UnixMillis,
    ) {
        let mut book = self.lock();
        let mut known = std::mem::take(&mut book.entries);
        for stored in stored {
            let StoredHeartbeat {
                service,
                uuid,
                record,
            } = stored;
            let Some(heartbeat) = catalog.heartbeats.get(&service) else {
                continue;
            };
            let record = match known.remove(&service) {
                Some(entry) => entry.record,
                None => record.clamped(now_ms),
            };
            let entry = Entry {
                uuid,
                heartbeat: Arc::clone(heartbeat),
                record,
                change_ms: None,
            };
            book.entries.insert(service, entry);
        }
        book.by_uuid = book
            .entries
            .iter()
            .map(|(slug, entry)| (entry.uuid.clone(), slug.clone()))
            .collect();
        book.reckon();
    }

    pub(super) fn set_uuid(&self, service: &str, uuid: String) {
        let mut book = self.lock();
        if let Some(entry) = book.entries.get_mut(service) {
            let before = std::mem::replace(&mut entry.uuid, uuid.clone());
            book.by_uuid.remove(&before);
            book.by_uuid.insert(uuid, service.to_owned());
        }
    }

    pub(super) fn put(&self, service: &str, record: HeartbeatRecord) {
        let mut book = self.lock();
        let listening_since_ms = book.listening_since_ms;
        if let Some(entry) = book.entries.get_mut(service) {
            entry.record = record;
            entry.reckon(listening_since_ms);
        }
    }

    /// Returns the next records of the heartbeats that the time has changed; each goes one step.
    pub(super) fn aged(&self, now_ms: UnixMillis) -> Vec<(String, HeartbeatRecord)> {
        let book = self.lock();
        let due = book
            .entries
            .iter()
            .filter(|(_, entry)| entry.change_ms.is_some_and(|change_ms| change_ms <= now_ms));
        due.filter_map(|(slug, entry)| {
            let next = entry
                .record
                .aged(&entry.heartbeat, book.listening_since_ms, now_ms)?;
            Some((slug.clone(), next))
        })
        .collect()
    }

    pub(super) fn next_change_ms(&self) -> Option<UnixMillis> {
        let book = self.lock();
        book.entries
            .values()
            .filter_map(|entry| entry.change_ms)
            .min()
    }

    /// Gives every heartbeat a grace from now on.
    pub(super) fn listen_anew(&self, now_ms: UnixMillis) {
        let mut book = self.lock();
        book.listening_since_ms = now_ms;
        book.reckon();
    }

    /// Follows the wall clock. Where it was set back, what was known moves back with it; where it
    /// jumped ahead, the machine may have been suspended, and pings could not arrive.
    pub(super) fn follow_clock(&self, clock: WallClock, now_ms: UnixMillis) {
        let mut book = self.lock();
        let jump_ms = book.clock.get_or_insert(clock).follow(clock);
        match jump_ms {
            None => return,
            Some(jump_ms) if jump_ms < 0 => {
                book.listening_since_ms = book.listening_since_ms.saturating_add(jump_ms);
                for entry in book.entries.values_mut() {
                    entry.record.moved_back(jump_ms.saturating_neg());
                }
            }
            Some(_) => book.listening_since_ms = now_ms,
        }
        book.reckon();
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn reckon(&mut self) {
        for entry in self.entries.values_mut() {
            entry.reckon(self.listening_since_ms);
        }
    }
}

impl Entry {
    fn reckon(&mut self, listening_since_ms: UnixMillis) {
        self.change_ms = self
            .record
            .next_change_ms(&self.heartbeat, listening_since_ms);
    }

    fn status(&self, service: &str) -> HeartbeatStatus {
        HeartbeatStatus {
            service: service.to_owned(),
            uuid: self.uuid.clone(),
            heartbeat: Arc::clone(&self.heartbeat),
            record: self.record.clone(),
            due_ms: self.record.due_ms(&self.heartbeat),
        }
    }
}

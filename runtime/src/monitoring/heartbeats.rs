//! Heartbeats: jobs call us, and their pings become observations, as does their absence. What a ping
//! changes is in the control store before it is confirmed. The state is repeated at the interval of
//! a probe, so that rules, incidents and figures weigh it by the time that it lasts.

pub(super) mod book;
mod observation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rand::RngCore;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::WallClock;
use super::runner::Monitoring;
use super::schedule::Schedule;
use super::shared::Shared;
use crate::domain::{
    Catalog, HEARTBEAT, Heartbeat, HeartbeatRecord, HeartbeatState, Observation, Ping, ProbeKey,
    UnixMillis, now_ms,
};
use crate::store::ControlStore;
use crate::store::control::{ControlError, StoredHeartbeat};
use book::Entry;

/// Longest time between two looks at the clock and at what is due.
const TICK: Duration = Duration::from_secs(1);

/// Pings that are kept, or wait for the one before, at the same time.
const MAX_PINGS: usize = 64;

/// Longest wait for a place among them: many jobs end at the full minute. Their requests are bounded.
const PLACE_WITHIN: Duration = Duration::from_secs(10);

/// What the time makes of a heartbeat is published after this long although it can't be kept.
const PATIENCE: Duration = Duration::from_secs(5);

/// A loop that comes round later than this was stopped, or waited for the store: pings could not be
/// taken either.
const STALLED: Duration = Duration::from_secs(10);

/// The id of a service that is gone is kept for this long: it may be back, and its job calls the
/// same address.
const KEPT_MS: i64 = 30 * 86_400_000;

/// A heartbeat as it is now.
#[derive(Debug, Clone)]
pub struct HeartbeatStatus {
    /// Slug.
    pub service: String,
    /// Secret part of the address.
    pub uuid: String,
    pub heartbeat: Arc<Heartbeat>,
    pub record: HeartbeatRecord,
    /// When the next ping is due; none before the first one.
    pub due_ms: Option<UnixMillis>,
}

/// Why a ping was not taken.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    #[error("there is no such heartbeat")]
    Unknown,
    #[error("too many pings are being kept")]
    Busy,
    #[error("the ping could not be kept")]
    NotKept(#[source] ControlError),
}

/// Handle to the heartbeats of all services.
#[derive(Clone)]
pub struct Heartbeats {
    shared: Arc<Shared>,
    control: ControlStore,
    permits: Arc<Semaphore>,
    /// Held from what is decided to what is published, so that observations come in the order of
    /// the pings.
    changes: Arc<tokio::sync::Mutex<()>>,
}

impl Monitoring {
    /// Returns the heartbeats of the services, with what was known of them before the start.
    pub async fn heartbeats(&self, control: ControlStore) -> Result<Heartbeats, ControlError> {
        let heartbeats = Heartbeats {
            shared: self.shared.clone(),
            control,
            permits: Arc::new(Semaphore::new(MAX_PINGS)),
            changes: Arc::default(),
        };
        heartbeats.follow_catalog().await?;
        Ok(heartbeats)
    }
}

impl Heartbeats {
    /// Returns the heartbeat of a service; none: no job of it calls us.
    pub fn status(&self, service: &str) -> Option<HeartbeatStatus> {
        self.shared.heartbeats.status(service)
    }

    /// Returns all heartbeats, by slug.
    pub fn all(&self) -> Vec<HeartbeatStatus> {
        self.shared.heartbeats.all()
    }

    /// Returns the service whose heartbeat has this id.
    pub fn service_of(&self, uuid: &str) -> Option<String> {
        self.shared.heartbeats.service_of(uuid)
    }

    /// Takes a ping; it is durable when this returns, and observed. To be run to its end.
    pub async fn ping(&self, uuid: &str, ping: Ping) -> Result<HeartbeatState, PingError> {
        let _permit = place(&self.permits).await?;
        let _turn = self.changes.lock().await;
        let book = &self.shared.heartbeats;
        let now_ms = now_ms();
        book.follow_clock(WallClock::read(), now_ms);
        let service = book.service_of(uuid).ok_or(PingError::Unknown)?;
        let before = book.entry(&service).ok_or(PingError::Unknown)?;
        let record = before.record.pinged(&ping, now_ms);
        let state = record.state;
        let kept = [(service, record)];
        let stored = self.control.heartbeat_update(&kept).await;
        stored.map_err(PingError::NotKept)?;
        let signal = ping.signal.as_str();
        metrics::counter!("extrack_heartbeat_pings_total", "signal" => signal).increment(1);
        let [(service, record)] = kept;
        let run_id = self.shared.host.next_run_id();
        let observation = observation::of_ping(&service, &record, &ping, now_ms, run_id);
        book.put(&service, record);
        self.shared.publish(observation).await;
        Ok(state)
    }

    /// Gives the heartbeat of a service another address; the one before is refused from now on. None:
    /// there is none.
    pub async fn rotate(&self, service: &str) -> Result<Option<HeartbeatStatus>, ControlError> {
        let _turn = self.changes.lock().await;
        let book = &self.shared.heartbeats;
        let uuid = new_uuid();
        if book.entry(service).is_none() || !self.control.heartbeat_set_uuid(service, &uuid).await?
        {
            return Ok(None);
        }
        book.set_uuid(service, uuid);
        Ok(book.status(service))
    }

    /// Follows the services: a new heartbeat gets its id, which is kept while its service is away for
    /// a while.
    pub async fn follow_catalog(&self) -> Result<(), ControlError> {
        let _turn = self.changes.lock().await;
        let catalog = self.shared.catalog.borrow().clone();
        let book = &self.shared.heartbeats;
        if book.has_all_of(&catalog) {
            book.update(&catalog);
            return Ok(());
        }
        let now_ms = now_ms();
        let stored = self.control.heartbeat_all().await?;
        let known: BTreeSet<&str> = stored.iter().map(|it| it.service.as_str()).collect();
        let new: Vec<StoredHeartbeat> = catalog
            .heartbeats
            .keys()
            .filter(|slug| !known.contains(slug.as_str()))
            .map(|slug| StoredHeartbeat {
                service: slug.clone(),
                uuid: new_uuid(),
                record: HeartbeatRecord::new(now_ms),
            })
            .collect();
        if !new.is_empty() {
            self.control.heartbeat_insert(&new, now_ms).await?;
        }
        let (in_use, gone): (Vec<String>, Vec<String>) = stored
            .iter()
            .map(|it| it.service.clone())
            .partition(|slug| catalog.heartbeats.contains_key(slug));
        let forget_ms = now_ms.saturating_sub(KEPT_MS);
        self.control
            .heartbeat_note_gone(&gone, &in_use, now_ms, forget_ms)
            .await?;
        book.adopt(&catalog, stored.into_iter().chain(new), now_ms);
        Ok(())
    }

    /// Runs until the shutdown.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut catalog_changes = self.shared.catalog.clone();
        let mut repetitions = Schedule::default();
        let book = &self.shared.heartbeats;
        book.listen_anew(now_ms());
        // The program may have ended after a ping was kept, and before it was observed.
        for service in book.observed() {
            self.repeat(&service).await;
        }
        let mut is_behind = true;
        let mut is_failing = false;
        let mut looked_at = Instant::now();
        loop {
            if std::mem::replace(&mut looked_at, Instant::now()).elapsed() > STALLED {
                book.listen_anew(now_ms());
            }
            if std::mem::take(&mut is_behind) {
                let catalog = catalog_changes.borrow_and_update().clone();
                let followed = self.follow_catalog().await;
                is_behind = followed.is_err();
                note_failure(followed, &mut is_failing);
                let wall_ms = now_ms();
                repetitions.replace(probes(&catalog), Instant::now(), wall_ms);
            }
            self.age().await;
            while let Some(due) = repetitions.pop(Instant::now()) {
                self.repeat(&due.key.service).await;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(self.until_next(&mut repetitions)) => {}
                changed = catalog_changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    is_behind = true;
                }
            }
        }
    }

    fn until_next(&self, repetitions: &mut Schedule) -> Duration {
        let repeated = repetitions.next_due();
        let repeated = repeated.map(|at| at.saturating_duration_since(Instant::now()));
        let changed = self.shared.heartbeats.next_change_ms().map(|change_ms| {
            let left_ms = change_ms.saturating_sub(now_ms()).max(0);
            Duration::from_millis(left_ms.unsigned_abs())
        });
        let next = repeated.into_iter().chain(changed).min();
        next.unwrap_or(TICK).min(TICK)
    }

    /// Changes and publishes what the time has changed. A heartbeat that is late and down by now is
    /// observed as both.
    async fn age(&self) {
        let _turn = self.changes.lock().await;
        let book = &self.shared.heartbeats;
        let now_ms = now_ms();
        book.follow_clock(WallClock::read(), now_ms);
        loop {
            let changed = book.aged(now_ms);
            if changed.is_empty() {
                return;
            }
            let stored = self.control.heartbeat_update(&changed);
            let failure = match tokio::time::timeout(PATIENCE, stored).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("{:#}", anyhow::Error::new(error))),
                Err(_) => Some("no answer in time".to_owned()),
            };
            if let Some(error) = failure {
                tracing::warn!(
                    error,
                    "what became of heartbeats can't be kept; after a restart they are late once more"
                );
            }
            for (service, record) in changed {
                let (state, reason) = (record.state.as_str(), record.reason.as_deref());
                tracing::info!(service, state, reason, "a heartbeat stays away");
                let run_id = self.shared.host.next_run_id();
                let since_ms = record.since_ms;
                let observation = observation::of_state(&service, &record, since_ms, run_id);
                book.put(&service, record);
                if let Some(observation) = observation {
                    self.shared.publish(observation).await;
                }
            }
        }
    }

    /// Observes the state again.
    async fn repeat(&self, service: &str) {
        let _turn = self.changes.lock().await;
        if let Some(observation) = self.shared.heartbeat_now(service) {
            self.shared.publish(observation).await;
        }
    }
}

impl Shared {
    /// Returns an observation of a heartbeat as it is now; none before its first ping.
    pub(super) fn heartbeat_now(&self, service: &str) -> Option<Observation> {
        let Entry { record, .. } = self.heartbeats.entry(service)?;
        observation::of_state(service, &record, now_ms(), self.host.next_run_id())
    }
}

fn probes(catalog: &Catalog) -> impl Iterator<Item = (ProbeKey, Duration)> + '_ {
    catalog.heartbeats.keys().filter_map(|slug| {
        let mut probes = catalog.services.get(slug)?.probes.iter();
        let probe = probes.find(|probe| probe.name == HEARTBEAT)?;
        let key = ProbeKey {
            service: slug.clone(),
            probe: probe.name.clone(),
            location: HEARTBEAT.to_owned(),
        };
        Some((key, probe.interval))
    })
}

/// Logs the first failure in a row.
fn note_failure(followed: Result<(), ControlError>, is_failing: &mut bool) {
    let was_failing = std::mem::replace(is_failing, followed.is_err());
    if let Err(error) = followed
        && !was_failing
    {
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::warn!(
            error,
            "new heartbeats get no address yet; it is tried again"
        );
    }
}

/// Returns 122 random bits as text (RFC 9562, version 4).
async fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, PingError> {
    match tokio::time::timeout(PLACE_WITHIN, places.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(PingError::Busy),
    }
}

fn new_uuid() -> String {
    let mut bytes = [0; 16];
    rand::rng().fill_bytes(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

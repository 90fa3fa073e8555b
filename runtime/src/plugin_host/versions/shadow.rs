//! A candidate beside the active version: it gets the same calls a moment later, on permits of its
//! own, and nothing acts on its answers. Both answers are compared and kept. Its network calls are
//! real.

mod change;
mod compare;
mod offer;
mod run;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Semaphore, mpsc};

use self::offer::ShadowJob;
use super::loader::LoadedPlugin;
use crate::domain::UnixMillis;

pub use run::ShadowRunner;

/// Runs of one candidate at the same time. They mostly wait for a service, and must leave the cores
/// to the active runs.
const AT_ONCE: usize = 32;

/// Runs of one candidate that are under way or wait for their turn; what comes on top is skipped
/// and counted.
const WAITING: usize = 128;

/// Runs that wait over all candidates; each has its own, smaller bound.
const QUEUED: usize = 8 * WAITING;

/// A candidate that broke so often in a row is failing: it runs once at a time until it has
/// answered again.
const BROKEN_IN_A_ROW: u32 = 5;

/// Candidates by the name of their plugin.
pub(in crate::plugin_host) type ShadowMap = BTreeMap<String, Arc<Shadow>>;

/// One candidate on trial.
pub(in crate::plugin_host) struct Shadow {
    pub(in crate::plugin_host) plugin: LoadedPlugin,
    /// Look-back of a rule with the settings in use.
    look_back: Mutex<Duration>,
    places: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    skipped: AtomicU64,
    broken_in_a_row: AtomicU32,
    last_error: Mutex<Option<String>>,
}

/// A candidate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowEntry {
    pub version: String,
    pub digest: String,
    pub state: ShadowState,
    pub since_ms: UnixMillis,
    pub by: String,
    /// Calls of the active version that it did not get, since the program started.
    pub skipped: u64,
    /// Why it broke last, since the program started.
    pub last_error: Option<String>,
}

impl Shadow {
    pub(in crate::plugin_host) fn new(plugin: LoadedPlugin, look_back: Duration) -> Self {
        Self {
            plugin: LoadedPlugin {
                is_candidate: true,
                ..plugin
            },
            look_back: Mutex::new(look_back),
            places: Arc::new(Semaphore::new(WAITING)),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            skipped: AtomicU64::new(0),
            broken_in_a_row: AtomicU32::new(0),
            last_error: Mutex::default(),
        }
    }

    pub(in crate::plugin_host) fn entry(&self) -> ShadowEntry {
        ShadowEntry {
            version: self.plugin.info.version.clone(),
            digest: self.plugin.digest.clone(),
            state: if self.is_failing() {
                ShadowState::Failing
            } else {
                ShadowState::Comparing
            },
            since_ms: self.plugin.since_ms,
            by: self.plugin.by.clone(),
            skipped: self.skipped.load(Ordering::Relaxed),
            last_error: self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    fn set_look_back(&self, look_back: Duration) {
        *self
            .look_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = look_back;
    }

    fn is_failing(&self) -> bool {
        self.broken_in_a_row.load(Ordering::Relaxed) >= BROKEN_IN_A_ROW
    }

    /// True when it began or ceased to be failing with this run.
    fn note(&self, broken: Option<String>) -> bool {
        let before = self.is_failing();
        match broken {
            Some(error) => {
                self.broken_in_a_row.fetch_add(1, Ordering::Relaxed);
                *self
                    .last_error
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(error);
            }
            None => self.broken_in_a_row.store(0, Ordering::Relaxed),
        }
        before != self.is_failing()
    }
}

/// The candidates, and the queue of their runs.
pub(in crate::plugin_host) struct Shadows {
    map: ArcSwap<ShadowMap>,
    queue: mpsc::Sender<ShadowJob>,
    /// Held until the runner takes it.
    inbox: Mutex<Option<mpsc::Receiver<ShadowJob>>>,
}

impl Default for Shadows {
    fn default() -> Self {
        let (queue, inbox) = mpsc::channel(QUEUED);
        Self {
            map: ArcSwap::default(),
            queue,
            inbox: Mutex::new(Some(inbox)),
        }
    }
}

impl Shadows {
    pub(in crate::plugin_host) fn get(&self, name: &str) -> Option<Arc<Shadow>> {
        self.map.load().get(name).cloned()
    }

    pub(in crate::plugin_host) fn all(&self) -> Arc<ShadowMap> {
        self.map.load_full()
    }

    /// Sets all candidates at once, while the host starts.
    pub(in crate::plugin_host) fn start_with(&self, shadows: ShadowMap) {
        self.map.store(Arc::new(shadows));
    }

    pub(in crate::plugin_host) fn insert(&self, name: &str, shadow: Shadow) {
        let shadow = Arc::new(shadow);
        self.map.rcu(|shadows| {
            let mut shadows = ShadowMap::clone(shadows);
            shadows.insert(name.to_owned(), shadow.clone());
            shadows
        });
    }

    pub(in crate::plugin_host) fn remove(&self, name: &str) {
        self.map.rcu(|shadows| {
            let mut shadows = ShadowMap::clone(shadows);
            shadows.remove(name);
            shadows
        });
    }

    pub(in crate::plugin_host) fn take_jobs(&self) -> Option<mpsc::Receiver<ShadowJob>> {
        self.inbox
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Returns how far the candidate of a rule looks back; zero without one.
    pub(in crate::plugin_host) fn look_back(&self, name: &str) -> Duration {
        let shadow = self.get(name);
        shadow.map_or(Duration::ZERO, |shadow| {
            *shadow
                .look_back
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        })
    }
}

/// State of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShadowState {
    Comparing,
    /// Failing: its last runs all broke.
    Failing,
}

impl ShadowState {
    pub fn as_str(self) -> &'static str {
        match self {
            ShadowState::Comparing => "comparing",
            ShadowState::Failing => "failing",
        }
    }
}

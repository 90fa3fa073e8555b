//! A candidate beside the active version: it gets the same calls a moment later, on permits of its
//! own, and nobody acts on what it says. What both said is compared and kept. Its network calls are
//! real.

mod compare;
mod run;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::loader::{LoadedPlugin, Refusal, refuse};
use crate::domain::{ActivationReason, PluginKind, PluginStep, UnixMillis, now_ms};
use crate::plugin_host::versions::history::version_of;
use crate::plugin_host::{PluginEntry, PluginHost};

pub use run::ShadowRunner;
pub(in crate::plugin_host) use run::{QUEUED, Work};

/// Runs of one candidate at the same time. They mostly wait for a service, and must leave the cores
/// to the active runs.
const AT_ONCE: usize = 32;

/// Runs of one candidate that are under way or wait for their turn; what comes on top is skipped
/// and counted.
const WAITING: usize = 128;

/// A candidate that broke so often in a row is failing: it runs once at a time until it has
/// answered again.
const BROKEN_IN_A_ROW: u32 = 5;

pub(in crate::plugin_host) type Shadows = BTreeMap<String, Arc<Shadow>>;

/// One candidate on trial.
pub(in crate::plugin_host) struct Shadow {
    pub(in crate::plugin_host) plugin: LoadedPlugin,
    /// Of a rule: how far it looks back with the settings in use.
    look_back: Mutex<Duration>,
    places: Arc<Semaphore>,
    permits: Arc<Semaphore>,
    skipped: AtomicU64,
    broken_in_a_row: AtomicU32,
    last_error: Mutex<Option<String>>,
}

/// What people are shown of a candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowEntry {
    pub version: String,
    pub digest: String,
    /// `comparing`, or `failing` when its last runs all broke.
    pub state: &'static str,
    pub since_ms: UnixMillis,
    pub by: String,
    /// Calls of the active version that it did not get, since the program started.
    pub skipped: u64,
    /// Why it broke last, since the program started.
    pub last_error: Option<String>,
}

impl Shadow {
    pub(in crate::plugin_host) fn new(plugin: LoadedPlugin) -> Self {
        Self {
            plugin: LoadedPlugin {
                is_candidate: true,
                ..plugin
            },
            look_back: Mutex::default(),
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
                "failing"
            } else {
                "comparing"
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

impl PluginHost {
    pub(in crate::plugin_host) async fn shadow_now(
        &self,
        name: &str,
        bytes: Bytes,
        by: &str,
    ) -> Result<PluginEntry, Refusal> {
        let mut candidate = self.verify(Some(name), bytes.clone(), by).await?;
        let active = self.active(name).map_err(|_| {
            refuse(
                "shadow",
                format!(
                    "there is no active version of `{name}` to run beside; install this one instead"
                ),
            )
        })?;
        match candidate.kind {
            PluginKind::Probe | PluginKind::Rule => {}
            PluginKind::Notifier => {
                return Err(refuse(
                    "shadow",
                    "a notifier can't run beside another: every message would be sent twice",
                ));
            }
            PluginKind::Webhook => {
                return Err(refuse(
                    "shadow",
                    "a webhook can't run beside another: a delivery is taken by one version",
                ));
            }
        }
        if candidate.digest == active.digest {
            return Err(refuse(
                "shadow",
                format!("this is the active version of `{name}` already"),
            ));
        }
        if let Some(shadow) = self.shadow(name)
            && shadow.plugin.digest == candidate.digest
        {
            return Ok(self.entry(&active));
        }
        self.check_candidate(&candidate).await?;
        let look_back = match candidate.kind {
            PluginKind::Rule => self.look_back_in_use(&candidate).await?,
            _ => Duration::ZERO,
        };
        self.shared.components.put(&candidate.digest, bytes).await?;
        candidate.since_ms = now_ms();
        let step = PluginStep::Shadow {
            candidate: version_of(&candidate),
        };
        self.commit(name, by, Some(active.digest.clone()), step)
            .await?;
        tracing::info!(
            plugin = name,
            version = candidate.info.version,
            digest = candidate.digest,
            by,
            "a candidate runs beside the active version"
        );
        let shadow = Shadow {
            look_back: Mutex::new(look_back),
            ..Shadow::new(candidate)
        };
        self.change_shadows(|shadows| {
            shadows.insert(name.to_owned(), shadow.into());
        });
        self.changed(active.kind);
        self.prune(name).await;
        Ok(self.entry(&active))
    }

    pub(in crate::plugin_host) async fn promote_now(
        &self,
        name: &str,
        by: &str,
    ) -> Result<Option<PluginEntry>, Refusal> {
        let Some(shadow) = self.shadow(name) else {
            return Ok(None);
        };
        let candidate = self.load_version(name, &shadow.plugin.digest, by).await?;
        self.activate(candidate, None, ActivationReason::Promote)
            .await
            .map(Some)
    }

    pub(in crate::plugin_host) async fn discard_now(
        &self,
        name: &str,
        by: &str,
    ) -> Result<bool, Refusal> {
        // As the log has it: one that did not load at the start can be discarded too.
        let Some(shadow) = self.record(name).await?.shadow else {
            return Ok(false);
        };
        let active = self.shared.active.load().get(name).cloned();
        let from = active.as_ref().map(|active| active.digest.clone());
        self.commit(
            name,
            by,
            from,
            PluginStep::Discard {
                digest: shadow.digest.clone(),
            },
        )
        .await?;
        self.end_shadow(name);
        if let Some(active) = active {
            self.changed(active.kind);
        }
        tracing::info!(
            plugin = name,
            digest = shadow.digest,
            by,
            "the candidate is discarded"
        );
        self.prune(name).await;
        Ok(true)
    }

    pub(in crate::plugin_host) fn shadow(&self, name: &str) -> Option<Arc<Shadow>> {
        self.shared.shadows.load().get(name).cloned()
    }

    /// How far the candidate of a rule looks back; nothing without one.
    pub(in crate::plugin_host) fn shadow_look_back(&self, name: &str) -> Duration {
        let shadow = self.shadow(name);
        shadow.map_or(Duration::ZERO, |shadow| {
            *shadow
                .look_back
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        })
    }

    pub(in crate::plugin_host) fn end_shadow(&self, name: &str) {
        self.change_shadows(|shadows| {
            shadows.remove(name);
        });
    }

    /// Under the lock of installations.
    fn change_shadows(&self, change: impl FnOnce(&mut Shadows)) {
        let mut shadows = Shadows::clone(&self.shared.shadows.load());
        change(&mut shadows);
        self.shared.shadows.store(Arc::new(shadows));
    }

    /// The longest look-back over all settings in use.
    async fn look_back_in_use(&self, rule: &LoadedPlugin) -> Result<Duration, Refusal> {
        let mut longest = Duration::ZERO;
        for user in (self.shared.in_use.load())(PluginKind::Rule, &rule.info.name) {
            let look_back = self.look_back_of(rule, &user.settings).await;
            longest = longest.max(
                look_back
                    .map_err(|error| refuse("settings", format!("{}: {error}", user.owner)))?,
            );
        }
        Ok(longest)
    }

    /// After a start: the settings in use are known only now.
    async fn learn_look_backs(&self) {
        for (name, shadow) in self.shared.shadows.load_full().iter() {
            if shadow.plugin.kind != PluginKind::Rule {
                continue;
            }
            match self.look_back_in_use(&shadow.plugin).await {
                Ok(look_back) => {
                    *shadow
                        .look_back
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner) = look_back
                }
                Err(error) => {
                    tracing::warn!(plugin = name, %error, "the candidate does not say how far it looks back")
                }
            }
            self.changed(PluginKind::Rule);
        }
    }
}

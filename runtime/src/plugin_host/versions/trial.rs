//! The first runs of a version that took the place of one that worked. When all of them break it is
//! rolled back by itself: what it was put in for does not work, and what was there before did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::mpsc;

use super::loader::{LoadedPlugin, Refusal};
use crate::domain::{ActivationReason, PluginRecord, PluginRun, RUNS_THAT_DECIDE, UnixMillis};
use crate::plugin_host::versions::history::PROGRAM;
use crate::plugin_host::{PluginEntry, PluginHost};

/// Versions that wait to be rolled back: one of each plugin at the most, and plugins are dozens.
pub(in crate::plugin_host) const WITHDRAWALS_QUEUED: usize = 256;

/// No more runs are looked at.
const OVER: u32 = u32::MAX;

/// Lives and goes with the version: after a restart a version has no trial.
pub(in crate::plugin_host) struct Trial {
    /// Digest of the version that worked.
    previous: String,
    broken: AtomicU32,
}

/// A version that was rolled back by itself, as its successor shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    pub version: String,
    pub digest: String,
    pub since_ms: UnixMillis,
    pub reason: String,
}

/// What is to be done.
pub(in crate::plugin_host) struct Withdrawal {
    name: String,
    digest: String,
    previous: String,
    reason: String,
}

impl Trial {
    /// None: there is no proof that the version that gives way works.
    pub(in crate::plugin_host) fn after(outgoing: &LoadedPlugin) -> Option<Self> {
        let works = outgoing.health.works();
        works.then(|| Self {
            previous: outgoing.digest.clone(),
            broken: AtomicU32::new(0),
        })
    }

    /// True once: with the last of the first runs, if all of them broke.
    fn note(&self, broke: bool) -> bool {
        let next = |broken: u32| match broken {
            OVER => None,
            _ if !broke => Some(OVER),
            broken if broken + 1 >= RUNS_THAT_DECIDE => Some(OVER),
            broken => Some(broken + 1),
        };
        let before = self
            .broken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        broke && before.is_ok_and(|broken| broken + 1 >= RUNS_THAT_DECIDE)
    }
}

/// What the newest decision on a plugin took back, if it was one of the program's own.
pub(in crate::plugin_host) fn rolled_back(record: &PluginRecord) -> Option<RolledBack> {
    let newest = record.activations.first()?;
    let version = record.versions.iter().find(|version| {
        version
            .withdrawn
            .as_ref()
            .is_some_and(|withdrawn| withdrawn.ts_ms == newest.activated_ms)
            && newest.digest.as_ref() != Some(&version.digest)
    })?;
    let withdrawn = version.withdrawn.as_ref()?;
    Some(RolledBack {
        version: version.version.clone(),
        digest: version.digest.clone(),
        since_ms: withdrawn.ts_ms,
        reason: withdrawn.reason.clone(),
    })
}

/// Rolls back what has to be, one after the other.
pub struct Withdrawer {
    host: PluginHost,
    inbox: mpsc::Receiver<Withdrawal>,
}

impl Withdrawer {
    /// The version that is active again. None: the host is gone.
    pub async fn next(&mut self) -> Option<PluginEntry> {
        while let Some(withdrawal) = self.inbox.recv().await {
            let (name, digest, reason) = (
                withdrawal.name.clone(),
                withdrawal.digest.clone(),
                withdrawal.reason.clone(),
            );
            match self
                .host
                .carry_out(|host| async move { host.withdraw_now(withdrawal).await })
                .await
            {
                Ok(Some(entry)) => {
                    tracing::error!(
                        plugin = name,
                        digest,
                        reason,
                        version = entry.version,
                        "a new version of a plugin broke in all its first runs and is rolled back"
                    );
                    return Some(entry);
                }
                Ok(None) => {}
                Err(refusal) => tracing::error!(
                    plugin = name, digest, reason, %refusal,
                    "a new version of a plugin broke in all its first runs and can't be rolled back"
                ),
            }
        }
        None
    }
}

impl PluginHost {
    /// None: it was taken.
    pub fn withdrawer(&self) -> Option<Withdrawer> {
        let inbox = self
            .shared
            .withdrawal_inbox
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()?;
        Some(Withdrawer {
            host: self.clone(),
            inbox,
        })
    }

    /// Why this component was rolled back by itself; none if it was not, or somebody has activated
    /// it since.
    pub async fn withdrawn(&self, digest: &str) -> Result<Option<String>, String> {
        let records = self.shared.log.plugins(None).await?;
        let mut versions = records.into_iter().flat_map(|record| record.versions);
        let found = versions.find(|version| version.digest == digest);
        Ok(found
            .and_then(|version| version.withdrawn)
            .map(|withdrawn| withdrawn.reason))
    }

    /// A run that did the plugin's work has ended.
    pub(in crate::plugin_host) fn note_trial(&self, plugin: &LoadedPlugin, run: &PluginRun) {
        let Some(trial) = plugin
            .trial
            .as_ref()
            .filter(|trial| trial.note(run.is_broken()))
        else {
            return;
        };
        let last = run.error.as_deref().unwrap_or(run.outcome.as_str());
        let withdrawal = Withdrawal {
            name: plugin.info.name.clone(),
            digest: plugin.digest.clone(),
            previous: trial.previous.clone(),
            reason: format!("its first {RUNS_THAT_DECIDE} runs all broke: {last}"),
        };
        if self.shared.withdrawals.try_send(withdrawal).is_err() {
            tracing::error!(
                plugin = plugin.info.name,
                "too many versions wait to be rolled back; this one stays"
            );
        }
    }

    async fn withdraw_now(&self, withdrawal: Withdrawal) -> Result<Option<PluginEntry>, Refusal> {
        let Withdrawal {
            name,
            digest,
            previous,
            reason,
        } = withdrawal;
        let active = self.active(&name)?;
        // Somebody was quicker.
        if active.digest != digest {
            return Ok(None);
        }
        let candidate = self.load_version(&name, &previous, PROGRAM).await?;
        let version = active.info.version.clone();
        let why = ActivationReason::Withdraw { version, reason };
        self.activate(candidate, None, why).await.map(Some)
    }
}

/// As its successor shows it.
pub(in crate::plugin_host) fn shown(
    why: &ActivationReason,
    outgoing: Option<&Arc<LoadedPlugin>>,
    ts_ms: UnixMillis,
) -> Option<RolledBack> {
    let ActivationReason::Withdraw { version, reason } = why else {
        return None;
    };
    let digest = outgoing?.digest.clone();
    Some(RolledBack {
        version: version.clone(),
        digest,
        since_ms: ts_ms,
        reason: reason.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes runs (`x` broke) and answers with the number of the one that ended the trial of the
    /// version.
    fn ended_by(runs: &str) -> Option<usize> {
        let trial = Trial {
            previous: "before".to_owned(),
            broken: AtomicU32::new(0),
        };
        let decided: Vec<usize> = runs
            .chars()
            .enumerate()
            .filter(|(_, run)| trial.note(*run == 'x'))
            .map(|(index, _)| index + 1)
            .collect();
        assert!(decided.len() < 2, "it is rolled back once");
        decided.first().copied()
    }

    #[test]
    fn only_a_version_whose_first_runs_all_broke_is_rolled_back() {
        for (runs, wanted) in [
            ("xxxx", None),
            ("xxxxx", Some(5)),
            ("xxxxxxxxxx", Some(5)),
            (".xxxxxxxxx", None),
            ("xxxx.xxxxx", None),
            ("xxxxx.xxxxx", Some(5)),
        ] {
            assert_eq!(ended_by(runs), wanted, "{runs}");
        }
    }
}

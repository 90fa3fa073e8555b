//! The first runs of a version that took the place of one that worked. When all of them break it is
//! rolled back by itself: what it was put in for does not work, and what was there before did.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::domain::{ActivationReason, PluginRecord, PluginTrial, RUNS_THAT_DECIDE, UnixMillis};

/// What became of trials and waits to be acted on: a few of each plugin at the most, and plugins
/// are dozens.
pub(in crate::plugin_host) const TRIALS_QUEUED: usize = 256;

/// Marks a trial that is over: no more runs are counted.
const OVER: u32 = u32::MAX;

/// The trial of a version. The control store keeps it, so it goes on after a restart.
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

/// What a run made of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin_host) enum Verdict {
    /// So many first runs broke.
    Broken(u32),
    /// The version works.
    Passed,
    /// All first runs broke.
    Failed,
}

/// News of a trial, for the control store or for a roll-back.
pub(in crate::plugin_host) enum TrialNews {
    /// So many first runs broke; with none the trial is over.
    Count {
        name: String,
        digest: String,
        broken: Option<u32>,
    },
    Failed(Withdrawal),
}

/// A version to roll back.
pub(in crate::plugin_host) struct Withdrawal {
    pub(in crate::plugin_host) name: String,
    pub(in crate::plugin_host) digest: String,
    pub(in crate::plugin_host) previous: String,
    pub(in crate::plugin_host) reason: String,
}

impl Trial {
    /// Starts a trial after a version that worked, named by its digest.
    pub(in crate::plugin_host) fn after(previous: &str) -> Self {
        Self {
            previous: previous.to_owned(),
            broken: AtomicU32::new(0),
        }
    }

    /// The trial as it was before a restart.
    pub(in crate::plugin_host) fn resumed(kept: &PluginTrial) -> Self {
        Self {
            previous: kept.previous.clone(),
            broken: AtomicU32::new(kept.broken.min(RUNS_THAT_DECIDE - 1)),
        }
    }

    pub(in crate::plugin_host) fn previous(&self) -> &str {
        &self.previous
    }

    /// Returns what the run decides; none after the trial.
    pub(in crate::plugin_host) fn note(&self, broke: bool) -> Option<Verdict> {
        let next = |broken: u32| match broken {
            OVER => None,
            _ if !broke => Some(OVER),
            broken if broken + 1 >= RUNS_THAT_DECIDE => Some(OVER),
            broken => Some(broken + 1),
        };
        let before = self
            .broken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let broken = before.ok()? + 1;
        Some(if !broke {
            Verdict::Passed
        } else if broken >= RUNS_THAT_DECIDE {
            Verdict::Failed
        } else {
            Verdict::Broken(broken)
        })
    }
}

impl RolledBack {
    /// Returns what the newest decision on a plugin took back, if it was one of the program's own.
    pub(in crate::plugin_host) fn newest(record: &PluginRecord) -> Option<Self> {
        let newest = record.activations.first()?;
        let version = record.versions.iter().find(|version| {
            version
                .withdrawn
                .as_ref()
                .is_some_and(|withdrawn| withdrawn.ts_ms == newest.activated_ms)
                && newest.digest.as_ref() != Some(&version.digest)
        })?;
        let withdrawn = version.withdrawn.as_ref()?;
        Some(Self {
            version: version.version.clone(),
            digest: version.digest.clone(),
            since_ms: withdrawn.ts_ms,
            reason: withdrawn.reason.clone(),
        })
    }

    /// Returns what an activation for this reason takes back; `digest` is that of the version that
    /// gives way.
    pub(in crate::plugin_host) fn by(
        why: &ActivationReason,
        digest: Option<&str>,
        ts_ms: UnixMillis,
    ) -> Option<Self> {
        let ActivationReason::Withdraw { version, reason } = why else {
            return None;
        };
        Some(Self {
            version: version.clone(),
            digest: digest?.to_owned(),
            since_ms: ts_ms,
            reason: reason.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes runs (`x` broke), with a restart after some of them, and answers with the number of the
    /// one at which the version is rolled back.
    fn rolled_back_at(runs: &str, restart_after: usize) -> Option<usize> {
        let mut trial = Some(Trial::after("before"));
        let mut kept = Some(PluginTrial {
            previous: "before".to_owned(),
            broken: 0,
        });
        let mut decided = Vec::new();
        for (index, run) in runs.chars().enumerate() {
            if index == restart_after {
                trial = kept.as_ref().map(Trial::resumed);
            }
            match trial.as_ref().and_then(|trial| trial.note(run == 'x')) {
                Some(Verdict::Failed) => decided.push(index + 1),
                Some(Verdict::Passed) => kept = None,
                Some(Verdict::Broken(broken)) => {
                    if let Some(kept) = &mut kept {
                        kept.broken = broken;
                    }
                }
                None => {}
            }
        }
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
            for restart_after in [usize::MAX, 0, 1, 4] {
                assert_eq!(
                    rolled_back_at(runs, restart_after),
                    wanted,
                    "{runs}, a restart after {restart_after}"
                );
            }
        }
    }
}

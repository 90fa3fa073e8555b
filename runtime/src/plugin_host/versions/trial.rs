//! The first runs of a version that took the place of one that worked. When all of them break it is
//! rolled back by itself: what it was put in for does not work, and what was there before did.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::domain::{ActivationReason, PluginRecord, RUNS_THAT_DECIDE, UnixMillis};

/// Versions that wait to be rolled back: one of each plugin at the most, and plugins are dozens.
pub(in crate::plugin_host) const WITHDRAWALS_QUEUED: usize = 256;

/// Marks a trial that is over: no more runs are counted.
const OVER: u32 = u32::MAX;

/// The trial of a version; it ends with a restart.
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

    pub(in crate::plugin_host) fn previous(&self) -> &str {
        &self.previous
    }

    /// Returns true once: with the last of the first runs, if all of them broke.
    pub(in crate::plugin_host) fn note(&self, broke: bool) -> bool {
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

    /// Notes runs (`x` broke) and answers with the number of the one that ended the trial of the
    /// version.
    fn ended_by(runs: &str) -> Option<usize> {
        let trial = Trial::after("before");
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

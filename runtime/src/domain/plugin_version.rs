//! The versions of a plugin, and each decision about them: what the control store keeps and the
//! plugin host acts on.

use super::{PluginKind, UnixMillis};

/// A component that was installed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersion {
    pub name: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    pub installed_ms: UnixMillis,
    pub installed_by: String,
    /// True while its component is still there.
    pub is_kept: bool,
    /// Set when the program rolled it back by itself, until someone activates it again.
    pub withdrawn: Option<Withdrawn>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawn {
    pub ts_ms: UnixMillis,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginActivation {
    /// Digest of the version; none: the plugin was removed.
    pub digest: Option<String>,
    /// True for what came with the program of that time. A newer program brings its own in its
    /// place.
    pub is_bundled: bool,
    pub activated_ms: UnixMillis,
    pub activated_by: String,
    /// Its trial, while it goes on.
    pub trial: Option<PluginTrial>,
}

/// The trial of a version that took the place of one that worked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginTrial {
    /// Digest of the version that worked.
    pub previous: String,
    /// First runs that broke, all of them so far.
    pub broken: u32,
}

/// The candidate that runs beside the active version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginShadow {
    pub digest: String,
    pub started_ms: UnixMillis,
    pub started_by: String,
}

/// Versions, activations and candidate of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRecord {
    pub name: String,
    /// Newest first.
    pub versions: Vec<PluginVersion>,
    /// Newest first; the first one counts.
    pub activations: Vec<PluginActivation>,
    pub shadow: Option<PluginShadow>,
}

impl PluginRecord {
    pub fn version(&self, digest: &str) -> Option<&PluginVersion> {
        self.versions
            .iter()
            .find(|version| version.digest == digest)
    }
}

/// One decision. It is kept whole, together with its line in the audit log, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginChange {
    pub name: String,
    pub by: String,
    pub ts_ms: UnixMillis,
    /// Digest of the version that was active before.
    pub from: Option<String>,
    pub step: PluginStep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made for a decision, and is gone with it"
)]
pub enum PluginStep {
    Activate {
        why: ActivationReason,
        version: PluginVersion,
        is_bundled: bool,
        /// The version that gives way, if it came with the program: written down with the first
        /// one that replaces it, so that there is something to go back to.
        bundled_before: Option<PluginVersion>,
        /// The candidate became the active version.
        ends_shadow: bool,
        /// Digest of the version that worked, if this one is on trial.
        trial_after: Option<String>,
    },
    /// Deactivates the name; its candidate goes with it.
    Deactivate,
    Shadow {
        candidate: PluginVersion,
    },
    Discard {
        digest: String,
    },
    /// Forgets versions whose components are deleted next.
    Forget {
        digests: Vec<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivationReason {
    Install,
    Rollback,
    /// The version before, which gives way, broke in all its first runs.
    Withdraw {
        /// Version that gives way.
        version: String,
        reason: String,
    },
    Promote,
    /// An installed version was removed, the one of the program takes its place.
    Remove,
}

impl PluginStep {
    /// Returns its word in the audit log, after `plugin.`.
    pub fn as_str(&self) -> &'static str {
        match self {
            PluginStep::Activate {
                why: ActivationReason::Install,
                ..
            } => "install",
            PluginStep::Activate {
                why: ActivationReason::Rollback | ActivationReason::Withdraw { .. },
                ..
            } => "rollback",
            PluginStep::Activate {
                why: ActivationReason::Promote,
                ..
            } => "promote",
            PluginStep::Activate {
                why: ActivationReason::Remove,
                ..
            }
            | PluginStep::Deactivate => "remove",
            PluginStep::Shadow { .. } => "shadow",
            PluginStep::Discard { .. } => "discard",
            PluginStep::Forget { .. } => "forget",
        }
    }
}

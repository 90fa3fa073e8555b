//! Reasons why a component does not become a version of a plugin, by the step that failed.

use std::fmt;

/// Steps of a change to the versions of a plugin. The words of [`Self::as_str`] are part of the
/// API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstallStep {
    /// Getting the component from its registry.
    Pull,
    Format,
    Signature,
    Compile,
    /// The exports, compared with the worlds of the contract.
    World,
    Imports,
    /// The component's description of itself.
    Describe,
    Name,
    /// The digests that the configuration allows.
    Pin,
    /// The schema of the plugin's settings.
    Schema,
    Grants,
    /// Settings in use, checked by the candidate.
    Settings,
    /// Keeping the component and the record of its version.
    Store,
    /// Room on the disk for that record.
    Room,
    /// The version that a request names.
    Version,
    /// Removing a plugin that the configuration uses.
    InUse,
    /// Removing a plugin that is part of the program.
    Bundled,
    /// Running a candidate beside the active version.
    Shadow,
    /// Activating a version that the program rolled back by itself.
    Withdrawn,
}

impl InstallStep {
    /// Steps that look at a component, in their order.
    pub const OF_A_COMPONENT: [InstallStep; 11] = [
        InstallStep::Format,
        InstallStep::Signature,
        InstallStep::Compile,
        InstallStep::World,
        InstallStep::Imports,
        InstallStep::Describe,
        InstallStep::Name,
        InstallStep::Pin,
        InstallStep::Schema,
        InstallStep::Grants,
        InstallStep::Settings,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            InstallStep::Pull => "pull",
            InstallStep::Format => "format",
            InstallStep::Signature => "signature",
            InstallStep::Compile => "compile",
            InstallStep::World => "world",
            InstallStep::Imports => "imports",
            InstallStep::Describe => "describe",
            InstallStep::Name => "name",
            InstallStep::Pin => "pin",
            InstallStep::Schema => "schema",
            InstallStep::Grants => "grants",
            InstallStep::Settings => "settings",
            InstallStep::Store => "store",
            InstallStep::Room => "room",
            InstallStep::Version => "version",
            InstallStep::InUse => "in-use",
            InstallStep::Bundled => "bundled",
            InstallStep::Shadow => "shadow",
            InstallStep::Withdrawn => "withdrawn",
        }
    }

    pub(in crate::plugin_host) fn error(self, reason: impl Into<String>) -> InstallError {
        InstallError {
            step: self,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for InstallStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A step that failed; the version that was active stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused at step `{step}`: {reason}")]
pub struct InstallError {
    pub step: InstallStep,
    pub reason: String,
}

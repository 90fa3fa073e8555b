//! How the configuration files on disk and what runs relate.

use super::UnixMillis;

/// State of the configuration files when they were last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigurationStatus {
    /// The files are what runs.
    InUse,
    /// The files would take away so much that they have to be confirmed; what ran before stays in
    /// use.
    Held,
    /// The files have faults; what ran before stays in use.
    Faulty,
}

impl ConfigurationStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            ConfigurationStatus::InUse => "in use",
            ConfigurationStatus::Held => "held",
            ConfigurationStatus::Faulty => "faulty",
        }
    }
}

/// The configuration files as they were last read. Holds nothing that is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    pub status: ConfigurationStatus,
    /// Why they are not in use; empty while they are.
    pub reasons: Vec<String>,
    /// sha256 over their names and texts, in hex.
    pub digest: String,
    /// Moment since which the files are as they are and have this status.
    pub since_ms: UnixMillis,
}

/// Why files were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcceptRefusal {
    #[error(
        "the files were changed meanwhile: their digest is `{found}`; look at them again, then repeat"
    )]
    Changed { found: String },
    #[error("the files have faults, the configuration before stays in use:\n{0}")]
    Faulty(String),
    #[error(
        "the files are in use, but that could not be recorded: {0}; free some space, then repeat, or a restart goes back"
    )]
    NotKept(String),
    #[error("the program is stopping")]
    Stopping,
}

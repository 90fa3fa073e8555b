//! A report of calls, and what becomes of it.

use tokio::sync::oneshot;

use crate::domain::Call;

/// Calls of one sender, with who waits for them.
pub(super) struct Report {
    pub(super) calls: Vec<Call>,
    pub(super) answer: oneshot::Sender<Result<Reported, ReportError>>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reported {
    pub accepted: usize,
    /// Reported before, or twice in this report.
    pub duplicates: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("too many reports of calls wait")]
    Busy,
    #[error("the calls could not be stored: {0}")]
    NotStored(String),
}

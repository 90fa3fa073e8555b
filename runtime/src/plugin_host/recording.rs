//! Recordings of runs: the calls of a run as they happen, their format, and the files that keep
//! them.

pub(super) mod call_replay;
pub(super) mod format;
pub(super) mod recorder;
pub(super) mod recordings;
pub(super) mod sent;

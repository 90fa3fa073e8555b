//! Part of the stores that status pages show.

use std::collections::BTreeMap;

use super::facts::NoteFacts;
use crate::domain::{Maintenance, UnixMillis};
use crate::store::ServiceHistories;

/// History of public services, and planned work.
pub(super) struct Past {
    pub(super) histories: ServiceHistories,
    /// Public notes about the incidents, by the incident's id, oldest first.
    pub(super) notes: BTreeMap<i64, Vec<NoteFacts>>,
    /// Windows about whole services.
    pub(super) windows: Vec<Maintenance>,
    /// Moment before which everything that arrived is in it.
    pub(super) data_to_ms: UnixMillis,
}

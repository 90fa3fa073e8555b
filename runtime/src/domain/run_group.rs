//! Runs that are too many to be kept one by one: counted by status, and by the bin their latency
//! falls into.

use super::{Status, UnixMillis};

/// Runs before this age are grouped by the hour, later ones by five minutes of the clock.
pub const FINE_KEPT_MS: i64 = 3 * 86_400_000;
pub const FINE_MS: i64 = 5 * 60_000;
pub const COARSE_MS: i64 = 3_600_000;

/// Where the groups of five minutes begin, on the hour.
pub fn fine_from_ms(now_ms: UnixMillis) -> UnixMillis {
    now_ms.saturating_sub(FINE_KEPT_MS).div_euclid(COARSE_MS) * COARSE_MS
}

/// Runs of one probe in one location and in one slot of time that had the same status and about the same latency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunGroup {
    pub start_ms: UnixMillis,
    pub probe: String,
    pub location: String,
    pub status: Status,
    /// [`latency_bin`](super::latency_bin); none without an answer, and for runs that were not available.
    pub latency_bin: Option<u16>,
    pub runs: u64,
    /// Milliseconds that these runs speak for.
    pub covered_ms: u64,
}

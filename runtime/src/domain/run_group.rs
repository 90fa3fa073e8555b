//! Runs that are too many to be kept one by one: counted by status, and by the bin their latency
//! falls into.

use super::{Status, UnixMillis};

/// Sixteen bins to a doubling: what is read back is within 2.2 % of what was put in. The last one
/// begins at 71 minutes.
pub const LATENCY_BINS: usize = 512;

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
    /// [`latency_bin`]; none without an answer, and for runs that were not available.
    pub latency_bin: Option<u16>,
    pub runs: u64,
    /// Milliseconds that these runs speak for.
    pub covered_ms: u64,
}

pub fn latency_bin(latency_us: u64) -> u16 {
    let bin = (latency_us.max(1) as f64).log2() * 16.0;
    (bin as usize).min(LATENCY_BINS - 1) as u16
}

/// The geometric middle of a bin.
pub fn latency_bin_middle_us(bin: u16) -> u64 {
    ((f64::from(bin) + 0.5) / 16.0).exp2().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_comes_back_within_a_fortieth() {
        for latency_us in [37, 100, 1_234, 98_765, 4_000_000, 600_000_000] {
            let shown = latency_bin_middle_us(latency_bin(latency_us));
            let off = (shown as f64 / latency_us as f64 - 1.0).abs();
            assert!(off < 0.025, "{latency_us} µs is shown as {shown}");
        }
        assert_eq!(
            [latency_bin(0), latency_bin(1), latency_bin(u64::MAX)],
            [0, 0, LATENCY_BINS as u16 - 1]
        );
    }
}

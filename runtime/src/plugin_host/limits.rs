//! What one run of a plugin may use at the most.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::{MEMORY_BYTES, TABLE_ELEMENTS};

/// CPU time of one run: a thousand times what a bundled plugin takes.
pub(super) const CPU: Duration = Duration::from_secs(1);

/// Host calls of one run; a flood of log lines ends here.
pub(super) const HOST_CALLS: u32 = 10_000;

/// Log text kept of one run; what is over is counted and dropped.
pub(super) const LOG_BYTES: u64 = 64 << 10;

/// What a guest may hand the host in one call or answer.
pub(super) const TRANSFER_BYTES: usize = 8 << 20;

/// Open connections and the like of one run.
pub(super) const RESOURCES: usize = 64;

/// Metrics of one observation, and the length of their names and texts.
pub(super) const METRICS: usize = 64;
pub(super) const METRIC_BYTES: usize = 256;

/// `describe`, `check-settings` and `look-back` answer at once or not at all.
pub(super) const DESCRIBE: Duration = Duration::from_secs(2);

/// A rule computes; it waits for nothing.
pub(super) const EVALUATE: Duration = Duration::from_secs(2);

/// A notification that has not left by then is tried again later.
pub(super) const NOTIFY: Duration = Duration::from_secs(30);

/// Senders wait 3 s (Slack), 10 s (GitHub), 20 s (Stripe); turning a body into events takes milliseconds.
pub(super) const RECEIVE: Duration = Duration::from_secs(10);

/// Events of one delivery: senders that send many at once send some hundreds.
pub(super) const EVENTS: usize = 1_000;

/// JSON kept of one event.
pub(super) const PAYLOAD_BYTES: usize = 256 << 10;

/// What a sender may be answered: a challenge is a line.
pub(super) const ANSWER_BYTES: usize = 4 << 10;

/// Why a run was cut off although its deadline had not come. Travels as the error of a trap.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("used more than {} ms of CPU time", CPU.as_millis())]
    Cpu,
    #[error("made more than {HOST_CALLS} host calls")]
    HostCalls,
}

/// Counts the memories of all the instances in one store.
#[derive(Debug, Default)]
pub(super) struct MemoryLimiter {
    /// High-water mark, bytes.
    pub(super) peak: usize,
    current: usize,
    /// The guest asked for more and was told no.
    pub(super) refused: bool,
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.current - current.min(self.current) + desired;
        if total > MEMORY_BYTES {
            self.refused = true;
            return Ok(false);
        }
        self.current = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let granted = desired <= TABLE_ELEMENTS;
        self.refused |= !granted;
        Ok(granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_all_memories_of_a_store_together() {
        let mut limiter = MemoryLimiter::default();
        assert!(limiter.memory_growing(0, MEMORY_BYTES / 2, None).unwrap());
        assert!(limiter.memory_growing(0, MEMORY_BYTES / 2, None).unwrap());
        assert!(!limiter.memory_growing(MEMORY_BYTES / 2, MEMORY_BYTES / 2 + 65_536, None).unwrap());
        assert!(limiter.refused);
        assert_eq!(limiter.peak, MEMORY_BYTES);
    }
}

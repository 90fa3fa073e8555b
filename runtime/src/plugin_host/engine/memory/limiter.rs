//! Memory and tables of one run, held to its budget first, then to what all runs have together.

use tokio::time::Instant;
use wasmtime::ResourceLimiterAsync;
use wasmtime_wasi::async_trait;

use super::Reservation;
use crate::plugin_host::engine::pool::TABLE_ELEMENTS;

/// Counts the memories of all the instances in one store.
#[derive(Debug)]
pub(in crate::plugin_host) struct MemoryLimiter {
    most: u64,
    /// High-water mark, bytes.
    pub(in crate::plugin_host) peak: u64,
    current: u64,
    /// The guest asked for more than its budget and was refused.
    pub(in crate::plugin_host) refused: bool,
    /// The same of its tables, whose bound holds for all plugins.
    pub(in crate::plugin_host) table_refused: bool,
    /// All runs together had no more.
    pub(in crate::plugin_host) exhausted: bool,
    reservation: Reservation,
    /// When it stops waiting for others to give memory back.
    until: Instant,
}

impl MemoryLimiter {
    pub(in crate::plugin_host) fn new(most: u64, reservation: Reservation, until: Instant) -> Self {
        Self {
            most,
            peak: 0,
            current: 0,
            refused: false,
            table_refused: false,
            exhausted: false,
            reservation,
            until,
        }
    }
}

#[async_trait]
impl ResourceLimiterAsync for MemoryLimiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let (current, desired) = (current as u64, desired as u64);
        let total = self.current - current.min(self.current) + desired;
        if total > self.most {
            self.refused = true;
            return Ok(false);
        }
        if self
            .reservation
            .grow(total, self.current, self.until)
            .await
            .is_err()
        {
            self.exhausted = true;
            return Err(wasmtime::Error::msg(
                "there is no memory left for plugin runs",
            ));
        }
        self.current = total;
        self.peak = self.peak.max(total);
        Ok(true)
    }

    async fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= TABLE_ELEMENTS;
        self.table_refused |= !granted;
        Ok(granted)
    }
}

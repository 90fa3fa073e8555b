//! The history of the service that a rule looks at.

use std::time::Duration;

use crate::domain::History;
use crate::plugin_host::bindings::imports::history::{Host, Sample, WindowSummary};
use crate::plugin_host::convert;
use crate::plugin_host::state::RunState;

/// Most samples a guest gets at once.
const MOST: u32 = 1_000;

impl RunState {
    /// Only rules are given one; nobody else can import the interface.
    fn history(&mut self) -> wasmtime::Result<&dyn History> {
        self.host_call()?;
        self.access.history.as_deref().ok_or_else(|| wasmtime::Error::msg("no history in this call"))
    }
}

impl Host for RunState {
    fn latest(&mut self) -> wasmtime::Result<Option<Sample>> {
        Ok(self.history()?.latest().as_deref().map(convert::sample))
    }

    fn samples(&mut self, last: u32) -> wasmtime::Result<Vec<Sample>> {
        Ok(self.history()?.samples(last.min(MOST) as usize).iter().map(|sample| convert::sample(sample)).collect())
    }

    fn summary(&mut self, window_ms: u64) -> wasmtime::Result<WindowSummary> {
        let summary = self.history()?.summary(Duration::from_millis(window_ms));
        Ok(WindowSummary {
            count: summary.count,
            healthy: summary.healthy,
            degraded: summary.degraded,
            unhealthy: summary.unhealthy,
            errors: summary.errors,
            covered_ms: summary.covered_ms,
        })
    }

    fn latency(&mut self, window_ms: u64, quantile: f64) -> wasmtime::Result<Option<u64>> {
        Ok(self.history()?.latency(Duration::from_millis(window_ms), quantile))
    }

    fn consecutive_failures(&mut self) -> wasmtime::Result<u32> {
        Ok(self.history()?.consecutive_failures())
    }
}

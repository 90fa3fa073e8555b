//! Wall clock and monotonic clock.

use std::sync::LazyLock;
use std::time::Instant;

use crate::domain::now_ms;
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::clock::Host;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Host for RunState {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        let call = begin!(self, "clock.now-ms", &());
        let now_ms = self.access.frozen_ms.unwrap_or_else(now_ms).max(0) as u64;
        Ok(self.answered(call, now_ms))
    }

    fn monotonic_us(&mut self) -> wasmtime::Result<u64> {
        let call = begin!(self, "clock.monotonic-us", &());
        Ok(self.answered(call, START.elapsed().as_micros() as u64))
    }
}

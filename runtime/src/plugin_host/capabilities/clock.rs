//! Wall clock and monotonic clock.

use std::sync::LazyLock;
use std::time::Instant;

use crate::domain::now_ms;
use crate::plugin_host::bindings::imports::clock::Host;
use crate::plugin_host::state::RunState;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Host for RunState {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        Ok(now_ms().max(0) as u64)
    }

    fn monotonic_us(&mut self) -> wasmtime::Result<u64> {
        self.host_call()?;
        Ok(START.elapsed().as_micros() as u64)
    }
}

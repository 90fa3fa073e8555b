//! Log lines of guests.

use crate::plugin_host::bindings::imports::log::{Host, Level};
use crate::plugin_host::state::RunState;

impl Host for RunState {
    fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.host_call()?;
        self.log.write(level, &message);
        Ok(())
    }
}

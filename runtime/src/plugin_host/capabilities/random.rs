//! Bytes from the operating system's generator.

use rand::RngCore;

use crate::plugin_host::bindings::imports::random::Host;
use crate::plugin_host::state::RunState;

const MOST: u32 = 4_096;

impl Host for RunState {
    fn bytes(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        self.host_call()?;
        let mut bytes = vec![0; count.min(MOST) as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

//! Bytes from the operating system's generator.

use rand::RngCore;
use serde::Serialize;

use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::random::Host;

const MOST: u32 = 4_096;

#[derive(Clone, Serialize)]
struct Asked {
    count: u32,
}

impl Host for RunState {
    fn bytes(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        let call = begin!(self, "random.bytes", &Asked { count });
        let mut bytes = vec![0; count.min(MOST) as usize];
        rand::rng().fill_bytes(&mut bytes);
        Ok(self.answered(call, bytes))
    }
}

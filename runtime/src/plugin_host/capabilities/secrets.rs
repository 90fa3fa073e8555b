//! Handles to the secrets of the settings. A handle holds the secret's number in the settings of
//! its run and nothing else, so that opening one reaches nothing and is no part of a recording.

use wasmtime::component::Resource;

use super::bounds;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::secrets::{Host, HostSecret, Secret};

impl Host for RunState {
    fn open(&mut self, pointer: String) -> wasmtime::Result<Option<Resource<Secret>>> {
        self.host_call()?;
        self.hands_over(pointer.len())?;
        if bounds::name("the pointer", &pointer).is_err() {
            return Ok(None);
        }
        let number = self.access.secrets.number(&pointer);
        Ok(number.map(Resource::new_own))
    }
}

impl HostSecret for RunState {
    fn drop(&mut self, _secret: Resource<Secret>) -> wasmtime::Result<()> {
        Ok(())
    }
}

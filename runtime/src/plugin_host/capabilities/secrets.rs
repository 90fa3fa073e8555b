//! Handles to the secrets of the settings. A handle holds the secret's number in the settings of
//! its run and nothing else, so that opening one reaches nothing and is no part of a recording.

use secrecy::ExposeSecret;
use serde::Serialize;
use wasmtime::component::Resource;

use super::bounds;
use super::text::Names;
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::secrets::{Host, HostSecret, Secret};

#[derive(Clone, Serialize)]
struct Of {
    /// JSON Pointer of the secret's setting.
    secret: String,
}

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

    fn hide(&mut self, text: String) -> wasmtime::Result<()> {
        self.host_call()?;
        self.hands_over(text.len())?;
        self.access.recorder.hide(&text);
        Ok(())
    }
}

impl HostSecret for RunState {
    /// Recorded: a replay has the places of secrets, and no values.
    fn length(&mut self, secret: Resource<Secret>) -> wasmtime::Result<u32> {
        let asked = Of {
            secret: Names(&self.access.secrets).secret(&secret)?,
        };
        let call = begin!(self, "secrets.length", &asked);
        let value = self.access.secrets.find(&asked.secret);
        let bytes = value.map_or(0, |value| value.expose_secret().len());
        Ok(self.answered(call, u32::try_from(bytes).unwrap_or(u32::MAX)))
    }

    fn drop(&mut self, _secret: Resource<Secret>) -> wasmtime::Result<()> {
        Ok(())
    }
}

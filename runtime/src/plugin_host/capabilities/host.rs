//! What this host supports beside functions and fields of the contract.

use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::host::Host;

use super::http;

/// Whether plugins may rely on a feature of this name.
pub(in crate::plugin_host) fn supports(feature: &str) -> bool {
    features().any(|name| name == feature)
}

/// Names of all features, as `host.features` returns them.
pub(in crate::plugin_host) fn features() -> impl Iterator<Item = String> {
    http::OPTIONS
        .iter()
        .map(|option| format!("http.request:{option}"))
}

impl Host for RunState {
    fn features(&mut self) -> wasmtime::Result<Vec<String>> {
        let call = begin!(self, "host.features", &());
        Ok(self.answered(call, features().collect()))
    }
}

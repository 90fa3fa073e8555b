//! Host calls of a guest: counted, weighed and recorded around the work of each capability, or
//! answered from a recording.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::state::RunState;
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::format::weight::weight;
use crate::plugin_host::recording::recorder::{CallId, HostCall};

impl RunState {
    /// Begins a host call: it is counted and weighed, and put on the call log or answered from a
    /// recording.
    pub(in crate::plugin_host) fn begin<Q, A>(
        &mut self,
        function: &'static str,
        request: &Q,
    ) -> wasmtime::Result<HostCall<A>>
    where
        Q: Serialize + Clone + Send + Sync + 'static,
        A: DeserializeOwned,
    {
        self.host_call()?;
        let weight = weight(request);
        self.hands_over(weight)?;
        match self
            .access
            .recorder
            .begin(function, request, weight)
            .map_err(wasmtime::Error::from)?
        {
            HostCall::Execute(call) => {
                self.account.call = CallCost::default();
                Ok(HostCall::Execute(call))
            }
            HostCall::Replayed((answer, cost)) => {
                self.account.charge(&cost);
                Ok(HostCall::Replayed(answer))
            }
        }
    }

    /// Ends it, at the cost that the account was charged with meanwhile.
    pub(in crate::plugin_host) fn answered<A>(&mut self, call: CallId, answer: A) -> A
    where
        A: Serialize + Clone + Send + Sync + 'static,
    {
        let cost = std::mem::take(&mut self.account.call);
        self.access.recorder.finish(call, &answer, cost);
        answer
    }
}

/// Begins a host call in a function of the contract, and returns from it when the call was answered
/// from a recording.
macro_rules! begin {
    ($state:expr, $function:literal, $request:expr) => {
        match $state.begin($function, $request)? {
            $crate::plugin_host::recording::recorder::HostCall::Execute(call) => call,
            $crate::plugin_host::recording::recorder::HostCall::Replayed(answer) => {
                return Ok(answer)
            }
        }
    };
}
pub(in crate::plugin_host) use begin;

//! Programs of the machine, for the probes that are part of this one.

use std::time::Duration;

use tokio::time::Instant;

use super::bounds;
use crate::domain::Capability;
use crate::net::{NetError, NetFailure};
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::contract::bindings::imports::programs::{Command, Finished, Host};

impl Host for RunState {
    async fn run(&mut self, command: Command) -> wasmtime::Result<Result<Finished, GuestError>> {
        let call = begin!(self, "programs.run", &command);
        self.sends(command.arguments.iter().map(String::len).sum())?;
        let start = Instant::now();
        let answer = self.run_program(command).await;
        self.waited_since(start);
        if let Ok(finished) = &answer {
            self.receives(finished.output.len() + finished.errors.len())?;
        }
        let answer = answer.map_err(|failure| self.net_failed(failure));
        Ok(self.answered(call, answer))
    }
}

impl RunState {
    async fn run_program(&mut self, command: Command) -> Result<Finished, NetFailure> {
        bounds::name("the path of the program", &command.program).map_err(NetError::Protocol)?;
        self.access.grants.capability(Capability::Programs)?;
        let deadline = self.call_deadline(command.timeout_ms);
        let most = deadline.saturating_duration_since(Instant::now());
        let programs = self.access.programs.clone();
        let ran = programs.run(&command.program, &command.arguments, most);
        let finished = ran.await?;
        let secrets = &self.access.secrets;
        let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Ok(Finished {
            code: finished.code,
            output: secrets.redact(&finished.output),
            errors: secrets.redact(&finished.errors),
            took_us: micros(finished.took),
            attributes: Vec::new(),
        })
    }
}

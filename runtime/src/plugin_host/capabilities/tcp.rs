//! A TCP connection that a guest holds for the length of its run.

use tokio::time::Instant;
use wasmtime::component::Resource;

use super::net::phases;
use crate::domain::{Capability, Phases};
use crate::net::{NetFailure, TcpConnection};
use crate::plugin_host::bindings::imports::net::{NetError as GuestError, Phases as GuestPhases};
use crate::plugin_host::bindings::imports::tcp::{Host, HostConnection};
use crate::plugin_host::state::RunState;

/// Largest answer to one `read`.
const READ_BYTES: u32 = 1 << 20;

#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection(TcpConnection);

impl Host for RunState {}

impl HostConnection for RunState {
    async fn open(
        &mut self,
        host: String,
        port: u16,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Resource<Connection>, GuestError>> {
        self.host_call()?;
        let start = Instant::now();
        let deadline = self.call_deadline(timeout_ms);
        let opened = match self.net(Capability::Tcp) {
            Ok((net, permission)) => net.tcp_open(&permission, &host, port, deadline).await,
            Err(failure) => Err(failure),
        };
        self.waited_since(start);
        match opened {
            Ok(connection) => {
                self.account.network(&connection.phases(), connection.total_us(), 0);
                Ok(Ok(self.table.push(Connection(connection))?))
            }
            Err(failure) => Ok(Err(self.net_failed(failure))),
        }
    }

    async fn write(
        &mut self,
        connection: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), GuestError>> {
        self.host_call()?;
        self.sends(bytes.len())?;
        let start = Instant::now();
        let deadline = self.net_deadline;
        let connection = &mut self.table.get_mut(&connection)?.0;
        connection.set_deadline(deadline);
        let written = connection.write(&bytes).await;
        self.waited_since(start);
        Ok(written.map_err(|failure| self.exchange_failed(failure, start)))
    }

    async fn read(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, GuestError>> {
        self.host_call()?;
        let start = Instant::now();
        let (deadline, most) = (self.net_deadline, (max.min(READ_BYTES) as usize).min(self.access.may_receive()));
        let connection = &mut self.table.get_mut(&connection)?.0;
        connection.set_deadline(deadline);
        let read = connection.read(most).await;
        self.waited_since(start);
        let waited = start.elapsed().as_micros() as u64;
        match read {
            Ok(bytes) => {
                let phases = Phases { body_us: Some(waited), ..Phases::default() };
                self.account.network(&phases, waited, bytes.len() as u64);
                self.receives(bytes.len())?;
                Ok(Ok(bytes))
            }
            Err(failure) => Ok(Err(self.exchange_failed(failure, start))),
        }
    }

    async fn phases(&mut self, connection: Resource<Connection>) -> wasmtime::Result<GuestPhases> {
        self.host_call()?;
        let connection = &self.table.get(&connection)?.0;
        Ok(phases(&connection.phases(), connection.total_us()))
    }

    async fn peer(&mut self, connection: Resource<Connection>) -> wasmtime::Result<String> {
        self.host_call()?;
        Ok(self.table.get(&connection)?.0.peer().to_string())
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl RunState {
    /// The connection's own phases were accounted when it opened: only the wait counts here.
    fn exchange_failed(&mut self, failure: NetFailure, start: Instant) -> GuestError {
        let total_us = start.elapsed().as_micros() as u64;
        self.net_failed(NetFailure { phases: Phases::default(), total_us, ..failure })
    }
}

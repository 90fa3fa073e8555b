//! A TCP connection that a guest holds for the length of its run.

use serde::Serialize;
use tokio::time::Instant;
use wasmtime::component::Resource;

use super::bounds;
use super::net::phases;
use crate::domain::{Capability, Phases};
use crate::net::{NetError, NetFailure, TcpConnection};
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::net::{
    NetError as GuestError, Phases as GuestPhases,
};
use crate::plugin_host::contract::bindings::imports::tcp::{Host, HostConnection};
use crate::plugin_host::recording::recorder::{Begun, begin};

/// Largest answer to one `read`.
const READ_BYTES: u32 = 1 << 20;

#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection {
    /// In the order of opening, from 1: what recordings call it.
    number: u32,
    /// None in a replay.
    link: Option<TcpConnection>,
}

impl Connection {
    /// A replay answers before anybody asks for it.
    fn link(&mut self) -> wasmtime::Result<&mut TcpConnection> {
        self.link
            .as_mut()
            .ok_or_else(|| wasmtime::Error::msg("a recorded connection leads nowhere"))
    }
}

#[derive(Clone, Serialize)]
struct Open {
    host: String,
    port: u16,
    timeout_ms: Option<u64>,
}

#[derive(Clone, Serialize)]
struct Write {
    connection: u32,
    bytes: Vec<u8>,
}

#[derive(Clone, Serialize)]
struct Read {
    connection: u32,
    max: u32,
}

#[derive(Clone, Serialize)]
struct Of {
    connection: u32,
}

impl Host for RunState {}

impl HostConnection for RunState {
    async fn open(
        &mut self,
        host: String,
        port: u16,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Resource<Connection>, GuestError>> {
        let asked = Open {
            host,
            port,
            timeout_ms,
        };
        let call = match self.begin("tcp.open", &asked)? {
            Begun::Perform(call) => call,
            Begun::Answered(Ok(())) => return self.connected(None).map(Ok),
            Begun::Answered(Err(error)) => return Ok(Err(error)),
        };
        let start = Instant::now();
        let opened = self.open_tcp(asked).await;
        self.waited_since(start);
        let (link, opened) = match opened {
            Ok(connection) => (Some(connection), Ok(())),
            Err(failure) => (None, Err(self.net_failed(failure))),
        };
        match self.answered(call, opened) {
            Ok(()) => self.connected(link).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn write(
        &mut self,
        connection: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), GuestError>> {
        let asked = Write {
            connection: self.number(&connection)?,
            bytes,
        };
        let call = begin!(self, "tcp.write", &asked);
        self.sends(asked.bytes.len())?;
        let start = Instant::now();
        let deadline = self.net_deadline;
        let link = self.table.get_mut(&connection)?.link()?;
        link.set_deadline(deadline);
        let written = link.write(&asked.bytes).await;
        self.waited_since(start);
        let written = written.map_err(|failure| self.exchange_failed(failure, start));
        Ok(self.answered(call, written))
    }

    async fn read(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<u8>, GuestError>> {
        let call = begin!(
            self,
            "tcp.read",
            &Read {
                connection: self.number(&connection)?,
                max
            }
        );
        let start = Instant::now();
        let (deadline, most) = (
            self.net_deadline,
            (max.min(READ_BYTES) as usize).min(self.access.may_receive()),
        );
        let link = self.table.get_mut(&connection)?.link()?;
        link.set_deadline(deadline);
        let read = link.read(most).await;
        self.waited_since(start);
        let waited = start.elapsed().as_micros() as u64;
        let read = match read {
            Ok(bytes) => {
                let phases = Phases {
                    body_us: Some(waited),
                    ..Phases::default()
                };
                self.account.network(&phases, waited, bytes.len() as u64);
                self.receives(bytes.len())?;
                Ok(bytes)
            }
            Err(failure) => Err(self.exchange_failed(failure, start)),
        };
        Ok(self.answered(call, read))
    }

    async fn phases(&mut self, connection: Resource<Connection>) -> wasmtime::Result<GuestPhases> {
        let call = begin!(
            self,
            "tcp.phases",
            &Of {
                connection: self.number(&connection)?
            }
        );
        let link = self.table.get_mut(&connection)?.link()?;
        let phases = phases(&link.phases(), link.total_us());
        Ok(self.answered(call, phases))
    }

    async fn peer(&mut self, connection: Resource<Connection>) -> wasmtime::Result<String> {
        let call = begin!(
            self,
            "tcp.peer",
            &Of {
                connection: self.number(&connection)?
            }
        );
        let peer = self.table.get_mut(&connection)?.link()?.peer().to_string();
        Ok(self.answered(call, peer))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl RunState {
    async fn open_tcp(&mut self, asked: Open) -> Result<TcpConnection, NetFailure> {
        bounds::name("the host", &asked.host).map_err(NetError::Protocol)?;
        let deadline = self.call_deadline(asked.timeout_ms);
        let (net, permission) = self.net(Capability::Tcp)?;
        let connection = net
            .tcp_open(&permission, &asked.host, asked.port, deadline)
            .await?;
        self.account
            .network(&connection.phases(), connection.total_us(), 0);
        Ok(connection)
    }

    fn connected(&mut self, link: Option<TcpConnection>) -> wasmtime::Result<Resource<Connection>> {
        self.account.connections += 1;
        Ok(self.table.push(Connection {
            number: self.account.connections,
            link,
        })?)
    }

    fn number(&self, connection: &Resource<Connection>) -> wasmtime::Result<u32> {
        Ok(self.table.get(connection)?.number)
    }

    /// The connection's own phases were accounted when it opened: only the wait counts here.
    fn exchange_failed(&mut self, failure: NetFailure, start: Instant) -> GuestError {
        let total_us = start.elapsed().as_micros() as u64;
        self.net_failed(NetFailure {
            phases: Phases::default(),
            total_us,
            ..failure
        })
    }
}

//! A TCP connection that a guest holds for the length of its run, plain or with TLS.

pub(in crate::plugin_host) mod connection;
mod piece;

use serde::Serialize;
use tokio::time::Instant;
use wasmtime::component::Resource;

use self::connection::{Connection, Secured};
use self::piece::Piece;
use super::bounds;
use super::http::Renderer;
use super::net::{certificate, phases};
use crate::domain::{Capability, Phases};
use crate::net::{NetError, NetFailure, StartTls, Stream, TlsSession};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::net::{
    NetError as GuestError, Phases as GuestPhases, Target,
};
use crate::plugin_host::contract::bindings::imports::stream::{
    Host, HostConnection, Session, TlsOptions,
};
use crate::plugin_host::contract::bindings::secrets::Piece as GuestPiece;
use crate::plugin_host::policy::reach::Weakened;
use crate::plugin_host::recording::recorder::HostCall;

/// Limit of the answer to one `read`.
const READ_BYTES: u32 = 1 << 20;

#[derive(Clone, Serialize)]
struct Secure {
    connection: u32,
    options: TlsOptions,
}

#[derive(Clone, Serialize)]
struct Write {
    connection: u32,
    bytes: Vec<u8>,
}

#[derive(Clone, Serialize)]
struct WritePieces {
    connection: u32,
    pieces: Vec<Piece>,
}

#[derive(Clone, Serialize)]
struct Read {
    connection: u32,
    max: u32,
    timeout_ms: Option<u64>,
}

#[derive(Clone, Serialize)]
struct Of {
    connection: u32,
}

impl Host for RunState {}

impl HostConnection for RunState {
    async fn connect(
        &mut self,
        target: Target,
    ) -> wasmtime::Result<Result<Resource<Connection>, GuestError>> {
        let call = match self.begin("stream.connect", &target)? {
            HostCall::Execute(call) => call,
            HostCall::Replayed(Ok(())) => return self.connected(None).map(Ok),
            HostCall::Replayed(Err(error)) => return Ok(Err(error)),
        };
        // A name can carry data out.
        self.sends(target.host.len())?;
        let start = Instant::now();
        let opened = self.open_stream(&target).await;
        self.waited_since(start);
        let (stream, opened) = match opened {
            Ok(stream) => (Some(stream), Ok(())),
            Err(failure) => (None, Err(self.net_failed(failure))),
        };
        match self.answered(call, opened) {
            Ok(()) => self.connected(stream).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn start_tls(
        &mut self,
        connection: Resource<Connection>,
        options: TlsOptions,
    ) -> wasmtime::Result<Result<Session, GuestError>> {
        let asked = Secure {
            connection: self.number(&connection)?,
            options,
        };
        let call = begin!(self, "stream.start-tls", &asked);
        let options = asked.options;
        // A name can carry data out.
        let names = options.server_name.iter().chain(&options.alpn);
        self.sends(names.map(String::len).sum())?;
        if let Err(text) = bounds::tls_options(&options) {
            let error = self.net_failed(NetError::Protocol(text).into());
            return Ok(self.answered(call, Err(error)));
        }
        let start = Instant::now();
        let deadline = self.call_deadline(options.timeout_ms);
        let held = self.table.get_mut(&connection)?;
        if let Err(error) = held.is_read_up() {
            let error = self.exchange_failed(error.into(), start);
            return Ok(self.answered(call, Err(error)));
        }
        let stream = held.stream()?;
        let options = StartTls {
            server_name: options.server_name,
            accept_untrusted: options.accept_untrusted,
            alpn: options.alpn,
        };
        let secured = stream.start_tls(&options, deadline).await;
        let tls_us = stream.phases().tls_us;
        if let Ok(found) = &secured {
            held.secured = Some(Secured {
                is_untrusted: found.untrusted.is_some(),
                server_name: options.server_name,
            });
        }
        self.waited_since(start);
        let secured = match secured {
            Ok(found) => {
                let phases = Phases {
                    tls_us,
                    ..Phases::default()
                };
                self.account.network(&phases, micros_since(start), 0);
                Ok(session(found))
            }
            Err(failure) => Err(self.exchange_failed(failure, start)),
        };
        Ok(self.answered(call, secured))
    }

    async fn read(
        &mut self,
        connection: Resource<Connection>,
        max: u32,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Vec<u8>, GuestError>> {
        let asked = Read {
            connection: self.number(&connection)?,
            max,
            timeout_ms,
        };
        let call = begin!(self, "stream.read", &asked);
        let start = Instant::now();
        let deadline = self.call_deadline(timeout_ms);
        let max = (max.min(READ_BYTES) as usize).min(self.access.may_receive());
        let redactor = self.access.secrets.redactor();
        let held = self.table.get_mut(&connection)?;
        let read = held.read(max, deadline, &redactor).await?;
        self.waited_since(start);
        let read = self.received(read, start)?;
        Ok(self.answered(call, read))
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
        let call = begin!(self, "stream.write", &asked);
        let written = self.write_all(&connection, &asked.bytes).await?;
        Ok(self.answered(call, written))
    }

    async fn write_pieces(
        &mut self,
        connection: Resource<Connection>,
        pieces: Vec<GuestPiece>,
    ) -> wasmtime::Result<Result<(), GuestError>> {
        let asked = WritePieces {
            connection: self.number(&connection)?,
            pieces: Piece::all(pieces, &self.access.secrets)?,
        };
        let call = begin!(self, "stream.write-pieces", &asked);
        let held = self.table.get(&connection)?;
        let written = match with_secrets(&self.access, held, &asked.pieces) {
            Ok(bytes) => self.write_all(&connection, &bytes).await?,
            Err(failure) => Err(self.net_failed(failure)),
        };
        Ok(self.answered(call, written))
    }

    async fn phases(&mut self, connection: Resource<Connection>) -> wasmtime::Result<GuestPhases> {
        let asked = Of {
            connection: self.number(&connection)?,
        };
        let call = begin!(self, "stream.phases", &asked);
        let stream = self.table.get_mut(&connection)?.stream()?;
        let phases = phases(&stream.phases(), stream.total_us());
        Ok(self.answered(call, phases))
    }

    async fn peer(&mut self, connection: Resource<Connection>) -> wasmtime::Result<String> {
        let asked = Of {
            connection: self.number(&connection)?,
        };
        let call = begin!(self, "stream.peer", &asked);
        let stream = self.table.get_mut(&connection)?.stream()?;
        let peer = stream.peer().to_string();
        Ok(self.answered(call, peer))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl RunState {
    async fn open_stream(&mut self, target: &Target) -> Result<Stream, NetFailure> {
        bounds::target(target).map_err(NetError::Protocol)?;
        let deadline = self.call_deadline(target.timeout_ms);
        let (net, permission) = self.net(Capability::Stream)?;
        let stream = net
            .stream_connect(&permission, &target.host, target.port, deadline)
            .await?;
        self.account.network(&stream.phases(), stream.total_us(), 0);
        Ok(stream)
    }

    fn connected(&mut self, stream: Option<Stream>) -> wasmtime::Result<Resource<Connection>> {
        let number = self.next_connection();
        Ok(self.table.push(Connection::new(number, stream))?)
    }

    async fn write_all(
        &mut self,
        connection: &Resource<Connection>,
        bytes: &[u8],
    ) -> wasmtime::Result<Result<(), GuestError>> {
        self.sends(bytes.len())?;
        let start = Instant::now();
        let deadline = self.net_deadline;
        let stream = self.table.get_mut(connection)?.stream()?;
        let written = stream.write(bytes, deadline).await;
        self.waited_since(start);
        Ok(written.map_err(|failure| self.exchange_failed(failure, start)))
    }

    fn number(&self, connection: &Resource<Connection>) -> wasmtime::Result<u32> {
        Ok(self.table.get(connection)?.number)
    }

    /// Returns the number of a connection or socket that was just opened.
    pub(super) fn next_connection(&mut self) -> u32 {
        self.account.connections += 1;
        self.account.connections
    }

    /// Accounts what came from an open connection, or why nothing did.
    pub(super) fn received(
        &mut self,
        read: Result<Vec<u8>, NetFailure>,
        start: Instant,
    ) -> wasmtime::Result<Result<Vec<u8>, GuestError>> {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(failure) => return Ok(Err(self.exchange_failed(failure, start))),
        };
        let waited = micros_since(start);
        let phases = Phases {
            body_us: Some(waited),
            ..Phases::default()
        };
        self.account.network(&phases, waited, bytes.len() as u64);
        self.receives(bytes.len())?;
        Ok(Ok(bytes))
    }

    /// Accounts a failure of an open connection: its phases were accounted when they ended, so only
    /// the wait counts here.
    pub(super) fn exchange_failed(&mut self, failure: NetFailure, start: Instant) -> GuestError {
        self.net_failed(NetFailure {
            phases: Phases::default(),
            total_us: micros_since(start),
            ..failure
        })
    }
}

/// Returns the bytes of the pieces, if their secrets may go where the connection leads.
fn with_secrets(
    access: &Access,
    connection: &Connection,
    pieces: &[Piece],
) -> Result<Vec<u8>, NetFailure> {
    bounds::pieces(pieces.iter().map(Piece::chunks)).map_err(NetError::Protocol)?;
    if pieces.iter().any(Piece::has_secret) {
        check_secret(access, connection)?;
    }
    let mut bytes = Vec::new();
    let renderer = Renderer(&access.secrets);
    for piece in pieces {
        piece.write(&renderer, &mut bytes)?;
    }
    Ok(bytes)
}

/// Checks that a secret may go where a connection leads, as it is protected now.
fn check_secret(access: &Access, connection: &Connection) -> Result<(), NetFailure> {
    let Some(stream) = &connection.stream else {
        return Ok(());
    };
    let (scope, secured) = (&access.scope, &connection.secured);
    let port = stream.peer().port();
    scope.check_stream(&access.grants, stream.host(), port, secured.is_none())?;
    secured.as_ref().map_or(Ok(()), |secured| {
        scope.check_weakened(&Weakened {
            insecure: secured.is_untrusted,
            server_name: secured.server_name.as_deref(),
        })
    })
}

fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn session(found: TlsSession) -> Session {
    Session {
        protocol: found.protocol,
        cipher: found.cipher,
        chain: found.chain.into_iter().map(certificate).collect(),
        untrusted: found.untrusted,
        alpn: found.alpn,
        attributes: Vec::new(),
    }
}

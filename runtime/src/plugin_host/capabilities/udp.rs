//! A socket to one peer that a guest holds for the length of its run.

pub(in crate::plugin_host) mod socket;

use serde::Serialize;
use tokio::time::Instant;
use wasmtime::component::Resource;

use self::socket::Socket;
use super::bounds;
use super::net::phases;
use crate::domain::Capability;
use crate::net::{NetError, NetFailure, UdpPeer};
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::net::{
    NetError as GuestError, Phases as GuestPhases, Target,
};
use crate::plugin_host::contract::bindings::imports::udp::{Host, HostSocket};
use crate::plugin_host::recording::recorder::HostCall;

#[derive(Clone, Serialize)]
struct Send {
    socket: u32,
    datagram: Vec<u8>,
}

#[derive(Clone, Serialize)]
struct Receive {
    socket: u32,
    max: u32,
    timeout_ms: Option<u64>,
}

#[derive(Clone, Serialize)]
struct Of {
    socket: u32,
}

impl Host for RunState {}

impl HostSocket for RunState {
    async fn open(
        &mut self,
        target: Target,
    ) -> wasmtime::Result<Result<Resource<Socket>, GuestError>> {
        let call = match self.begin("udp.open", &target)? {
            HostCall::Execute(call) => call,
            HostCall::Replayed(Ok(())) => return self.opened(None).map(Ok),
            HostCall::Replayed(Err(error)) => return Ok(Err(error)),
        };
        // A name can carry data out.
        self.sends(target.host.len())?;
        let start = Instant::now();
        let opened = self.open_udp(&target).await;
        self.waited_since(start);
        let (peer, opened) = match opened {
            Ok(peer) => (Some(peer), Ok(())),
            Err(failure) => (None, Err(self.net_failed(failure))),
        };
        match self.answered(call, opened) {
            Ok(()) => self.opened(peer).map(Ok),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn send(
        &mut self,
        socket: Resource<Socket>,
        datagram: Vec<u8>,
    ) -> wasmtime::Result<Result<(), GuestError>> {
        let asked = Send {
            socket: self.socket_number(&socket)?,
            datagram,
        };
        let call = begin!(self, "udp.send", &asked);
        self.sends(asked.datagram.len())?;
        let start = Instant::now();
        let deadline = self.net_deadline;
        let peer = self.table.get_mut(&socket)?.peer()?;
        let sent = peer.send(&asked.datagram, deadline).await;
        self.waited_since(start);
        let sent = sent.map_err(|failure| self.exchange_failed(failure, start));
        Ok(self.answered(call, sent))
    }

    async fn receive(
        &mut self,
        socket: Resource<Socket>,
        max: u32,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Vec<u8>, GuestError>> {
        let asked = Receive {
            socket: self.socket_number(&socket)?,
            max,
            timeout_ms,
        };
        let call = begin!(self, "udp.receive", &asked);
        let start = Instant::now();
        let deadline = self.call_deadline(timeout_ms);
        let peer = self.table.get_mut(&socket)?.peer()?;
        let received = peer.receive(max as usize, deadline).await;
        let received = received.map(|bytes| {
            let secrets = &self.access.secrets;
            secrets.redact_body(bytes.into(), false).into()
        });
        self.waited_since(start);
        let received = self.received(received, start)?;
        Ok(self.answered(call, received))
    }

    async fn phases(&mut self, socket: Resource<Socket>) -> wasmtime::Result<GuestPhases> {
        let asked = Of {
            socket: self.socket_number(&socket)?,
        };
        let call = begin!(self, "udp.phases", &asked);
        let peer = self.table.get_mut(&socket)?.peer()?;
        let phases = phases(&peer.phases(), peer.total_us());
        Ok(self.answered(call, phases))
    }

    async fn peer(&mut self, socket: Resource<Socket>) -> wasmtime::Result<String> {
        let asked = Of {
            socket: self.socket_number(&socket)?,
        };
        let call = begin!(self, "udp.peer", &asked);
        let peer = self.table.get_mut(&socket)?.peer()?.peer().to_string();
        Ok(self.answered(call, peer))
    }

    async fn drop(&mut self, socket: Resource<Socket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}

impl RunState {
    async fn open_udp(&mut self, target: &Target) -> Result<UdpPeer, NetFailure> {
        bounds::target(target).map_err(NetError::Protocol)?;
        let deadline = self.call_deadline(target.timeout_ms);
        let (net, permission) = self.net(Capability::Udp)?;
        let peer = net
            .udp_open(&permission, &target.host, target.port, deadline)
            .await?;
        self.account.network(&peer.phases(), peer.total_us(), 0);
        Ok(peer)
    }

    fn opened(&mut self, peer: Option<UdpPeer>) -> wasmtime::Result<Resource<Socket>> {
        let number = self.next_connection();
        Ok(self.table.push(Socket { number, peer })?)
    }

    fn socket_number(&self, socket: &Resource<Socket>) -> wasmtime::Result<u32> {
        Ok(self.table.get(socket)?.number)
    }
}

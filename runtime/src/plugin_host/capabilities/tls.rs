//! A TLS handshake whose certificates may be looked at, trusted or not.

use serde::Serialize;
use tokio::time::Instant;

use super::bounds;
use super::net::{certificate, phases};
use crate::domain::Capability;
use crate::net::{NetError, NetFailure};
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::contract::bindings::imports::tls::{Host, Session};
use crate::plugin_host::recording::recorder::begin;

#[derive(Clone, Serialize)]
struct Handshake {
    host: String,
    port: u16,
    server_name: Option<String>,
    timeout_ms: Option<u64>,
}

impl Host for RunState {
    async fn handshake(
        &mut self,
        host: String,
        port: u16,
        server_name: Option<String>,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Session, GuestError>> {
        let asked = Handshake {
            host,
            port,
            server_name,
            timeout_ms,
        };
        let call = begin!(self, "tls.handshake", &asked);
        // A server name can carry data out.
        self.sends(asked.host.len() + asked.server_name.as_ref().map_or(0, String::len))?;
        let start = Instant::now();
        let session = self.shake_hands(asked).await;
        self.waited_since(start);
        let session = session.map_err(|failure| self.net_failed(failure));
        Ok(self.answered(call, session))
    }
}

impl RunState {
    async fn shake_hands(&mut self, asked: Handshake) -> Result<Session, NetFailure> {
        let Handshake {
            host,
            port,
            server_name,
            timeout_ms,
        } = asked;
        bounds::name("the host", &host).map_err(NetError::Protocol)?;
        bounds::name(
            "the server name",
            server_name.as_deref().unwrap_or_default(),
        )
        .map_err(NetError::Protocol)?;
        let deadline = self.call_deadline(timeout_ms);
        let (net, permission) = self.net(Capability::Tls)?;
        let session = net
            .tls_handshake(&permission, &host, port, server_name.as_deref(), deadline)
            .await?;
        self.account.network(&session.phases, session.total_us, 0);
        Ok(Session {
            protocol: session.protocol,
            cipher: session.cipher,
            chain: session.chain.into_iter().map(certificate).collect(),
            untrusted: session.untrusted,
            phases: phases(&session.phases, session.total_us),
            peer: session.peer.to_string(),
        })
    }
}

//! A TLS handshake whose certificates may be looked at, trusted or not.

use tokio::time::Instant;

use super::net::{certificate, phases};
use crate::domain::Capability;
use crate::plugin_host::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::bindings::imports::tls::{Host, Session};
use crate::plugin_host::state::RunState;

impl Host for RunState {
    async fn handshake(
        &mut self,
        host: String,
        port: u16,
        server_name: Option<String>,
        timeout_ms: Option<u64>,
    ) -> wasmtime::Result<Result<Session, GuestError>> {
        self.host_call()?;
        let start = Instant::now();
        let deadline = self.call_deadline(timeout_ms);
        let session = match self.net(Capability::Tls) {
            Ok((net, permission)) => {
                net.tls_handshake(&permission, &host, port, server_name.as_deref(), deadline).await
            }
            Err(failure) => Err(failure),
        };
        self.waited_since(start);
        match session {
            Ok(session) => {
                self.account.network(&session.phases, session.total_us, 0);
                Ok(Ok(Session {
                    protocol: session.protocol,
                    cipher: session.cipher,
                    chain: session.chain.into_iter().map(certificate).collect(),
                    untrusted: session.untrusted,
                    phases: phases(&session.phases, session.total_us),
                    peer: session.peer.to_string(),
                }))
            }
            Err(failure) => Ok(Err(self.net_failed(failure))),
        }
    }
}

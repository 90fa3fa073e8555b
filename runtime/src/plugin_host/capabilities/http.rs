//! One HTTP request: secrets and credentials are put in here, after the guest and before the policy.

use tokio::time::Instant;

use super::net::{certificate, phases};
use crate::domain::Capability;
use crate::net::{HttpRequest, NetError, NetFailure};
use crate::plugin_host::bindings::imports::http::{Host, Request, Response};
use crate::plugin_host::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::bindings::imports::types::Value;
use crate::plugin_host::credentials::authorize;
use crate::plugin_host::state::RunState;

/// Headers that decide where a request goes and where it ends: the host's own.
const FORBIDDEN: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "proxy-authorization"];

impl Host for RunState {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, GuestError>> {
        self.host_call()?;
        let headers = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let body = request.body.as_ref().map_or(0, Vec::len);
        self.sends(request.method.len() + request.url.len() + headers + body)?;
        let start = Instant::now();
        let answer = self.send_http(request).await;
        self.waited_since(start);
        self.received()?;
        Ok(answer.map_err(|failure| self.net_failed(failure)))
    }
}

impl RunState {
    async fn send_http(&mut self, request: Request) -> Result<Response, NetFailure> {
        let (net, permission) = self.net(Capability::Http)?;
        self.allowance.method(&request.method)?;
        let secrets = &self.access.secrets;
        let url = secrets.reveal(&request.url);
        if let Some((name, _)) = request
            .headers
            .iter()
            .find(|(name, _)| FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)))
        {
            return Err(NetFailure::denied(format!("header `{name}` is set by the host, not by plugins")));
        }
        let mut call = HttpRequest::new(&request.method, &url, self.call_deadline(request.timeout_ms));
        call.headers = request.headers.into_iter().map(|(name, value)| (name, secrets.reveal(&value))).collect();
        call.body = request.body.map(Into::into);
        for option in request.options {
            match (option.key.as_str(), option.value) {
                ("insecure", Value::Boolean(insecure)) => call.insecure = insecure,
                ("max-body-bytes", Value::Integer(bytes)) => call.max_body_bytes = Some(bytes.max(0) as usize),
                ("server-name", Value::Text(name)) => call.server_name = Some(name),
                (key, _) => {
                    return Err(NetError::Protocol(format!(
                        "request option `{key}` is unknown or of the wrong type; known: `insecure`, `max-body-bytes`, `server-name`"
                    ))
                    .into());
                }
            }
        }
        if let Some(name) = &request.auth {
            self.allowance.credential(name)?;
            authorize(&mut call, name, &self.access.credentials, self.access.credential_host.as_deref())?;
        }
        call.max_body_bytes = Some(call.max_body_bytes.unwrap_or(usize::MAX).min(self.may_receive()));
        let response = net.http(&permission, call).await?;
        self.account.network(&response.phases, response.total_us, response.body.len() as u64);
        Ok(Response {
            status: response.status,
            version: response.version.to_owned(),
            headers: response.headers,
            body: response.body.into(),
            truncated: response.truncated,
            phases: phases(&response.phases, response.total_us),
            peer: response.peer.to_string(),
            certificate: response.certificate.map(certificate),
        })
    }
}

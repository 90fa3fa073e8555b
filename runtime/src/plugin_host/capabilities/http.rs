//! One HTTP request: secrets and credentials are put in here, after the guest and before the policy. `wasi:http` comes here too.

use std::sync::Arc;

use tokio::time::Instant;

use super::net::{certificate, phases};
use crate::net::{HttpRequest, HttpResponse, NetError, NetFailure};
use crate::plugin_host::bindings::imports::http::{Host, Request, Response};
use crate::plugin_host::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::bindings::imports::types::Value;
use crate::plugin_host::credentials::{authorize, basic};
use crate::plugin_host::secrets::BodyEncoding;
use crate::plugin_host::state::{Access, RunState};

/// Headers that decide where a request goes and where it ends: the host's own.
pub(super) const FORBIDDEN: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "proxy-authorization"];

impl Host for RunState {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, GuestError>> {
        self.host_call()?;
        let start = Instant::now();
        let deadline = self.call_deadline(request.timeout_ms);
        let answer = Sender::new(&self.access, &self.label.plugin).send(request, deadline).await;
        self.waited_since(start);
        Ok(match answer {
            Ok(response) => {
                self.account.network(&response.phases, response.total_us, response.body.len() as u64);
                Ok(to_guest(response))
            }
            Err(failure) => Err(self.net_failed(failure)),
        })
    }
}

/// Sends for a run: on its store, or beside it.
#[derive(Clone)]
pub(super) struct Sender {
    access: Arc<Access>,
    plugin: Arc<str>,
}

impl Sender {
    pub(super) fn new(access: &Arc<Access>, plugin: &Arc<str>) -> Self {
        Self { access: access.clone(), plugin: plugin.clone() }
    }

    /// `deadline` takes the place of the request's own time-out.
    pub(super) async fn send(&self, request: Request, deadline: Instant) -> Result<HttpResponse, NetFailure> {
        let (net, permission) = self.access.net(&self.plugin)?;
        let secrets = &self.access.secrets;
        let url = secrets.reveal(&request.url);
        if let Some((name, _)) = request.headers.iter().find(|(name, _)| is_forbidden(name)) {
            return Err(NetFailure::denied(format!("header `{name}` is set by the host, not by plugins")));
        }
        let mut call = HttpRequest::new(&request.method, &url, deadline);
        call.headers = request.headers.into_iter().map(|(name, value)| (name, secrets.reveal(&value))).collect();
        call.body = request.body.map(Into::into);
        for option in request.options {
            match (option.key.as_str(), option.value) {
                ("insecure", Value::Boolean(insecure)) => call.insecure = insecure,
                ("max-body-bytes", Value::Integer(bytes)) => call.max_body_bytes = Some(bytes.max(0) as usize),
                ("server-name", Value::Text(name)) => call.server_name = Some(name),
                ("basic-auth", Value::Text(pair)) => {
                    call.headers.push(("authorization".to_owned(), basic(&secrets.reveal(&pair))));
                }
                ("secrets-in-body", Value::Text(encoding)) => {
                    let Some(encoding) = BodyEncoding::parse(&encoding) else {
                        return Err(NetError::Protocol(format!(
                            "request option `secrets-in-body` is `{encoding}`; known: `json`, `form`"
                        ))
                        .into());
                    };
                    call.body = call.body.map(|body| secrets.reveal_in_body(&body, encoding).into());
                }
                (key, _) => {
                    return Err(NetError::Protocol(format!(
                        "request option `{key}` is unknown or of the wrong type; known: `insecure`, \
                         `max-body-bytes`, `server-name`, `basic-auth`, `secrets-in-body`"
                    ))
                    .into());
                }
            }
        }
        if let Some(name) = &request.auth {
            authorize(&mut call, name, &self.access.credentials, self.access.credential_host.as_deref())?;
        }
        net.http(&permission, call).await
    }
}

pub(super) fn is_forbidden(name: &str) -> bool {
    FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

fn to_guest(response: HttpResponse) -> Response {
    Response {
        status: response.status,
        version: response.version.to_owned(),
        headers: response.headers,
        body: response.body.into(),
        truncated: response.truncated,
        phases: phases(&response.phases, response.total_us),
        peer: response.peer.to_string(),
        certificate: response.certificate.map(certificate),
    }
}

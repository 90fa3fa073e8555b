//! One HTTP request: secrets and credentials are put in here, after the guest and before the policy.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use tokio::time::Instant;
use url::Url;

use super::net::{certificate, phases};
use crate::domain::{Credential, CredentialKind};
use crate::net::{HttpRequest, NetError, NetFailure};
use crate::plugin_host::bindings::imports::http::{Host, Request, Response};
use crate::plugin_host::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::bindings::imports::types::Value;
use crate::plugin_host::secrets::{host_name, host_of_url};
use crate::plugin_host::state::RunState;

/// Headers that decide where a request goes and where it ends: the host's own.
const FORBIDDEN: [&str; 6] =
    ["host", "content-length", "transfer-encoding", "connection", "upgrade", "proxy-authorization"];

impl Host for RunState {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, GuestError>> {
        self.host_call()?;
        let start = Instant::now();
        let answer = self.send_http(request).await;
        self.waited_since(start);
        Ok(answer.map_err(|failure| self.net_failed(failure)))
    }
}

impl RunState {
    async fn send_http(&mut self, request: Request) -> Result<Response, NetFailure> {
        let (net, permission) = self.net()?;
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
            authorize(&mut call, name, &self.access.credentials, self.access.credential_host.as_deref())?;
        }
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

/// Adds the credential, and only towards the service's own host.
fn authorize(
    call: &mut HttpRequest,
    name: &str,
    credentials: &[Credential],
    own_host: Option<&str>,
) -> Result<(), NetFailure> {
    let Some(credential) = credentials.iter().find(|credential| credential.name == name) else {
        return Err(NetFailure::denied(format!(
            "the service has no credential `{name}`; write it under `authentication` of the service"
        )));
    };
    let target = host_of_url(&call.url);
    if target.as_deref().map(host_name) != own_host.map(host_name) {
        return Err(NetFailure::denied(format!(
            "credential `{name}` goes to the service's own host `{}` only",
            own_host.unwrap_or_default()
        )));
    }
    let header = |name: &str, value: String| (name.to_owned(), value);
    match &credential.kind {
        CredentialKind::Header { header: name, value } => {
            call.headers.push(header(name, value.expose_secret().to_owned()));
        }
        CredentialKind::Bearer { token } => {
            call.headers.push(header("authorization", format!("Bearer {}", token.expose_secret())));
        }
        CredentialKind::Basic { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
            call.headers.push(header("authorization", format!("Basic {pair}")));
        }
        CredentialKind::Query { parameter, value } => {
            let mut url =
                Url::parse(&call.url).map_err(|error| NetError::Protocol(format!("the URL is not one: {error}")))?;
            url.query_pairs_mut().append_pair(parameter, value.expose_secret());
            call.url = url.into();
        }
    }
    Ok(())
}

//! One HTTP request: secrets and credentials are put in here, after the guest and before the
//! policy. `wasi:http` comes here too.

use std::sync::Arc;

use extrack_signatures::Scheme;
use tokio::time::Instant;

use super::bounds;
use super::net::{certificate, phases};
use crate::domain::{Capability, now_ms};
use crate::net::{HttpRequest, HttpResponse, NetError, NetFailure};
use crate::plugin_host::capabilities::outgoing;
use crate::plugin_host::capabilities::outgoing::Way;
use crate::plugin_host::capabilities::state::{Access, RunLabel, RunState};
use crate::plugin_host::contract::bindings::imports::http::{Host, Request, Response};
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::contract::bindings::imports::types::Value;
use crate::plugin_host::engine::memory::HostMemory;
use crate::plugin_host::policy::credentials::basic;
use crate::plugin_host::policy::reach::Weakened;
use crate::plugin_host::policy::secrets::{BodyEncoding, SealedSettings};
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::format::weight::weight;
use crate::plugin_host::recording::recorder::Step;
use crate::plugin_host::replay::ReplayStop;

impl Host for RunState {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, GuestError>> {
        self.host_call()?;
        let deadline = self.call_deadline(request.timeout_ms);
        let sent = Sender::new(&self.access, &self.label)
            .send(request, deadline)
            .await?;
        self.account.charge(&sent.cost);
        self.within_budget()?;
        Ok(sent.answer)
    }
}

/// What a request came to, as the guest sees it.
pub(super) struct Sent {
    pub(super) answer: Result<Response, GuestError>,
    pub(super) cost: CallCost,
    /// Of its body.
    pub(super) held: HostMemory,
}

/// Sends for a run: on its store, or beside it.
#[derive(Clone)]
pub(super) struct Sender {
    access: Arc<Access>,
    label: RunLabel,
}

impl Sender {
    pub(super) fn new(access: &Arc<Access>, label: &RunLabel) -> Self {
        Self {
            access: access.clone(),
            label: label.clone(),
        }
    }

    /// Sends and records it, or answers from a recording. `deadline` takes the place of the
    /// request's own time-out.
    pub(super) async fn send(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<Sent, ReplayStop> {
        let recorder = &self.access.recorder;
        let weight = weight(&request);
        let call = match recorder.begin("http.send", &request, weight)? {
            Step::Perform(call) => call,
            Step::Answered(answer, cost) => {
                return Ok(Sent {
                    answer,
                    cost,
                    held: HostMemory::default(),
                });
            }
        };
        let start = Instant::now();
        let performed = match self
            .access
            .hands_over(weight)
            .and_then(|()| self.access.holds(weight))
        {
            Ok(_request) => self.perform(request, deadline).await,
            Err(failure) => Err(failure),
        };
        let mut held = HostMemory::default();
        let performed = performed.and_then(|response| {
            held = self.access.holds(response.body.len())?;
            Ok(response)
        });
        let (answer, mut cost) = match performed {
            Ok(response) => {
                let cost = CallCost {
                    net_us: Some(response.total_us),
                    phases: response.phases,
                    bytes_in: response.received_bytes,
                    ..CallCost::default()
                };
                (Ok(to_guest(response)), cost)
            }
            Err(failure) => {
                let (error, cost) = self.access.net_failed(failure);
                (Err(error), cost)
            }
        };
        cost.waited_us = start.elapsed().as_micros() as u64;
        // Over its budget the run ends here, and the guest never gets to see it.
        if self.access.exceeded().is_none() {
            recorder.finish(call, &answer, cost.clone());
        }
        Ok(Sent { answer, cost, held })
    }

    async fn perform(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<HttpResponse, NetFailure> {
        bounds::request(&request).map_err(NetError::Protocol)?;
        outgoing::check(&request.method, &request.url, &request.headers)?;
        let (net, permission) = self.access.net(Capability::Http)?;
        self.access.allowance.method(&request.method)?;
        self.access.sends(size(&request))?;
        let secrets = &self.access.secrets;
        let url = secrets.reveal(&request.url);
        let names_secret = names_secret(secrets, &request);
        if names_secret {
            self.access
                .scope
                .check_secret(&self.access.allowance, &url)?;
        }
        let mut call = HttpRequest::new(&request.method, &url, deadline);
        call.headers = request
            .headers
            .into_iter()
            .map(|(name, value)| (name, secrets.reveal(&value)))
            .collect();
        call.body = request.body.map(Into::into);
        let mut signed = None;
        for option in request.options {
            match (option.key.as_str(), option.value) {
                ("insecure", Value::Boolean(insecure)) => call.insecure = insecure,
                ("max-body-bytes", Value::Integer(bytes)) => {
                    call.max_body_bytes = Some(bytes.max(0) as usize)
                }
                ("decompress", Value::Boolean(decompress)) => call.decompress = decompress,
                ("text", Value::Boolean(text)) => call.text = text,
                ("server-name", Value::Text(name)) => call.server_name = Some(name),
                ("basic-auth", Value::Text(pair)) => {
                    call.headers
                        .push(("authorization".to_owned(), basic(&secrets.reveal(&pair))));
                }
                ("standard-webhooks", Value::Text(pair)) => signed = Some(pair),
                ("secrets-in-body", Value::Text(encoding)) => {
                    let Some(encoding) = BodyEncoding::parse(&encoding) else {
                        return Err(NetError::Protocol(format!(
                            "request option `secrets-in-body` is `{encoding}`; known: `json`, `form`"
                        ))
                        .into());
                    };
                    call.body = call
                        .body
                        .map(|body| secrets.reveal_in_body(&body, encoding).into());
                }
                (key, _) => {
                    return Err(NetError::Protocol(format!(
                        "request option `{key}` is unknown or of the wrong type; known: `insecure`, \
                         `max-body-bytes`, `decompress`, `text`, `server-name`, `basic-auth`, \
                         `standard-webhooks`, `secrets-in-body`"
                    ))
                    .into());
                }
            }
        }
        // The body as it leaves.
        if let Some(pair) = signed {
            call.headers.extend(signature(
                secrets,
                &pair,
                call.body.as_deref().unwrap_or_default(),
            )?);
        }
        if let Some(name) = &request.auth {
            self.access.allowance.credential(name)?;
        }
        if names_secret || request.auth.is_some() {
            let weakened = Weakened {
                insecure: call.insecure,
                server_name: call.server_name.as_deref(),
            };
            self.access.scope.check_weakened(&weakened)?;
        }
        let most = call
            .max_body_bytes
            .unwrap_or(usize::MAX)
            .min(self.access.may_receive());
        call.max_body_bytes = Some(most);
        let way = Way {
            net: &net,
            permission: &permission,
            service: self.label.service.as_deref(),
        };
        let url = call.url.clone();
        let response = outgoing::send(&self.access, way, call, request.auth.as_deref()).await?;
        self.access.note_rate_limits(&url, &response);
        self.access.receives(response.body.len())?;
        Ok(response)
    }
}

/// Whether the request as the guest wrote it carries a secret of the settings.
fn names_secret(secrets: &SealedSettings, request: &Request) -> bool {
    let in_text = |text: &str| secrets.is_named_in(text);
    let in_body = |encoding: &str| {
        BodyEncoding::parse(encoding)
            .zip(request.body.as_deref())
            .is_some_and(|(encoding, body)| secrets.is_named_in_body(body, encoding))
    };
    in_text(&request.url)
        || request.headers.iter().any(|(_, value)| in_text(value))
        || request
            .options
            .iter()
            .any(|option| match (option.key.as_str(), &option.value) {
                ("secrets-in-body", Value::Text(encoding)) => in_body(encoding),
                ("basic-auth" | "standard-webhooks", Value::Text(text)) => in_text(text),
                _ => false,
            })
}

/// The headers of Standard Webhooks, whose secret only the host knows.
fn signature(
    secrets: &SealedSettings,
    pair: &str,
    body: &[u8],
) -> Result<Vec<(String, String)>, NetError> {
    let wrong = |message: String| {
        NetError::Protocol(format!("request option `standard-webhooks`: {message}"))
    };
    // No key in base64 holds a colon; a placeholder does.
    let revealed = secrets.reveal(pair);
    let (id, secret) = revealed
        .rsplit_once(':')
        .ok_or_else(|| wrong("is not `ID:PLACEHOLDER`".to_owned()))?;
    let now_ms = now_ms().max(0) as u64;
    extrack_signatures::sign(Scheme::StandardWebhooks, secret, id, body, now_ms)
        .map_err(|error| wrong(error.to_string()))
}

/// As the guest hands it over, which is what it can carry out.
fn size(request: &Request) -> usize {
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum::<usize>();
    request.method.len() + request.url.len() + headers + request.body.as_ref().map_or(0, Vec::len)
}

/// What the host found out about a body stands among the headers, under names that no server can
/// send.
fn to_guest(response: HttpResponse) -> Response {
    let unread = response.unread.map(|reason| (":unread".to_owned(), reason));
    let end = response
        .is_end_unproven
        .then(|| (":end".to_owned(), "unproven".to_owned()));
    Response {
        status: response.status,
        version: response.version.to_owned(),
        headers: response
            .headers
            .into_iter()
            .chain(unread)
            .chain(end)
            .collect(),
        body: response.body.into(),
        truncated: response.truncated,
        phases: phases(&response.phases, response.total_us),
        peer: response.peer.to_string(),
        certificate: response.certificate.map(certificate),
    }
}

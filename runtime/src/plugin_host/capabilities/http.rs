//! One HTTP request: secrets and credentials are put in here, after the guest and before the
//! policy. `wasi:http` comes here too.

mod parallel;
mod render;
mod request;

use std::sync::Arc;

use tokio::time::Instant;
use url::Url;

use super::bounds;
use super::net::{certificate, phases};
use crate::domain::{Capability, RateLimit};
use crate::net::{HttpRequest, HttpResponse, NetError, NetFailure};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::label::RunLabel;
use crate::plugin_host::capabilities::outgoing::{self, RequestScope};
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::capabilities::transfer::ArrivingBody;
use crate::plugin_host::contract::bindings::http::{
    Host, Request as GuestRequest, Response as GuestResponse,
};
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::contract::bindings::imports::types::{Entry, Value};
use crate::plugin_host::engine::memory::HostMemory;
use crate::plugin_host::policy::reach::Weakened;
use crate::plugin_host::recording::call_replay::ReplayStop;
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::format::weight::weight;
use crate::plugin_host::recording::recorder::HostCall;

pub(super) use render::Renderer;
pub(in crate::plugin_host) use request::{Body, Request, Response};

impl Host for RunState {
    async fn send(
        &mut self,
        request: GuestRequest,
    ) -> wasmtime::Result<Result<GuestResponse, GuestError>> {
        self.host_call()?;
        let request = Request::new(request, &self.access.secrets)?;
        let deadline = self.call_deadline(request.timeout_ms);
        let sent = Sender::new(&self.access, &self.label)
            .send(request, deadline)
            .await?;
        self.account.charge(&sent.cost);
        self.within_budget()?;
        Ok(sent.answer.map(GuestResponse::from))
    }

    async fn send_all(
        &mut self,
        requests: Vec<GuestRequest>,
    ) -> wasmtime::Result<Vec<Result<GuestResponse, GuestError>>> {
        let answers = self.send_side_by_side(requests).await?;
        Ok(answers
            .into_iter()
            .map(|answer| answer.map(GuestResponse::from))
            .collect())
    }

    /// Depends on nothing but what it is given, so it is no part of a recording.
    async fn join(
        &mut self,
        base: String,
        reference: String,
    ) -> wasmtime::Result<Result<String, GuestError>> {
        self.host_call()?;
        self.hands_over(base.len() + reference.len())?;
        Ok(join(&base, &reference).map_err(GuestError::Protocol))
    }
}

fn join(base: &str, reference: &str) -> Result<String, String> {
    bounds::url(base)?;
    bounds::url(reference)?;
    let joined = Url::parse(base).and_then(|base| base.join(reference));
    joined
        .map(String::from)
        .map_err(|error| format!("the URL is wrong: {error}"))
}

/// Outcome of a request, as the guest sees it.
pub(super) struct Sent {
    pub(super) answer: Result<Response, GuestError>,
    pub(super) cost: CallCost,
    /// Memory of its body.
    pub(super) held: HostMemory,
}

/// An answer that came.
struct Performed {
    response: HttpResponse,
    /// JSON of the rate limits that were read in it, where the guest asked for it.
    limits: Option<String>,
    held: HostMemory,
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
            HostCall::Execute(call) => call,
            HostCall::Replayed((answer, cost)) => {
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
        let (answer, mut cost, held) = match performed {
            Ok(Performed {
                response,
                limits,
                held,
            }) => {
                let cost = CallCost {
                    net_us: Some(response.total_us),
                    phases: response.phases,
                    bytes_in: response.received_bytes,
                    ..CallCost::default()
                };
                (Ok(to_guest(response, limits)), cost, held)
            }
            Err(failure) => {
                let (error, cost) = self.access.net_failed(failure);
                (Err(error), cost, HostMemory::default())
            }
        };
        cost.waited_us = start.elapsed().as_micros() as u64;
        // Over its budget the run ends here, and the guest never gets to see it.
        if self.access.exceeded().is_none() {
            recorder.finish(call, &answer, cost.clone());
        }
        Ok(Sent { answer, cost, held })
    }

    async fn perform(&self, request: Request, deadline: Instant) -> Result<Performed, NetFailure> {
        bounds::request(&request).map_err(NetError::Protocol)?;
        let headers = request.headers.iter();
        outgoing::check(
            &request.method,
            &request.url.shown(),
            headers.map(|(name, value)| (name.as_str(), value.shown())),
        )?;
        let (net, permission) = self.access.net(Capability::Http)?;
        self.access.grants.method(&request.method)?;
        self.access.sends(bounds::size(&request))?;
        let renderer = Renderer(&self.access.secrets);
        let url = renderer.url(&request.url)?;
        let has_secret = request.has_secret();
        if has_secret {
            self.access.scope.check_secret(&self.access.grants, &url)?;
        }
        let mut call = HttpRequest::new(&request.method, &url, deadline);
        apply_options(&mut call, &request.options)?;
        let wants_limits = wants_limits(&request.options);
        let auth = request.auth.clone();
        renderer.fill(&mut call, request)?;
        if let Some(name) = &auth {
            self.access.grants.credential(name)?;
        }
        if has_secret || auth.is_some() {
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
        let arriving = ArrivingBody::default();
        call.room = arriving.room(&self.access);
        let scope = RequestScope {
            net: &net,
            permission: &permission,
            service: self.label.service.as_deref(),
        };
        let url = call.url.clone();
        let response = outgoing::send(&self.access, scope, call, auth.as_deref()).await?;
        let limits = self
            .access
            .note_rate_limits(&url, auth.as_deref(), &response);
        self.access.receives(response.body.len())?;
        let held = arriving.arrived(response.body.len());
        Ok(Performed {
            response,
            limits: wants_limits.then(|| limits_text(&limits)),
            held,
        })
    }
}

/// Keys of the options that a request may have.
pub(super) const OPTIONS: [&str; 8] = [
    "insecure",
    "max-body-bytes",
    "decompress",
    "text",
    "server-name",
    "http2",
    "trailers",
    RATE_LIMITS,
];

/// Option, and attribute of the answer to it.
const RATE_LIMITS: &str = "rate-limits";

fn apply_options(call: &mut HttpRequest, options: &[Entry]) -> Result<(), NetError> {
    for option in options {
        match (option.key.as_str(), &option.value) {
            ("insecure", Value::Boolean(insecure)) => call.insecure = *insecure,
            ("max-body-bytes", Value::Integer(bytes)) => {
                call.max_body_bytes = Some((*bytes).max(0) as usize)
            }
            ("decompress", Value::Boolean(decompress)) => call.decompress = *decompress,
            ("text", Value::Boolean(text)) => call.text = *text,
            ("server-name", Value::Text(name)) => call.server_name = Some(name.clone()),
            ("http2", Value::Boolean(http2)) => call.http2 = *http2,
            ("trailers", Value::Boolean(trailers)) => call.trailers = *trailers,
            // No matter of the connection.
            (RATE_LIMITS, Value::Boolean(_)) => {}
            (key, _) => {
                return Err(NetError::Protocol(format!(
                    "request option `{key}` is unknown or of the wrong type; known: `{}`",
                    OPTIONS.join("`, `")
                )));
            }
        }
    }
    Ok(())
}

fn wants_limits(options: &[Entry]) -> bool {
    let is_set = |option: &Entry| matches!(option.value, Value::Boolean(true));
    options
        .iter()
        .any(|option| option.key == RATE_LIMITS && is_set(option))
}

/// Figures that are not known are left out.
fn limits_text(limits: &[RateLimit]) -> String {
    let figures = |limit: &RateLimit| {
        let mut figures = serde_json::Map::new();
        figures.insert("name".to_owned(), limit.name.as_str().into());
        for (key, figure) in [
            ("quota", limit.quota),
            ("remaining", limit.remaining),
            ("used", limit.used),
            ("windowMs", limit.window_ms),
        ] {
            if let Some(figure) = figure {
                figures.insert(key.to_owned(), figure.into());
            }
        }
        if let Some(reset_ms) = limit.reset_ms {
            figures.insert("resetMs".to_owned(), reset_ms.into());
        }
        if let Some(unit) = &limit.unit {
            figures.insert("unit".to_owned(), unit.as_str().into());
        }
        serde_json::Value::Object(figures)
    };
    let all: Vec<serde_json::Value> = limits.iter().map(figures).collect();
    serde_json::Value::Array(all).to_string()
}

fn to_guest(response: HttpResponse, limits: Option<String>) -> Response {
    let entry = |key: &str, text: String| Entry {
        key: key.to_owned(),
        value: Value::Text(text),
    };
    let unread = response.unread.map(|reason| entry("unread", reason));
    let end = response
        .is_end_unproven
        .then(|| entry("end", "unproven".to_owned()));
    let limits = limits.map(|text| entry(RATE_LIMITS, text));
    Response {
        status: response.status,
        version: response.version.to_owned(),
        headers: response.headers,
        body: response.body.into(),
        trailers: response.trailers,
        truncated: response.truncated,
        phases: phases(&response.phases, response.total_us),
        peer: response.peer.to_string(),
        certificate: response.certificate.map(certificate),
        attributes: unread.into_iter().chain(end).chain(limits).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_browsers_do() {
        for (base, reference, wanted) in [
            (
                "https://a.example/b/c?d#e",
                "../f?g",
                "https://a.example/f?g",
            ),
            ("https://a.example/b", "//c.example", "https://c.example/"),
            (
                "https://a.example/b",
                "\\\\c.example\\d",
                "https://c.example/d",
            ),
            (
                "HTTPS://A.example:443/%7e/../b#c",
                "",
                "https://a.example/b",
            ),
            (
                "https://b\u{fc}cher.example",
                "",
                "https://xn--bcher-kva.example/",
            ),
        ] {
            assert_eq!(join(base, reference).unwrap(), wanted, "{base} {reference}");
        }
        let long = format!("/{}", "a".repeat(1 << 20));
        for (base, reference) in [
            ("/b", "c"),
            ("mailto:a@b.example", "c"),
            ("https://a.example/", "https://[/"),
            ("https://a.example/", long.as_str()),
        ] {
            assert!(join(base, reference).is_err(), "{base}");
        }
    }
}

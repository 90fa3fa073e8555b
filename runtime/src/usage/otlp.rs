//! Client spans of OpenTelemetry as calls (OTLP/HTTP 1.x, semantic conventions of HTTP, RPC and
//! generative AI). The host of a span says which service it called.

mod hosts;
mod json;
mod messages;
mod span;

use std::collections::BTreeMap;
use std::sync::Arc;

use prost::Message;

use crate::domain::Call;

pub use hosts::Hosts;

use messages::{PartialSuccess, Response, Status};
use span::{Outcome, Span};

/// How a request and its answer are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// Spans of one request; more can't be real.
const MAX_SPANS: usize = 20_000;
/// Texts about hosts that are no service's.
const MAX_NAMED_HOSTS: usize = 3;

/// A request that can't be read, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpError {
    #[error("the body is no OTLP trace request: {0}")]
    Malformed(String),
    #[error(
        "the request has more than {} spans; have the exporter send smaller batches",
        MAX_SPANS
    )]
    TooManySpans,
}

/// Spans that were read.
#[derive(Debug, Default)]
pub struct Spans(Vec<Span>);

/// What became of the spans of a request.
#[derive(Debug, Default)]
pub struct Taken {
    pub calls: Vec<Call>,
    /// Spans that should be calls, and can't be.
    pub rejected: u64,
    /// Why, for people.
    pub reasons: Vec<String>,
}

/// Reads a request.
pub fn read(encoding: Encoding, body: &[u8]) -> Result<Spans, OtlpError> {
    let spans = match encoding {
        Encoding::Protobuf => messages::read(body),
        Encoding::Json => json::read(body),
    }
    .map_err(OtlpError::Malformed)?;
    if spans.len() > MAX_SPANS {
        return Err(OtlpError::TooManySpans);
    }
    Ok(Spans(spans))
}

/// Returns the body of an answer that says how many spans were rejected, and why.
pub fn answer(encoding: Encoding, rejected: u64, reason: &str) -> Vec<u8> {
    let partial = (rejected > 0).then(|| PartialSuccess {
        rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: reason.to_owned(),
    });
    match (encoding, partial) {
        (Encoding::Protobuf, partial_success) => Response { partial_success }.encode_to_vec(),
        (Encoding::Json, None) => b"{}".to_vec(),
        (Encoding::Json, Some(partial)) => serde_json::json!({"partialSuccess": {
            // 64-bit numbers are texts in this JSON.
            "rejectedSpans": partial.rejected_spans.to_string(),
            "errorMessage": partial.error_message,
        }})
        .to_string()
        .into_bytes(),
    }
}

/// Returns the body of a refusal: `google.rpc.Status`.
pub fn refusal(encoding: Encoding, code: i32, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => Status {
            code,
            message: message.to_owned(),
        }
        .encode_to_vec(),
        Encoding::Json => serde_json::json!({"code": code, "message": message})
            .to_string()
            .into_bytes(),
    }
}

impl Spans {
    /// Makes calls of client spans. A span inside of another one that is a call of the same service is
    /// that call once more, and is left out, as are those that the gateway caused: it counts them itself.
    pub fn into_calls(self, hosts: &Hosts) -> Taken {
        let mut taken = Taken::default();
        let (mut calls, mut unknown_hosts) = (Vec::new(), BTreeMap::<String, u64>::new());
        let mut invalid = BTreeMap::<&'static str, u64>::new();
        for span in self.0 {
            let outcome = span.into_call(hosts);
            let label = outcome.label();
            if label != "call" {
                metrics::counter!("extrack_otlp_spans_total", "outcome" => label).increment(1);
            }
            match outcome {
                Outcome::Call(call) => calls.push(*call),
                Outcome::UnknownHost(host) => *unknown_hosts.entry(host).or_default() += 1,
                Outcome::Invalid(reason) => *invalid.entry(reason).or_default() += 1,
                Outcome::NoCall | Outcome::Ours => {}
            }
        }
        taken.calls = without_inner(calls);
        taken.rejected = unknown_hosts.values().sum::<u64>() + invalid.values().sum::<u64>();
        for (reason, count) in invalid {
            taken.reasons.push(format!("{count} spans: {reason}"));
        }
        let more = unknown_hosts.len().saturating_sub(MAX_NAMED_HOSTS);
        for (host, count) in unknown_hosts.into_iter().take(MAX_NAMED_HOSTS) {
            taken
                .reasons
                .push(format!("{count} spans: no service has the host `{host}`"));
        }
        if more > 0 {
            taken
                .reasons
                .push(format!("{more} more hosts that no service has"));
        }
        taken
    }
}

/// Leaves out the spans whose parent is a call of the same service: what a library for a vendor
/// reports, and what its HTTP client reports of the same exchange, are one call.
fn without_inner(found: Vec<span::FoundCall>) -> Vec<Call> {
    let outer: std::collections::HashSet<(String, Arc<str>)> = found
        .iter()
        .map(|found| (found.call.id.clone(), Arc::clone(&found.call.service)))
        .collect();
    let mut calls = Vec::new();
    for found in found {
        let key = (found.parent_id, Arc::clone(&found.call.service));
        let is_inner = outer.contains(&key);
        let outcome = if is_inner { "inner" } else { "call" };
        metrics::counter!("extrack_otlp_spans_total", "outcome" => outcome).increment(1);
        if !is_inner {
            calls.push(found.call);
        }
    }
    calls
}

#[cfg(test)]
mod tests;

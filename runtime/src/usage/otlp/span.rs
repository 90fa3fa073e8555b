//! What a client span says about a call.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use url::Url;

use super::hosts::Hosts;
use crate::domain::{
    CacheUse, Call, CallEnd, CallPath, CallPhases, CallSource, CallUnits, UnixMillis, now_ms,
};

/// Moments before 2000 or further ahead than a day are no moments of calls.
const EARLIEST_MS: UnixMillis = 946_684_800_000;
const MOST_AHEAD_MS: i64 = 86_400_000;
const MAX_CONSUMER: usize = 128;

/// Attributes that are read; others are not kept.
#[derive(Debug, Default)]
pub(super) struct Attributes(HashMap<String, Value>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Number(f64),
}

impl Attributes {
    pub(super) fn of(fields: impl Iterator<Item = (String, Value)>) -> Self {
        const WANTED: [&str; 13] = [
            "http.",
            "url.",
            "server.",
            "net.",
            "error.",
            "rpc.",
            "gen_ai.usage.",
            "gen_ai.operation.",
            "service.name",
            "extrack.",
            "peer.",
            "gen_ai.system",
            "gen_ai.provider.",
        ];
        let is_wanted = |name: &str| WANTED.iter().any(|wanted| name.starts_with(wanted));
        Self(fields.filter(|(name, _)| is_wanted(name)).collect())
    }

    /// Returns the first text that is there under one of these names.
    fn text(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| match self.0.get(*name)? {
            Value::Text(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
    }

    fn number(&self, names: &[&str]) -> Option<u64> {
        names.iter().find_map(|name| match self.0.get(*name)? {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Number(number) if *number >= 0.0 && *number < 1e15 => Some(*number as u64),
            Value::Text(text) => text.parse().ok(),
            Value::Number(_) => None,
        })
    }
}

#[derive(Debug)]
pub(super) struct Span {
    /// Hexadecimal, in lower case.
    pub(super) trace_id: String,
    pub(super) span_id: String,
    pub(super) parent_span_id: String,
    pub(super) trace_state: String,
    pub(super) kind: i32,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) attributes: Attributes,
    pub(super) resource: Arc<Attributes>,
    pub(super) has_failed: bool,
}

/// A call with the id that it would have if its parent were one.
pub(super) struct FoundCall {
    pub(super) call: Call,
    pub(super) parent_id: String,
}

pub(super) enum Outcome {
    Call(Box<FoundCall>),
    /// Of another kind, or to a database, a queue and the like.
    NoCall,
    /// Caused by our gateway, which counts its calls itself.
    Ours,
    UnknownHost(String),
    Invalid(&'static str),
}

impl Outcome {
    pub(super) fn label(&self) -> &'static str {
        match self {
            Outcome::Call(_) => "call",
            Outcome::NoCall => "not_a_call",
            Outcome::Ours => "gateway",
            Outcome::UnknownHost(_) => "unknown_host",
            Outcome::Invalid(_) => "invalid",
        }
    }
}

impl Span {
    pub(super) const CLIENT: i32 = 3;
    /// Code of a status.
    pub(super) const FAILED: i32 = 2;

    pub(super) fn into_call(self, hosts: &Hosts) -> Outcome {
        let attributes = &self.attributes;
        let method = attributes.text(&["http.request.method", "http.method"]);
        let operation = attributes.text(&["gen_ai.operation.name"]);
        let remote = attributes.text(&["rpc.method"]);
        let is_call = method.or(operation).or(remote).is_some();
        if self.kind != Self::CLIENT || !is_call {
            return Outcome::NoCall;
        }
        if is_ours(&self.trace_state) {
            return Outcome::Ours;
        }
        if self.trace_id.len() != 32 || self.span_id.len() != 16 {
            return Outcome::Invalid("the ids of trace and span are not 16 and 8 bytes");
        }
        let ts_ms = (self.start_ns / 1_000_000) as UnixMillis;
        if !(EARLIEST_MS..=now_ms() + MOST_AHEAD_MS).contains(&ts_ms) {
            return Outcome::Invalid("the span began before 2000 or in the future");
        }
        let url = attributes.text(&["url.full", "http.url"]);
        let url = url.and_then(|url| Url::parse(url).ok());
        let service = match self.service(hosts, url.as_ref()) {
            Ok(service) => service,
            Err(outcome) => return outcome,
        };
        let status = attributes.number(&["http.response.status_code", "http.status_code"]);
        let status = status.and_then(|status| u16::try_from(status).ok());
        let status = status.filter(|status| (100..600).contains(status));
        let (error_kind, ended) = self.ending(status);
        let call = Call {
            id: format!("{}-{}", self.trace_id, self.span_id),
            ts_ms,
            service,
            consumer: self.consumer(),
            credential: None,
            method: method.unwrap_or("POST").to_ascii_uppercase(),
            path: self.path(url.as_ref()),
            status,
            latency: (self.end_ns >= self.start_ns)
                .then(|| Duration::from_nanos(self.end_ns - self.start_ns)),
            phases: CallPhases::default(),
            bytes_in: attributes.number(&["http.request.body.size"]).unwrap_or(0),
            bytes_out: attributes.number(&["http.response.body.size"]).unwrap_or(0),
            units: units(attributes),
            tags: tags(attributes),
            attempts: 1,
            cache: CacheUse::None,
            source: CallSource::Otlp,
            error_kind,
            ended,
        };
        let parent_id = format!("{}-{}", self.trace_id, self.parent_span_id);
        Outcome::Call(Box::new(FoundCall { call, parent_id }))
    }

    fn service(&self, hosts: &Hosts, url: Option<&Url>) -> Result<Arc<str>, Outcome> {
        let attributes = &self.attributes;
        if let Some(named) = attributes.text(&["extrack.service"]) {
            let named_service = hosts.named(named);
            return named_service.ok_or(Outcome::Invalid("`extrack.service` names no service"));
        }
        let host = attributes.text(&["server.address", "net.peer.name"]);
        let Some(host) = host.or_else(|| url?.host_str()) else {
            return Err(Outcome::Invalid(
                "the span has neither `server.address` nor `url.full`",
            ));
        };
        let port = attributes.number(&["server.port", "net.peer.port"]);
        let port = port.and_then(|port| u16::try_from(port).ok());
        let port = port.or_else(|| url?.port_or_known_default());
        let path = url.map_or("", Url::path);
        let found = hosts.find(host, port, path);
        // Without its path a span can't be told from those of a neighbour at the same host.
        let found = found.or_else(|| hosts.named(attributes.text(&["peer.service"])?));
        found.ok_or_else(|| Outcome::UnknownHost(host.chars().take(100).collect()))
    }

    fn consumer(&self) -> Option<Arc<str>> {
        const NAME: [&str; 1] = ["extrack.consumer"];
        let resource = &self.resource;
        let named = self.attributes.text(&NAME).or_else(|| resource.text(&NAME));
        let service = resource.text(&["service.name"]);
        let service = service.filter(|name| !name.starts_with("unknown_service"));
        let name: String = named
            .or(service)?
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_CONSUMER)
            .collect();
        Some(name.into())
    }

    fn path(&self, url: Option<&Url>) -> CallPath {
        let attributes = &self.attributes;
        if let Some(template) = attributes.text(&["url.template"])
            && template.starts_with('/')
        {
            return CallPath::Route(template.to_owned());
        }
        if let Some(url) = url {
            return CallPath::Path(url.path().to_owned());
        }
        if let Some(path) = attributes.text(&["url.path", "http.target"]) {
            return CallPath::Path(path.to_owned());
        }
        let remote = attributes
            .text(&["rpc.service"])
            .zip(attributes.text(&["rpc.method"]));
        match (remote, attributes.text(&["gen_ai.operation.name"])) {
            (Some((service, method)), _) => CallPath::Route(format!("/{service}/{method}")),
            (None, Some(operation)) => CallPath::Route(format!("/{operation}")),
            (None, None) => CallPath::Path("/".to_owned()),
        }
    }

    fn ending(&self, status: Option<u16>) -> (Option<String>, CallEnd) {
        let attributes = &self.attributes;
        let kind = attributes.text(&["error.type"]);
        let has_failed = self.has_failed || kind.is_some();
        if status.is_some() || !has_failed {
            // A status of 404 is an error type as well, and is in its own column.
            let kind = kind.filter(|kind| kind.parse::<u16>().is_err());
            return (kind.map(str::to_owned), CallEnd::Complete);
        }
        let kind = kind.unwrap_or("error").to_owned();
        let lower = kind.to_ascii_lowercase();
        let ended = if lower.contains("timeout") || lower.contains("deadline") {
            CallEnd::Timeout
        } else if lower.contains("cancel") || lower.contains("abort") {
            CallEnd::Cancelled
        } else {
            CallEnd::Truncated
        };
        (Some(kind), ended)
    }
}

/// Whether the gateway is in the list of those who passed the trace on: it counts its calls itself.
fn is_ours(trace_state: &str) -> bool {
    let members = trace_state.split(',');
    members
        .filter_map(|member| member.trim().split_once('='))
        .any(|(key, _)| key == "extrack")
}

/// Returns the model that answered, by which prices differ.
fn tags(attributes: &Attributes) -> BTreeMap<String, String> {
    const MAX_CHARS: usize = 128;
    let model = attributes.text(&["gen_ai.response.model", "gen_ai.request.model"]);
    let model = model.map(|model| model.chars().take(MAX_CHARS).collect());
    model
        .map(|model| ("model".to_owned(), model))
        .into_iter()
        .collect()
}

/// Tokens; those of the cache are among those of the input, by the conventions.
fn units(attributes: &Attributes) -> CallUnits {
    let of = |names: &[&str]| attributes.number(names);
    let input = of(&["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"]);
    let output = of(&[
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
    ]);
    let cached = of(&[
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
    ]);
    let written = of(&[
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
    ]);
    let of_cache = cached.unwrap_or(0).saturating_add(written.unwrap_or(0));
    let units = [
        (
            "input_tokens",
            input.map(|input| input.saturating_sub(of_cache)),
        ),
        ("cached_tokens", cached.filter(|cached| *cached > 0)),
        ("cache_write_tokens", written.filter(|written| *written > 0)),
        ("output_tokens", output),
    ];
    let units: BTreeMap<String, Decimal> = units
        .into_iter()
        .filter_map(|(unit, amount)| Some((unit.to_owned(), Decimal::from(amount?))))
        .collect();
    if input.is_some_and(|input| input < of_cache) {
        CallUnits::AtLeast(units)
    } else {
        CallUnits::Known(units)
    }
}

//! One run: what it found, what it asked the host for, and how to play it again.

use maud::{Markup, html};
use serde_json::Value;

use crate::api::dashboard::fragments::pill;
use crate::api::dashboard::standing::Standing;
use crate::api::dashboard::wording::{latency, prose};
use crate::api::http::moment::{day_and_clock, rfc3339};
use crate::api::http::state::ApiState;
use crate::domain::{MetricValue, Observation};
use crate::plugin_host::{RecordedCall, Recording};

/// Host calls on the page; the file has them all.
const MAX_CALLS: usize = 50;
/// Limit of what was asked and answered, each.
const MAX_CHARS: usize = 200;

/// Returns the recording of a run, as far as it is kept and can be read.
pub(super) async fn recording(state: &ApiState, run_id: i64) -> Option<Recording> {
    let bytes = state.deps.recordings.read(run_id).await.ok()??;
    Recording::parse(&bytes).ok()
}

pub(super) fn section(run: &Observation, recording: Option<&Recording>) -> Markup {
    let word = Standing::from(run.status).word();
    html! {
        section.card.panel #run aria-labelledby="run-title" {
            h2 #run-title { "Run " (run.run_id) " " (pill(word, word)) }
            p.muted {
                time datetime=(rfc3339(run.ts_ms)) { (day_and_clock(run.ts_ms)) } " · " (run.probe) " · " (run.plugin) " " (run.plugin_version)
                @if let Some(us) = run.latency_us { " · " (latency(us)) }
                @if let Some(status) = run.http_status { " · HTTP " (status) }
                @if run.missed { " · it did not take place" }
            }
            @if let Some(failure) = &run.failure { p { b { (failure.kind.as_str()) } " " (prose(&failure.message)) } }
            (figures(run))
            @match recording {
                Some(recording) => { (calls(recording)) }
                None => { p.muted { "No recording of it is kept: those of the last failed runs of a probe are, and of its last good one." } }
            }
        }
    }
}

fn figures(run: &Observation) -> Markup {
    let phases = [
        ("DNS", run.phases.dns_us),
        ("connect", run.phases.connect_us),
        ("TLS", run.phases.tls_us),
        ("first byte", run.phases.first_byte_us),
        ("body", run.phases.body_us),
    ];
    let measured = phases.iter().any(|(_, us)| us.is_some());
    html! {
        @if measured || !run.metrics.is_empty() {
            dl.figures {
                @for (name, us) in phases {
                    @if let Some(us) = us { div { dt { (name) } dd { (latency(us)) } } }
                }
                @for metric in &run.metrics { div { dt { (metric.name) } dd { (metric_text(&metric.value)) } } }
            }
        }
    }
}

pub(super) fn metric_text(value: &MetricValue) -> String {
    match value {
        MetricValue::Boolean(value) => value.to_string(),
        MetricValue::Integer(value) => value.to_string(),
        MetricValue::Number(value) => format!("{value:.2}"),
        MetricValue::Text(value) => clipped(value),
    }
}

fn calls(recording: &Recording) -> Markup {
    let run_id = recording.run.run_id;
    html! {
        h3 { "Recorded host calls" }
        @if recording.calls.is_empty() { p.empty { "It made no host calls." } }
        @else {
            div.wide { table.list {
                thead { tr {
                    th.number scope="col" { "After" } th scope="col" { "Call" } th scope="col" { "Asked" } th scope="col" { "Answer" } th.number scope="col" { "Waited" }
                } }
                tbody { @for call in recording.calls.iter().take(MAX_CALLS) { (row(call)) } }
            } }
            @if recording.calls.len() > MAX_CALLS { p.muted { "And " (recording.calls.len() - MAX_CALLS) " more in the file." } }
        }
        p { "Play it again, nothing is sent: " code { "extrack plugin replay " (run_id) } " · " a href={ "/api/v1/recordings/" (run_id) } { "the recording as a file" } }
    }
}

fn row(call: &RecordedCall) -> Markup {
    html! {
        tr {
            td.number { (latency(call.at_us)) }
            td { code { (call.function) } }
            td { (asked(&call.request)) }
            td {
                @if let Some(failure) = &call.cost.failure { b { (failure.kind.as_str()) } " " (prose(&failure.message)) }
                @else if call.missing.is_some() { span.muted { "not kept" } }
                @else { (answered(&call.answer)) }
            }
            td.number { (latency(call.cost.waited_us)) }
        }
    }
}

/// Method and address of a request; of another call its arguments. Secrets are named, not held.
fn asked(request: &Value) -> String {
    match (request["method"].as_str(), request["url"].as_str()) {
        (Some(method), Some(url)) => clipped(&format!("{} {url}", method.to_uppercase())),
        _ => json(request),
    }
}

fn answered(answer: &Value) -> String {
    match answer["status"].as_u64() {
        Some(status) => format!("status {status}"),
        None => json(answer),
    }
}

fn json(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => clipped(text),
        value => clipped(&value.to_string()),
    }
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_shows_what_tells_it_from_others() {
        let request = json!({"method": "get", "url": "https://x.org/a", "headers": []});
        assert_eq!(asked(&request), "GET https://x.org/a");
        assert_eq!(asked(&json!({"key": "days"})), r#"{"key":"days"}"#);
        assert_eq!(asked(&json!(null)), "–");
        assert_eq!(answered(&json!({"status": 503, "body": "x"})), "status 503");
        let long = "ä".repeat(MAX_CHARS + 5);
        assert_eq!(clipped(&long).chars().count(), MAX_CHARS + 1);
    }
}

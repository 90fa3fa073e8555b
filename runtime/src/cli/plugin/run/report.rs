//! The report of one run: for people as text, for programs as JSON.

use serde_json::{Map, Value, json};

use super::super::call::Answer;
use super::super::units::{bar, bytes, micros};
use super::calls;
use crate::cli::print::{cell, line, table};
use crate::domain::{
    DeliveryError, Finding, MeterFigure, Metric, Observation, PluginRun, ReceivedEvent, Reception,
    Verdict,
};
use crate::plugin_host::{PluginEntry, PluginError, ReceiveError, RecordedCall};

/// Characters of the longest bar.
const BAR: usize = 32;

pub(super) struct Report<'a> {
    pub(super) entry: &'a PluginEntry,
    pub(super) answer: &'a Answer,
    pub(super) account: Option<&'a PluginRun>,
    /// Host calls of the run.
    pub(super) calls: &'a [RecordedCall],
    /// Address that a probe was given to check.
    pub(super) url: Option<&'a str>,
}

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let cost = self.account.map(|account| {
            json!({
                "outcome": account.outcome.as_str(),
                "error": account.error,
                "durationUs": account.duration_us,
                "cpuUs": account.cpu_us,
                "memoryBytes": account.memory_bytes,
                "hostCalls": account.host_calls,
                "logBytes": account.log_bytes,
                "bytesIn": account.bytes_in,
                "bytesOut": account.bytes_out,
                "denials": account.denials,
                "denied": account.denied,
            })
        });
        let mut report = json!({
            "plugin": {
                "name": self.entry.name,
                "kind": self.entry.kind,
                "version": self.entry.version,
                "digest": self.entry.digest,
            },
            "run": cost,
            "calls": calls::json(self.calls),
        });
        let (key, value) = match self.answer {
            Answer::Probe(observation) => ("observation", observation_json(observation)),
            Answer::Rule(verdict) => ("verdict", verdict_json(verdict)),
            Answer::Notifier(receipt) => (
                "receipt",
                match receipt {
                    Ok(receipt) => {
                        json!({ "reference": receipt.reference, "answer": receipt.answer })
                    }
                    Err(error) => {
                        json!({ "error": error.to_string(), "isRetryable": is_retryable(error) })
                    }
                },
            ),
            Answer::Webhook(reception) => ("reception", reception_json(reception)),
            Answer::Meter(Ok(figures)) => ("figures", json!(figures)),
            Answer::Meter(Err(error)) => ("figures", json!({ "error": error.to_string() })),
        };
        report[key] = value;
        report
    }

    pub(super) fn print(&self) {
        line(&format!(
            "{} {} {}",
            self.entry.kind.as_str(),
            self.entry.name,
            self.entry.version
        ));
        match self.answer {
            Answer::Probe(observation) => print_observation(observation),
            Answer::Rule(verdict) => print_verdict(verdict),
            Answer::Notifier(Ok(receipt)) => {
                field("sent", &receipt.answer);
                receipt
                    .reference
                    .iter()
                    .for_each(|reference| field("reference", reference));
            }
            Answer::Notifier(Err(error)) => {
                let again = if is_retryable(error) {
                    "worth another attempt"
                } else {
                    "not worth another attempt"
                };
                field("not sent", &format!("{error} ({again})"));
            }
            Answer::Webhook(Ok(reception)) => print_reception(reception),
            Answer::Webhook(Err(error)) => field("turned away", &error.to_string()),
            Answer::Meter(Ok(figures)) => print_figures(figures),
            Answer::Meter(Err(error)) => field("not read", &error.to_string()),
        }
        calls::print(self.calls);
        if let Some(account) = self.account {
            print_cost(account, self.url);
        }
    }
}

fn print_observation(observation: &Observation) {
    field("status", observation.status.as_str());
    if let Some(failure) = &observation.failure {
        field(
            "error",
            &format!("{} ({})", failure.message, failure.kind.as_str()),
        );
    }
    observation
        .http_status
        .iter()
        .for_each(|status| field("http status", &status.to_string()));
    observation
        .latency_us
        .iter()
        .for_each(|us| field("latency", &micros(*us)));
    print_phases(observation);
    for metric in &observation.metrics {
        field(
            &metric.name,
            &cell(&serde_json::to_value(&metric.value).unwrap_or_default()),
        );
    }
}

/// One under the other, each beginning where the one before ended.
fn print_phases(observation: &Observation) {
    let phases = &observation.phases;
    let phases = [
        ("dns", phases.dns_us),
        ("connect", phases.connect_us),
        ("tls", phases.tls_us),
        ("first byte", phases.first_byte_us),
        ("body", phases.body_us),
    ];
    let total: u64 = phases.iter().filter_map(|(_, us)| *us).sum();
    let mut before = 0;
    for (name, us) in phases {
        let Some(us) = us else { continue };
        let offset = (before as f64 / total.max(1) as f64 * BAR as f64) as usize;
        field(
            &format!("  {name}"),
            &format!(
                "{:>9}  {}{}",
                micros(us),
                " ".repeat(offset),
                bar(us, total, BAR)
            ),
        );
        before += us;
    }
}

fn print_verdict(verdict: &Result<Verdict, PluginError>) {
    let finding = |word: &str, finding: &Finding| {
        field("verdict", word);
        field("summary", &finding.summary);
        finding
            .value
            .iter()
            .for_each(|value| field("found", &value.to_string()));
        finding
            .wanted
            .iter()
            .for_each(|wanted| field("wanted", &wanted.to_string()));
        for detail in &finding.details {
            field(
                &detail.name,
                &cell(&serde_json::to_value(&detail.value).unwrap_or_default()),
            );
        }
    };
    match verdict {
        Ok(Verdict::Ok(found)) => finding("ok", found),
        Ok(Verdict::Breached(found)) => finding("breached", found),
        Ok(Verdict::NoOpinion(why)) => {
            field("verdict", "no opinion");
            field("summary", why);
        }
        Err(error) => field("broken", &error.to_string()),
    }
}

fn print_figures(figures: &[MeterFigure]) {
    field("figures", &figures.len().to_string());
    for figure in figures {
        let amount = figure.amount.normalize();
        field(&figure.name, &format!("{amount} {}", figure.currency));
    }
}

fn print_reception(reception: &Reception) {
    field("events", &reception.events.len().to_string());
    for event in &reception.events {
        line("");
        field("kind", &event.kind);
        field("summary", &event.summary);
        event.id.iter().for_each(|id| field("id", id));
        if let Some(report) = &event.report {
            let failure = report
                .failure
                .as_ref()
                .map(|failure| format!(": {}", failure.message))
                .unwrap_or_default();
            field("reports", &format!("{}{failure}", report.status.as_str()));
        }
        field("payload", &event.payload);
    }
    if let Some(answer) = &reception.answer {
        field("answers", &String::from_utf8_lossy(&answer.body));
    }
}

fn reception_json(reception: &Result<Reception, ReceiveError>) -> Value {
    let event = |event: &ReceivedEvent| {
        json!({
            "id": event.id,
            "kind": event.kind,
            "tsMs": event.ts_ms,
            "summary": event.summary,
            // As text where it should be none.
            "payload": serde_json::from_str(&event.payload).unwrap_or_else(|_| Value::from(event.payload.clone())),
            "attributes": metrics(&event.attributes),
            "report": event.report.as_ref().map(|report| json!({
                "status": report.status,
                "errorKind": report.failure.as_ref().map(|failure| failure.kind),
                "error": report.failure.as_ref().map(|failure| &failure.message),
                "metrics": metrics(&report.metrics),
            })),
        })
    };
    match reception {
        Ok(reception) => json!({
            "events": reception.events.iter().map(event).collect::<Vec<_>>(),
            "answer": reception.answer.as_ref().map(|answer| String::from_utf8_lossy(&answer.body)),
        }),
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn metrics(metrics: &[Metric]) -> Map<String, Value> {
    metrics
        .iter()
        .map(|metric| {
            (
                metric.name.clone(),
                serde_json::to_value(&metric.value).unwrap_or_default(),
            )
        })
        .collect()
}

/// Returns the options that would allow what was denied.
fn remedy(denied: &str, url: Option<&str>) -> String {
    match url {
        Some(url) if !url.contains("://") => {
            format!("`--url {url}` has no scheme: write `--url http://{url}`, or `https://`.")
        }
        _ if denied.contains("has no credential") => {
            "To try it here: `--auth bearer:TOKEN`, or `--auth NAME=bearer:TOKEN` for a credential of another name."
                .to_owned()
        }
        _ => "To try it here: `--allow-host HOST`, for hosts that the plugin names in its `wants`.".to_owned(),
    }
}

fn print_cost(account: &PluginRun, url: Option<&str>) {
    if let Some(denied) = &account.denied {
        line("");
        field("denials", &account.denials.to_string());
        line(&cell(&Value::from(denied.as_str())));
        line(&remedy(denied, url));
    }
    line("");
    let rows = [
        ("wall clock", micros(account.duration_us)),
        ("cpu", micros(account.cpu_us)),
        ("memory", bytes(account.memory_bytes)),
        ("host calls", account.host_calls.to_string()),
        ("bytes out", bytes(account.bytes_out)),
        ("bytes in", bytes(account.bytes_in)),
        ("log", bytes(account.log_bytes)),
    ];
    table(
        &["COST", ""],
        &rows.map(|(name, value)| vec![name.to_owned(), value]),
    );
}

/// The name in a column of its own; the value may come from outside.
fn field(name: &str, value: &str) {
    line(&format!("{name:<14}{}", cell(&Value::from(value))));
}

fn is_retryable(error: &DeliveryError) -> bool {
    matches!(error, DeliveryError::Retryable { .. })
}

/// Returns the observation as the API has it.
fn observation_json(observation: &Observation) -> Value {
    let failure = observation.failure.as_ref();
    json!({
        "service": observation.service,
        "status": observation.status,
        "latencyUs": observation.latency_us,
        "phases": observation.phases,
        "httpStatus": observation.http_status,
        "errorKind": failure.map(|failure| failure.kind),
        "error": failure.map(|failure| &failure.message),
        "bytes": observation.bytes,
        "metrics": metrics(&observation.metrics),
    })
}

fn verdict_json(verdict: &Result<Verdict, PluginError>) -> Value {
    let finding = |word: &str, finding: &Finding| {
        json!({
            "verdict": word, "summary": finding.summary, "value": finding.value, "wanted": finding.wanted, "details": metrics(&finding.details),
        })
    };
    match verdict {
        Ok(Verdict::Ok(found)) => finding("ok", found),
        Ok(Verdict::Breached(found)) => finding("breached", found),
        Ok(Verdict::NoOpinion(why)) => json!({ "verdict": "no-opinion", "summary": why }),
        Err(error) => json!({ "verdict": Value::Null, "error": error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_fits_what_was_denied() {
        let no_credential = "the service has no credential `default`; write it under `authentication` of the service";
        for (denied, url, wanted) in [
            (
                no_credential,
                Some("https://a.example"),
                "--auth bearer:TOKEN",
            ),
            (
                "credential `default` goes to the service's own host only",
                Some("127.0.0.1:18081"),
                "http://127.0.0.1:18081",
            ),
            (
                "may not connect to `b.example:443`",
                Some("https://a.example"),
                "--allow-host HOST",
            ),
            (
                "may not connect to `b.example:443`",
                None,
                "--allow-host HOST",
            ),
        ] {
            assert!(
                remedy(denied, url).contains(wanted),
                "{denied}: {}",
                remedy(denied, url)
            );
        }
    }
}

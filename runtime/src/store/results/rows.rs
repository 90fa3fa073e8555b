//! How domain values become rows. Every conversion is total: a value out of range is cut, so that
//! no row can block the ones behind it.

use duckdb::types::{TimeUnit, Value};
use duckdb::{Appender, ToSql, params};

use crate::domain::{
    Alert, AlertEvent, Event, Metric, MetricValue, Observation, PluginRun, RateLimit, ShadowRun,
    UnixMillis,
};

/// One service as SQL users see it. `base` is the address without user information and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    pub slug: String,
    pub name: String,
    /// The seed's word, e.g. `REST`.
    pub kind: String,
    pub base: String,
    pub tags: Vec<String>,
    pub owner: Option<String>,
}

impl ServiceRow {
    pub fn of(service: &crate::domain::Service) -> Self {
        Self {
            slug: service.slug.clone(),
            name: service.name.clone(),
            kind: service.kind.clone(),
            base: without_secrets(&service.base_url),
            tags: service.tags.clone(),
            owner: service.owner.clone(),
        }
    }
}

/// Scheme, host, port and path; what does not read as a URL is left out whole.
fn without_secrets(base_url: &str) -> String {
    let Ok(mut url) = url::Url::parse(base_url) else {
        return String::new();
    };
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

pub(super) const OBSERVATIONS: &str = "observations";
pub(super) const PLUGIN_RUNS: &str = "plugin_runs";
pub(super) const ALERT_EVENTS: &str = "alert_events";
pub(super) const EVENTS: &str = "events";
pub(super) const SHADOW_RUNS: &str = "shadow_runs";
pub(super) const RATE_LIMITS: &str = "rate_limits";
pub(super) const SERVICES: &str = "services";
pub(super) const SCHEMA: &str = "fact";

pub(super) fn append_observation(
    appender: &mut Appender<'_>,
    row: &Observation,
) -> duckdb::Result<()> {
    let phases = &row.phases;
    appender.append_row(params![
        timestamp(row.ts_ms),
        text(&row.service),
        text(&row.probe),
        text(&row.location),
        row.status.as_str(),
        row.latency_us.map(micros),
        phases.dns_us.map(micros),
        phases.connect_us.map(micros),
        phases.tls_us.map(micros),
        phases.first_byte_us.map(micros),
        phases.body_us.map(micros),
        row.http_status,
        row.failure.as_ref().map(|failure| failure.kind.as_str()),
        row.failure.as_ref().map(|failure| text(&failure.message)),
        row.bytes,
        text(&row.plugin),
        text(&row.plugin_version),
        row.run_id,
        metrics_json(&row.metrics),
        row.missed,
    ])
}

pub(super) fn append_plugin_run(
    appender: &mut Appender<'_>,
    row: &PluginRun,
) -> duckdb::Result<()> {
    appender.append_row(params![
        timestamp(row.ts_ms),
        row.run_id,
        text(&row.plugin),
        row.kind.as_str(),
        text(&row.version),
        text(&row.digest),
        row.function,
        row.service.as_deref().map(text),
        row.outcome.as_str(),
        row.error.as_deref().map(text),
        micros(row.duration_us),
        micros(row.cpu_us),
        row.memory_bytes,
        row.host_calls,
        row.log_bytes,
        row.denials,
        row.denied.as_deref().map(text),
        row.bytes_in,
        row.bytes_out,
    ])
}

pub(super) fn append_alert_event(
    appender: &mut Appender<'_>,
    event: &AlertEvent,
    alert: &Alert,
) -> duckdb::Result<()> {
    appender.append_row(params![
        timestamp(event.ts_ms),
        event.id,
        event.alert.0,
        text(&alert.service),
        text(&alert.rule),
        text(&alert.name),
        alert.severity.as_str(),
        event.from.map(|state| state.as_str()),
        event.to.as_str(),
        text(&event.actor),
        text(&event.reason),
    ])
}

pub(super) fn append_event(appender: &mut Appender<'_>, row: &Event) -> duckdb::Result<()> {
    appender.append_row(params![
        timestamp(row.received_ms),
        timestamp(row.ts_ms),
        row.id,
        text(&row.service),
        text(&row.webhook),
        text(&row.plugin),
        text(&row.plugin_version),
        row.run_id,
        row.event_id.as_deref().map(text),
        text(&row.kind),
        text(&row.summary),
        text(&row.payload),
        metrics_json(&row.attributes),
    ])
}

pub(super) fn append_shadow_run(
    appender: &mut Appender<'_>,
    row: &ShadowRun,
) -> duckdb::Result<()> {
    let (active, candidate) = (&row.active, &row.candidate);
    appender.append_row(params![
        timestamp(row.ts_ms),
        text(&row.plugin),
        row.kind.as_str(),
        text(&row.service),
        row.probe.as_deref().map(text),
        row.is_agreed,
        row.difference.as_deref().map(text),
        row.outcome.as_str(),
        active.run_id,
        text(&active.version),
        text(&active.digest),
        text(&active.status),
        active.latency_us.map(micros),
        micros(active.cpu_us),
        active.memory_bytes,
        candidate.run_id,
        text(&candidate.version),
        text(&candidate.digest),
        text(&candidate.status),
        candidate.latency_us.map(micros),
        micros(candidate.cpu_us),
        candidate.memory_bytes,
    ])
}

pub(super) fn append_rate_limit(
    appender: &mut Appender<'_>,
    run: &Observation,
    row: &RateLimit,
) -> duckdb::Result<()> {
    appender.append_row(params![
        timestamp(row.ts_ms),
        text(&run.service),
        text(&run.probe),
        text(&run.location),
        text(&row.host),
        text(&row.name),
        row.quota,
        row.remaining,
        row.reset_ms.map(timestamp),
        row.window_ms,
        run.run_id,
    ])
}

pub(super) fn append_service(appender: &mut Appender<'_>, row: &ServiceRow) -> duckdb::Result<()> {
    let tags = serde_json::Value::from(row.tags.clone()).to_string();
    appender.append_row(params![
        text(&row.slug),
        text(&row.name),
        text(&row.kind),
        text(&row.base),
        tags,
        row.owner.as_deref().map(text),
    ])
}

/// DuckDB's range is some 290,000 years.
fn timestamp(ms: UnixMillis) -> impl ToSql {
    Value::Timestamp(
        TimeUnit::Microsecond,
        ms.clamp(-62_135_596_800_000, 253_402_300_799_999) * 1_000,
    )
}

/// 71 minutes at most, longer than any timeout.
fn micros(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Without NUL, which text functions stumble over.
fn text(value: &str) -> String {
    value.replace('\0', "\u{fffd}")
}

/// A JSON object by name, or nothing.
fn metrics_json(metrics: &[Metric]) -> Option<String> {
    if metrics.is_empty() {
        return None;
    }
    let object: serde_json::Map<_, _> = metrics
        .iter()
        .map(|metric| {
            (
                metric.name.clone(),
                serde_json::to_value(&metric.value).unwrap_or_default(),
            )
        })
        .collect();
    Some(serde_json::Value::Object(object).to_string())
}

/// The reverse; a number that JSON can't hold (not a number, infinite) was stored as null, and is
/// left out.
pub(super) fn metrics_from_json(text: &str) -> Vec<Metric> {
    let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else {
        return Vec::new();
    };
    object
        .into_iter()
        .filter_map(|(name, value)| {
            let value: MetricValue = serde_json::from_value(value).ok()?;
            Some(Metric { name, value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_a_service_holds_no_secret() {
        for (url, base) in [
            (
                "https://user:pass@api.example.com:8443/v1?key=1#x",
                "https://api.example.com:8443/v1",
            ),
            ("tcp://10.0.0.1:5432", "tcp://10.0.0.1:5432"),
            ("not a url with a token", ""),
        ] {
            assert_eq!(without_secrets(url), base);
        }
    }

    #[test]
    fn metrics_come_back_as_they_were() {
        let metrics = [
            ("a", MetricValue::Boolean(true)),
            ("b", MetricValue::Integer(i64::MAX)),
            ("c", MetricValue::Number(0.5)),
            ("d", MetricValue::Text("ü\"\\".to_owned())),
        ]
        .map(|(name, value)| Metric {
            name: name.to_owned(),
            value,
        });
        assert_eq!(metrics_from_json(&metrics_json(&metrics).unwrap()), metrics);
        assert_eq!(metrics_json(&[]), None);
        let nan = [Metric {
            name: "n".to_owned(),
            value: MetricValue::Number(f64::NAN),
        }];
        assert_eq!(metrics_from_json(&metrics_json(&nan).unwrap()), []);
    }
}

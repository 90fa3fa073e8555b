//! WIT types to domain types and back.

use super::bindings::imports::history::Sample;
use super::bindings::imports::types as wit;
use super::bindings::{notifier, probe, rule};
use super::limits;
use crate::domain::{
    DeliveryError, ErrorKind, Failure, Finding, Message, Metric, MetricValue, NotificationStatus, Observation,
    PluginInfo, Receipt, Service, Status, Verdict, Want,
};

use notifier::exports::external_tracking::plugin::notifiers;
use probe::exports::external_tracking::plugin::probes;
use rule::exports::external_tracking::plugin::rules;

pub(super) fn plugin_info(info: wit::PluginInfo) -> Result<PluginInfo, String> {
    let settings_schema: serde_json::Value = serde_json::from_str(&info.settings_schema)
        .map_err(|error| format!("its settings schema is not JSON: {error}"))?;
    if !settings_schema.is_object() {
        return Err("its settings schema is not a JSON object".into());
    }
    let wants = info.wants.into_iter().map(|want| match want {
        wit::Want::Host(host) => Want::Host(host),
        wit::Want::Credential(name) => Want::Credential(name),
        wit::Want::Capability(name) => Want::Capability(name),
    });
    Ok(PluginInfo {
        name: info.name,
        version: info.version,
        summary: info.summary,
        settings_schema,
        wants: wants.collect(),
    })
}

pub(super) fn status(status: wit::Status) -> Status {
    match status {
        wit::Status::Healthy => Status::Healthy,
        wit::Status::Degraded => Status::Degraded,
        wit::Status::Unhealthy => Status::Unhealthy,
        wit::Status::Error => Status::Error,
    }
}

fn to_status(status: Status) -> wit::Status {
    match status {
        Status::Healthy => wit::Status::Healthy,
        Status::Degraded => wit::Status::Degraded,
        Status::Unhealthy => wit::Status::Unhealthy,
        Status::Error => wit::Status::Error,
    }
}

pub(super) fn failure(failure: wit::Failure) -> Failure {
    let kind = match failure.kind {
        wit::ErrorKind::Dns => ErrorKind::Dns,
        wit::ErrorKind::Connect => ErrorKind::Connect,
        wit::ErrorKind::Tls => ErrorKind::Tls,
        wit::ErrorKind::Timeout => ErrorKind::Timeout,
        wit::ErrorKind::Protocol => ErrorKind::Protocol,
        wit::ErrorKind::Assertion => ErrorKind::Assertion,
        wit::ErrorKind::Denied => ErrorKind::Denied,
        wit::ErrorKind::Plugin => ErrorKind::Plugin,
    };
    Failure::new(kind, failure.message)
}

fn to_failure(failure: &Failure) -> wit::Failure {
    let kind = match failure.kind {
        ErrorKind::Dns => wit::ErrorKind::Dns,
        ErrorKind::Connect => wit::ErrorKind::Connect,
        ErrorKind::Tls => wit::ErrorKind::Tls,
        ErrorKind::Timeout => wit::ErrorKind::Timeout,
        ErrorKind::Protocol => wit::ErrorKind::Protocol,
        ErrorKind::Assertion => wit::ErrorKind::Assertion,
        ErrorKind::Denied => wit::ErrorKind::Denied,
        ErrorKind::Plugin => wit::ErrorKind::Plugin,
    };
    wit::Failure { kind, message: failure.message.clone() }
}

/// At most [`limits::METRICS`], with names and texts cut to [`limits::METRIC_BYTES`].
pub(super) fn metrics(entries: Vec<wit::Entry>) -> Vec<Metric> {
    let cut = |mut text: String| {
        text.truncate(text.floor_char_boundary(limits::METRIC_BYTES.min(text.len())));
        text
    };
    let metric = |entry: wit::Entry| Metric {
        name: cut(entry.key),
        value: match entry.value {
            wit::Value::Text(text) => MetricValue::Text(cut(text)),
            wit::Value::Integer(value) => MetricValue::Integer(value),
            wit::Value::Number(value) if value.is_finite() => MetricValue::Number(value),
            // JSON has no such numbers.
            wit::Value::Number(value) => MetricValue::Text(value.to_string()),
            wit::Value::Boolean(value) => MetricValue::Boolean(value),
        },
    };
    entries.into_iter().take(limits::METRICS).map(metric).collect()
}

fn to_entries(metrics: &[Metric]) -> Vec<wit::Entry> {
    let entry = |metric: &Metric| wit::Entry {
        key: metric.name.clone(),
        value: match &metric.value {
            MetricValue::Text(text) => wit::Value::Text(text.clone()),
            MetricValue::Integer(value) => wit::Value::Integer(*value),
            MetricValue::Number(value) => wit::Value::Number(*value),
            MetricValue::Boolean(value) => wit::Value::Boolean(*value),
        },
    };
    metrics.iter().map(entry).collect()
}

pub(super) fn service(service: &Service) -> probes::Service {
    let text = |key: &str, value: &str| wit::Entry { key: key.into(), value: wit::Value::Text(value.into()) };
    let mut attributes = vec![text("type", &service.kind)];
    attributes.extend(service.health_endpoint.as_deref().map(|endpoint| text("health-endpoint", endpoint)));
    probes::Service {
        slug: service.slug.clone(),
        name: service.name.clone(),
        base_url: service.base_url.clone(),
        attributes,
    }
}

pub(super) fn previous(observation: &Observation) -> probes::Observation {
    probes::Observation {
        status: to_status(observation.status),
        failure: observation.failure.as_ref().map(to_failure),
        latency_us: observation.latency_us,
        http_status: observation.http_status,
        metrics: to_entries(&observation.metrics),
    }
}

pub(super) fn sample(observation: &Observation) -> Sample {
    Sample {
        ts_ms: observation.ts_ms.max(0) as u64,
        probe: observation.probe.clone(),
        location: observation.location.clone(),
        status: to_status(observation.status),
        latency_us: observation.latency_us,
        http_status: observation.http_status,
        failure: observation.failure.as_ref().map(to_failure),
        metrics: to_entries(&observation.metrics),
    }
}

pub(super) fn verdict(verdict: rules::Verdict) -> Verdict {
    let finding = |finding: rules::Finding| Finding {
        summary: Failure::new(ErrorKind::Assertion, finding.summary).message,
        value: finding.value,
        wanted: finding.wanted,
        details: metrics(finding.details),
    };
    match verdict {
        rules::Verdict::Ok(found) => Verdict::Ok(finding(found)),
        rules::Verdict::Breached(found) => Verdict::Breached(finding(found)),
        rules::Verdict::NoOpinion(why) => Verdict::NoOpinion(why),
    }
}

pub(super) fn notification(message: &Message) -> notifiers::Notification {
    let to_status = |status: NotificationStatus| match status {
        NotificationStatus::Firing => notifiers::NotificationStatus::Firing,
        NotificationStatus::Resolved => notifiers::NotificationStatus::Resolved,
    };
    let alerts = message.alerts.iter().map(|(alert, service_name)| notifiers::Alert {
        id: alert.id.0.to_string(),
        name: alert.name.clone(),
        service: alert.service.clone(),
        service_name: service_name.clone(),
        severity: alert.severity.as_str().into(),
        status: to_status(message.status),
        summary: alert.summary.clone(),
        started_ms: alert.started_ms.max(0) as u64,
        ended_ms: alert.resolved_ms.map(|ms| ms.max(0) as u64),
        labels: vec![
            ("alertname".into(), alert.name.clone()),
            ("service".into(), alert.service.clone()),
            ("severity".into(), alert.severity.as_str().into()),
        ],
        annotations: vec![("summary".into(), alert.summary.clone())],
    });
    notifiers::Notification {
        id: message.id.clone(),
        status: to_status(message.status),
        group_key: message.group_key.clone(),
        group_labels: message.group_labels.clone(),
        receiver: message.receiver.clone(),
        external_url: message.external_url.clone(),
        alerts: alerts.collect(),
        attempt: message.attempt,
        attributes: Vec::new(),
    }
}

pub(super) fn receipt(receipt: notifiers::Receipt) -> Receipt {
    Receipt { reference: receipt.reference, answer: receipt.answer }
}

pub(super) fn delivery_error(error: notifiers::NotifyError) -> DeliveryError {
    match error {
        notifiers::NotifyError::Retryable(retry) => DeliveryError::Retryable {
            message: retry.message,
            after: retry.after_ms.map(std::time::Duration::from_millis),
        },
        notifiers::NotifyError::Permanent(message) => DeliveryError::Permanent(message),
    }
}

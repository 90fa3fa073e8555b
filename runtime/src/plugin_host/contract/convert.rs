//! WIT types to domain types and back.

use super::bindings::imports::history::Sample;
use super::bindings::imports::types as wit;
use super::bindings::probe;
use super::bindings::{notifier, rule, webhook};
use crate::domain::{
    AlertState, Answer, AnswerType, DeliveryError, ErrorKind, Failure, Fault, Finding, Message,
    Metric, MetricValue, NotificationReason, NotificationStatus, Observation, PluginInfo, Receipt,
    ReceivedEvent, Reception, Report, ServiceFacts, Status, Verdict, Want, WebhookRequest,
};
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::secrets::SealedSettings;

use notifier::exports::external_tracking::plugin::notifiers;
use probe::exports::external_tracking::plugin::probes;
use rule::exports::external_tracking::plugin::rules;
use webhook::exports::external_tracking::plugin::webhooks;

pub(in crate::plugin_host) fn plugin_info(info: wit::PluginInfo) -> Result<PluginInfo, String> {
    if info.settings_schema.len() > limits::SCHEMA_BYTES {
        return Err(format!(
            "its settings schema is longer than {} KiB",
            limits::SCHEMA_BYTES >> 10
        ));
    }
    if info.wants.len() > limits::WANTS {
        return Err(format!(
            "it wants {} things; at most {} are taken",
            info.wants.len(),
            limits::WANTS
        ));
    }
    let settings_schema: serde_json::Value = serde_json::from_str(&info.settings_schema)
        .map_err(|error| format!("its settings schema is not JSON: {error}"))?;
    if !settings_schema.is_object() {
        return Err("its settings schema is not a JSON object".into());
    }
    let wants: Vec<Want> = info
        .wants
        .into_iter()
        .map(|want| match want {
            wit::Want::Host(host) => Want::Host(host),
            wit::Want::Credential(name) => Want::Credential(name),
            wit::Want::Capability(name) => Want::Capability(name),
            wit::Want::Feature(name) => Want::Feature(name),
        })
        .collect();
    for Want::Host(text) | Want::Credential(text) | Want::Capability(text) | Want::Feature(text) in
        &wants
    {
        if text.len() > limits::WANT_BYTES {
            return Err(format!(
                "one of its `wants` is longer than {} bytes",
                limits::WANT_BYTES
            ));
        }
    }
    Ok(PluginInfo {
        name: info.name,
        version: info.version,
        summary: cut(info.summary, limits::SUMMARY_BYTES),
        settings_schema,
        wants,
        evaluated_over_time: info.rule.is_some_and(|rule| rule.evaluated_over_time),
    })
}

pub(in crate::plugin_host) fn status(status: wit::Status) -> Status {
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

pub(in crate::plugin_host) fn failure(failure: wit::Failure) -> Failure {
    let kind = match failure.kind {
        wit::ErrorKind::Dns => ErrorKind::Dns,
        wit::ErrorKind::Connect => ErrorKind::Connect,
        wit::ErrorKind::Tls => ErrorKind::Tls,
        wit::ErrorKind::Timeout => ErrorKind::Timeout,
        wit::ErrorKind::Protocol => ErrorKind::Protocol,
        wit::ErrorKind::Assertion => ErrorKind::Assertion,
        wit::ErrorKind::Denied => ErrorKind::Denied,
        wit::ErrorKind::Plugin => ErrorKind::Plugin,
        wit::ErrorKind::Other(name) => {
            let message = format!("{}: {}", cut(name, limits::METRIC_BYTES), failure.message);
            return Failure::new(ErrorKind::Protocol, message);
        }
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
    wit::Failure {
        kind,
        message: failure.message.clone(),
        attributes: Vec::new(),
    }
}

/// Converts at most [`limits::METRICS`] metrics, with names and texts cut to
/// [`limits::METRIC_BYTES`].
pub(in crate::plugin_host) fn metrics(entries: Vec<wit::Entry>) -> Vec<Metric> {
    let cut = |text| cut(text, limits::METRIC_BYTES);
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
    entries
        .into_iter()
        .take(limits::METRICS)
        .map(metric)
        .collect()
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

pub(in crate::plugin_host) fn service(service: &ServiceFacts) -> wit::Service {
    let text = |key: &str, value: &str| wit::Entry {
        key: key.into(),
        value: wit::Value::Text(value.into()),
    };
    let mut attributes = vec![text("type", &service.kind)];
    attributes.extend(
        service
            .health_endpoint
            .as_deref()
            .map(|endpoint| text("health-endpoint", endpoint)),
    );
    wit::Service {
        slug: service.slug.clone(),
        name: service.name.clone(),
        base_url: service.base_url.clone(),
        attributes,
    }
}

pub(in crate::plugin_host) fn previous(observation: &Observation) -> probes::Observation {
    probes::Observation {
        status: to_status(observation.status),
        failure: observation.failure.as_ref().map(to_failure),
        latency_us: observation.latency_us,
        http_status: observation.http_status,
        metrics: to_entries(&observation.metrics),
        attributes: Vec::new(),
    }
}

pub(in crate::plugin_host) fn sample(observation: &Observation) -> Sample {
    Sample {
        ts_ms: observation.ts_ms.max(0) as u64,
        probe: observation.probe.clone(),
        location: observation.location.clone(),
        status: to_status(observation.status),
        latency_us: observation.latency_us,
        http_status: observation.http_status,
        failure: observation.failure.as_ref().map(to_failure),
        metrics: to_entries(&observation.metrics),
        attributes: None,
    }
}

pub(in crate::plugin_host) fn verdict(verdict: rules::Verdict) -> Verdict {
    let finding = |finding: rules::Finding| Finding {
        summary: message(finding.summary),
        value: finding.value,
        wanted: finding.wanted,
        details: metrics(finding.details),
    };
    match verdict {
        rules::Verdict::Ok(found) => Verdict::Ok(finding(found)),
        rules::Verdict::Breached(found) => Verdict::Breached(finding(found)),
        rules::Verdict::NoOpinion(why) => Verdict::NoOpinion(message(why)),
    }
}

pub(in crate::plugin_host) fn notification(message: &Message) -> notifiers::Notification {
    let to_status = |status: NotificationStatus| match status {
        NotificationStatus::Firing => notifiers::NotificationStatus::Firing,
        NotificationStatus::Resolved => notifiers::NotificationStatus::Resolved,
    };
    let alerts = message
        .alerts
        .iter()
        .map(|(alert, service_name)| notifiers::Alert {
            id: alert.id.0.to_string(),
            name: alert.name.clone(),
            service: alert.service.clone(),
            service_name: service_name.clone(),
            severity: alert.severity.as_str().into(),
            status: match alert.state {
                AlertState::Resolved => notifiers::NotificationStatus::Resolved,
                _ => notifiers::NotificationStatus::Firing,
            },
            summary: alert.summary.clone(),
            started_ms: alert.started_ms.max(0) as u64,
            ended_ms: alert.resolved_ms.map(|ms| ms.max(0) as u64),
            labels: alert.label_pairs(),
            annotations: vec![("summary".into(), alert.summary.clone())],
            attributes: Vec::new(),
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
        attributes: attributes(message),
    }
}

/// Returns the parts of a message that the contract has no field for.
fn attributes(message: &Message) -> Vec<wit::Entry> {
    let texts = &message.texts;
    // The notifiers' own words don't know of digests.
    let title = texts
        .title
        .clone()
        .or_else(|| (message.reason == NotificationReason::Digest).then(|| message.title()));
    let named = [
        ("reason", Some(message.reason.as_str().to_owned())),
        ("title", title),
        ("text", texts.text.clone()),
        ("html", texts.html.clone()),
        ("reference", message.reference.clone()),
    ];
    let entry = |key: &str, value: wit::Value| wit::Entry {
        key: key.to_owned(),
        value,
    };
    let texts = named
        .into_iter()
        .filter_map(|(key, text)| Some(entry(key, wit::Value::Text(text?))));
    let omitted = (message.omitted > 0).then(|| {
        entry(
            "omitted-alerts",
            wit::Value::Integer(message.omitted.into()),
        )
    });
    texts.chain(omitted).collect()
}

pub(in crate::plugin_host) fn receipt(receipt: notifiers::Receipt) -> Receipt {
    let cut = |text| cut(text, limits::RECEIPT_BYTES);
    Receipt {
        reference: receipt.reference.map(cut),
        answer: cut(receipt.answer),
    }
}

pub(in crate::plugin_host) fn delivery_error(error: notifiers::NotifyError) -> DeliveryError {
    match error {
        notifiers::NotifyError::Retryable(retry) => DeliveryError::Retryable {
            message: message(retry.message),
            after: retry.after_ms.map(std::time::Duration::from_millis),
        },
        notifiers::NotifyError::Permanent(text) | notifiers::NotifyError::Other(text) => {
            DeliveryError::Permanent(message(text))
        }
    }
}

pub(in crate::plugin_host) fn webhook_request(request: WebhookRequest) -> webhooks::Request {
    let WebhookRequest {
        method,
        path,
        query,
        headers,
        body,
        received_ms,
    } = request;
    webhooks::Request {
        method,
        path,
        query,
        headers,
        body,
        received_ms: received_ms.max(0) as u64,
        attributes: Vec::new(),
    }
}

/// Err: the plugin made something of the delivery that can't be kept.
pub(in crate::plugin_host) fn reception(
    reception: webhooks::Reception,
    run_id: i64,
    plugin_version: &str,
    secrets: &SealedSettings,
) -> Result<Reception, String> {
    if reception.events.len() > limits::EVENTS {
        return Err(format!(
            "answered {} events, at the most {} are kept",
            reception.events.len(),
            limits::EVENTS
        ));
    }
    let events = reception
        .events
        .into_iter()
        .map(|event| received_event(event, secrets))
        .collect::<Result<_, _>>()?;
    let answer = reception.answer.map(answer).transpose()?;
    Ok(Reception {
        run_id,
        plugin_version: plugin_version.to_owned(),
        events,
        answer,
    })
}

fn received_event(
    event: webhooks::Event,
    secrets: &SealedSettings,
) -> Result<ReceivedEvent, String> {
    // Two long ids must not become one by being cut.
    if event
        .id
        .as_ref()
        .is_some_and(|id| id.len() > limits::METRIC_BYTES)
    {
        return Err(format!(
            "answered an event whose id is longer than {} bytes",
            limits::METRIC_BYTES
        ));
    }
    let line = |text: String| {
        Failure::new(ErrorKind::Plugin, secrets.redact(&text))
            .message
            .replace(['\n', '\r'], " ")
    };
    let payload = match event.payload.len() {
        bytes if bytes > limits::PAYLOAD_BYTES => format!(r#"{{"leftOut":"{bytes} bytes"}}"#),
        _ => secrets.redact(&event.payload),
    };
    serde_json::from_str::<serde::de::IgnoredAny>(&payload)
        .map_err(|error| format!("answered an event whose payload is not JSON: {error}"))?;
    let report = event.report.map(|report| Report {
        status: status(report.status),
        failure: report.failure.map(|found| {
            let found = failure(found);
            Failure::new(found.kind, secrets.redact(&found.message))
        }),
        metrics: metrics(report.metrics),
    });
    Ok(ReceivedEvent {
        id: event
            .id
            .filter(|id| !id.is_empty())
            .map(|id| secrets.redact(&id)),
        kind: cut(line(event.kind), limits::METRIC_BYTES),
        ts_ms: event.ts_ms.and_then(|ms| i64::try_from(ms).ok()),
        summary: line(event.summary),
        payload,
        attributes: metrics(event.attributes),
        report,
    })
}

fn answer(answer: webhooks::Answer) -> Result<Answer, String> {
    let content_type =
        match answer.content_type.as_str() {
            "text/plain" => AnswerType::Text,
            "application/json" => AnswerType::Json,
            _ => return Err(
                "answered the sender with another type than `text/plain` and `application/json`"
                    .into(),
            ),
        };
    if answer.body.len() > limits::ANSWER_BYTES {
        return Err(format!(
            "answered the sender with more than {} bytes",
            limits::ANSWER_BYTES
        ));
    }
    Ok(Answer {
        content_type,
        body: answer.body,
    })
}

pub(super) fn cut(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes.min(text.len())));
    text
}

/// Cuts a text to the length of a failure's reason.
pub(in crate::plugin_host) fn message(text: String) -> String {
    Failure::new(ErrorKind::Plugin, text).message
}

/// Converts at most [`limits::FAULTS`] faults, each cut to the length of a failure's reason.
pub(in crate::plugin_host) fn faults(faults: Vec<wit::Fault>) -> Vec<Fault> {
    let fault = |fault: wit::Fault| Fault::new(message(fault.path), message(fault.message));
    faults.into_iter().take(limits::FAULTS).map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 4 << 20;

    #[test]
    fn what_a_plugin_says_of_a_message_is_cut_before_it_is_stored() {
        let large = || "é".repeat(LARGE / 2);
        let receipt = receipt(notifiers::Receipt {
            reference: Some(large()),
            answer: large(),
            attributes: Vec::new(),
        });
        assert!(receipt.answer.len() <= limits::RECEIPT_BYTES && receipt.answer.ends_with('é'));
        assert!(
            receipt
                .reference
                .is_some_and(|reference| reference.len() <= limits::RECEIPT_BYTES)
        );
        let retry = notifiers::NotifyError::Retryable(notifiers::Retry {
            message: large(),
            after_ms: None,
            attributes: Vec::new(),
        });
        for error in [retry, notifiers::NotifyError::Permanent(large())] {
            assert!(delivery_error(error).to_string().len() <= Failure::MAX_MESSAGE_BYTES);
        }
        let Verdict::NoOpinion(why) = verdict(rules::Verdict::NoOpinion(large())) else {
            panic!("it had none")
        };
        assert!(why.len() <= Failure::MAX_MESSAGE_BYTES);
        let many = vec![
            wit::Fault {
                path: large(),
                message: large(),
                attributes: Vec::new(),
            };
            200
        ];
        let faults = faults(many);
        assert_eq!(faults.len(), limits::FAULTS);
        assert!(faults.iter().all(
            |fault| fault.pointer.len() + fault.message.len() <= 2 * Failure::MAX_MESSAGE_BYTES
        ));
    }

    #[test]
    fn what_a_plugin_says_of_itself_has_bounds() {
        let info = || wit::PluginInfo {
            name: "p".into(),
            version: "1.0.0".into(),
            summary: "s".into(),
            settings_schema: "{}".into(),
            wants: vec![wit::Want::Host("a.example".into())],
            rule: None,
            attributes: Vec::new(),
        };
        assert!(plugin_info(info()).is_ok());
        let cut = plugin_info(wit::PluginInfo {
            summary: "x".repeat(LARGE),
            ..info()
        })
        .unwrap();
        assert_eq!(cut.summary.len(), limits::SUMMARY_BYTES);
        let schema = format!("{{\"description\": \"{}\"}}", "x".repeat(LARGE));
        let want = || wit::Want::Host("a.example".into());
        for refused in [
            wit::PluginInfo {
                settings_schema: schema,
                ..info()
            },
            wit::PluginInfo {
                wants: vec![want(); 1_000],
                ..info()
            },
            wit::PluginInfo {
                wants: vec![wit::Want::Host("x".repeat(LARGE))],
                ..info()
            },
        ] {
            assert!(plugin_info(refused).unwrap_err().len() < 200);
        }
    }
}

//! The observation of a heartbeat. One that is late is degraded; one that is down by its silence is
//! an error, as a service that does not answer is, and one that reported a failure is unhealthy.

use crate::domain::{
    DownCause, ErrorKind, Failure, HEARTBEAT, HeartbeatRecord, HeartbeatState, Metric, MetricValue,
    Observation, Ping, Signal, Status, UnixMillis,
};

/// Returns the observation of a state; none of one that waits for its first ping.
pub(super) fn of_state(
    service: &str,
    record: &HeartbeatRecord,
    ts_ms: UnixMillis,
    run_id: i64,
) -> Option<Observation> {
    if record.state == HeartbeatState::Never {
        return None;
    }
    Some(of_record(service, record, ts_ms, run_id))
}

/// Returns the observation of a ping, with its message and the length of the run that it ended.
/// `record` is the one after it.
pub(super) fn of_ping(
    service: &str,
    record: &HeartbeatRecord,
    ping: &Ping,
    ts_ms: UnixMillis,
    run_id: i64,
) -> Observation {
    let mut observation = of_record(service, record, ts_ms, run_id);
    if ping.signal != Signal::Start {
        let duration_ms = record.duration_ms.and_then(|ms| u64::try_from(ms).ok());
        observation.latency_us = duration_ms.map(|ms| ms.saturating_mul(1_000));
    }
    if let Some(message) = &ping.message {
        observation.bytes = message.len() as u64;
        let value = MetricValue::Text(message.clone());
        observation.metrics.push(metric("message", value));
    }
    observation
}

fn of_record(
    service: &str,
    record: &HeartbeatRecord,
    ts_ms: UnixMillis,
    run_id: i64,
) -> Observation {
    let status = match (record.state, record.cause) {
        (HeartbeatState::Down, Some(DownCause::Failure)) => Status::Unhealthy,
        (HeartbeatState::Down, _) => Status::Error,
        (HeartbeatState::Late, _) => Status::Degraded,
        _ => Status::Healthy,
    };
    let state = MetricValue::Text(record.state.as_str().to_owned());
    let mut metrics = vec![metric("state", state)];
    metrics.extend(record.exit_status.map(|status| {
        let status = MetricValue::Integer(status.into());
        metric("exit_status", status)
    }));
    Observation {
        ts_ms,
        service: service.to_owned(),
        probe: HEARTBEAT.to_owned(),
        location: HEARTBEAT.to_owned(),
        status,
        latency_us: None,
        phases: Default::default(),
        http_status: None,
        failure: failure(record),
        bytes: 0,
        plugin: HEARTBEAT.to_owned(),
        plugin_version: String::new(),
        run_id,
        metrics,
        missed: false,
        excluded: None,
        rate_limits: Vec::new(),
    }
}

fn failure(record: &HeartbeatRecord) -> Option<Failure> {
    let reason = record.reason.as_deref()?;
    let message = record.message.as_deref();
    match (record.cause, message) {
        (Some(DownCause::Failure), Some(message)) => Some(Failure::new(
            ErrorKind::Assertion,
            format!("{reason}: {message}"),
        )),
        (Some(DownCause::Failure), None) => Some(Failure::new(ErrorKind::Assertion, reason)),
        _ => Some(Failure::new(ErrorKind::Timeout, reason)),
    }
}

fn metric(name: &str, value: MetricValue) -> Metric {
    Metric {
        name: name.to_owned(),
        value,
    }
}

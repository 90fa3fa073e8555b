//! Runs that did not take place: one row for those in a row, with how many, how long for, and why.

use std::time::Duration;

use crate::domain::duration::format_duration;
use crate::domain::{
    ErrorKind, Exclusion, Failure, LOCAL, Metric, MetricValue, Observation, Pause, Probe, Service,
    Status, UnixMillis,
};

/// How many runs the row stands for.
const COUNT: &str = "missed_runs";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The wall clock went on and the program did not.
    Asleep,
    /// The program came round too late.
    Late,
    /// The run before was still under way.
    Overlap,
    /// No slot became free before the probe's own time-out.
    NoSlot,
}

impl Reason {
    fn as_str(self) -> &'static str {
        match self {
            Reason::Asleep => "asleep",
            Reason::Late => "late",
            Reason::Overlap => "overlap",
            Reason::NoSlot => "no_slot",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Reason::Asleep => "the machine was suspended or its clock was set ahead",
            Reason::Late => "the program was stopped or too busy",
            Reason::Overlap => "the run before was still under way",
            Reason::NoSlot => "no free slot before its time-out, too many runs are under way",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) reason: Reason,
    /// Never 0.
    pub(super) runs: u64,
    /// When the first of them was due.
    pub(super) since_ms: UnixMillis,
}

impl Gap {
    /// The row. A gap must not read as availability.
    pub(super) fn observation(&self, service: &Service, probe: &Probe, run_id: i64) -> Observation {
        let Gap {
            reason,
            runs,
            since_ms,
        } = *self;
        metrics::counter!("extrack_probe_runs_missed_total", "reason" => reason.as_str())
            .increment(runs);
        let what = match runs {
            1 => String::new(),
            _ => {
                let length = probe
                    .interval
                    .saturating_mul(u32::try_from(runs).unwrap_or(u32::MAX));
                format!("{runs} runs in {}: ", format_duration(rounded(length)))
            }
        };
        let message = format!("missed: {what}{}", reason.text());
        Observation {
            metrics: vec![Metric {
                name: COUNT.to_owned(),
                value: MetricValue::Integer(i64::try_from(runs).unwrap_or(i64::MAX)),
            }],
            ..unrun(service, probe, since_ms, run_id, message)
        }
    }
}

/// Returns the row of a run that was due while its service was paused: that time is neither up nor
/// down.
pub(super) fn paused(
    service: &Service,
    probe: &Probe,
    pause: &Pause,
    ts_ms: UnixMillis,
    run_id: i64,
) -> Observation {
    Observation {
        excluded: Some(Exclusion::Paused),
        ..unrun(service, probe, ts_ms, run_id, pause.to_string())
    }
}

/// Returns the row of a run that did not take place.
fn unrun(
    service: &Service,
    probe: &Probe,
    ts_ms: UnixMillis,
    run_id: i64,
    message: String,
) -> Observation {
    Observation {
        ts_ms,
        service: service.slug.clone(),
        probe: probe.name.clone(),
        location: LOCAL.into(),
        status: Status::Error,
        latency_us: None,
        phases: Default::default(),
        http_status: None,
        failure: Some(Failure::new(ErrorKind::Plugin, message)),
        bytes: 0,
        plugin: probe.plugin.clone(),
        plugin_version: String::new(),
        run_id,
        metrics: Vec::new(),
        missed: true,
        excluded: None,
        rate_limits: Vec::new(),
    }
}

/// Rounds to the minute where it is longer than some minutes.
fn rounded(length: Duration) -> Duration {
    let seconds = length.as_secs();
    if seconds < 300 {
        length
    } else {
        Duration::from_secs(seconds - seconds % 60)
    }
}

//! Compiles the `heartbeat` of a service, which may have no base URL: a job calls us.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Compiler;
use crate::domain::duration::format_duration;
use crate::domain::fault::child;
use crate::domain::{Cadence, CronSchedule, HEARTBEAT, Heartbeat, Probe};
use crate::spec::{HeartbeatSpec, ServiceSpec};

/// Type of a service that is nothing but a job.
pub(super) const KIND: &str = "Heartbeat";

const DEFAULT_GRACE: Duration = Duration::from_secs(300);
/// A shorter time is that of a machine that is busy.
const SHORTEST: Duration = Duration::from_secs(1);

impl Compiler<'_> {
    /// Returns what is expected of the service's job.
    pub(super) fn heartbeat(&mut self, spec: &ServiceSpec, at: &str) -> Option<Arc<Heartbeat>> {
        let is_job = spec.kind.eq_ignore_ascii_case(KIND);
        let Some(heartbeat) = &spec.heartbeat else {
            if is_job {
                let message = "needs `heartbeat` beside it, e.g. `heartbeat: {every: 1h}`";
                self.report.fault(child(at, "type"), message);
            }
            return None;
        };
        if spec.base_url.is_empty() && needs_base_url(spec) {
            let message = "is missing; what is asked of the service beside its heartbeat needs it";
            self.report.fault(child(at, "baseUrl"), message);
        }
        let at = child(at, "heartbeat");
        let cadence = self.cadence(heartbeat, &at);
        let grace_at = child(&at, "grace");
        let grace = self.duration(heartbeat.grace.as_ref(), 1_000, &grace_at);
        let grace = grace.unwrap_or(DEFAULT_GRACE);
        self.length_check(grace, &grace_at);
        let max_at = child(&at, "maxDuration");
        let max_duration = self.duration(heartbeat.max_duration.as_ref(), 1_000, &max_at);
        if let Some(max_duration) = max_duration {
            self.length_check(max_duration, &max_at);
        }
        Some(Arc::new(Heartbeat {
            cadence: cadence?,
            grace,
            max_duration,
        }))
    }

    fn cadence(&mut self, spec: &HeartbeatSpec, at: &str) -> Option<Cadence> {
        match (&spec.every, &spec.cron) {
            (Some(every), None) => {
                if spec.timezone.is_some() {
                    let message = "is that of `cron`; `every` needs none";
                    self.report.fault(child(at, "timezone"), message);
                }
                let at = child(at, "every");
                let every = self.duration(Some(every), 1_000, &at)?;
                self.length_check(every, &at);
                Some(Cadence::Every(every))
            }
            (None, Some(text)) => {
                let zone = spec.timezone.as_deref().unwrap_or("UTC");
                match CronSchedule::parse(text, zone, "0 3 * * *") {
                    Ok(schedule) => Some(Cadence::Cron {
                        text: text.clone(),
                        schedule,
                    }),
                    Err(fault) => {
                        self.report.add(fault.under(at));
                        None
                    }
                }
            }
            (Some(_), Some(_)) => {
                let message = "is given beside `every`; write one of them";
                self.report.fault(child(at, "cron"), message);
                None
            }
            (None, None) => {
                let message =
                    "needs `every`, e.g. `every: 1h`, or `cron`, e.g. `cron: \"0 3 * * *\"`";
                self.report.fault(at, message);
                None
            }
        }
    }

    fn length_check(&mut self, length: Duration, at: &str) {
        if length < SHORTEST {
            let message = format!("must be at least {}", format_duration(SHORTEST));
            self.report.fault(at, message);
        }
    }
}

/// Returns whether a service without a main probe is all that there is: it is only called.
pub(super) fn is_only_called(spec: &ServiceSpec) -> bool {
    let asks_nothing = spec.monitoring.as_ref().is_none_or(|it| it.probe.is_none());
    asks_nothing
        && (spec.kind.eq_ignore_ascii_case(KIND)
            || (spec.heartbeat.is_some() && spec.base_url.is_empty()))
}

/// Returns the probe under which the heartbeat is observed: its state is repeated at the interval of
/// a probe, so that rules and figures weigh it as they weigh others.
pub(super) fn probe(interval: Duration, timeout: Duration) -> Probe {
    Probe {
        name: HEARTBEAT.to_owned(),
        plugin: HEARTBEAT.to_owned(),
        settings: Value::Object(Map::new()),
        interval,
        timeout,
        retry: None,
    }
}

fn needs_base_url(spec: &ServiceSpec) -> bool {
    let has_main_probe = spec
        .monitoring
        .as_ref()
        .is_some_and(|it| it.probe.is_some());
    let is_called = spec.gateway.is_some();
    has_main_probe || is_called || !spec.probes.is_empty() || spec.health_endpoint.is_some()
}

//! [`PluginWatch`] takes over the health of plugins from before the start, and reports it to the alert
//! engine, as observations of the subject `plugin:NAME`. Those are evaluated and not recorded:
//! `plugin_runs` has every run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::domain::{
    ErrorKind, Failure, Metric, MetricValue, Observation, PluginHealth, RUNS_REMEMBERED,
    RUNS_THAT_DECIDE, Status, UnixMillis, now_ms, plugin_subject,
};
use crate::plugin_host::PluginHost;
use crate::store::ResultStore;
use crate::store::results::StoredSpan;

/// Time between two reports of a plugin's health, however often it runs.
const PERIOD: Duration = Duration::from_secs(1);

/// How far back runs from before the start are counted.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

const HOUR_MS: i64 = 3_600_000;

/// The name of the observations' probe.
const PROBE: &str = "health";

pub struct PluginWatch {
    host: PluginHost,
    results: ResultStore,
    alerts: mpsc::Sender<Arc<Observation>>,
    /// Ids of runs begin here.
    first_run_id: i64,
}

impl PluginWatch {
    pub fn new(
        host: PluginHost,
        results: ResultStore,
        alerts: mpsc::Sender<Arc<Observation>>,
        first_run_id: i64,
    ) -> Self {
        Self {
            host,
            results,
            alerts,
            first_run_id,
        }
    }

    pub async fn run(self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = self.restore() => {}
        }
        let mut reported: HashMap<String, ReportedHealth> = HashMap::new();
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let plugins = self.host.list();
            reported.retain(|name, _| {
                let is_there = plugins.iter().any(|plugin| plugin.name == *name);
                if !is_there {
                    show(name, false);
                }
                is_there
            });
            for plugin in plugins {
                show(&plugin.name, plugin.health.failing.is_some());
                let reported = reported.entry(plugin.name.clone()).or_default();
                if !reported.is_news(&plugin.digest, &plugin.health) {
                    continue;
                }
                let id = self.host.next_run_id();
                let report = report(&plugin.name, &plugin.version, &plugin.health, id, now_ms());
                // Closed only while the program ends.
                let _ = self.alerts.send(Arc::new(report)).await;
            }
        }
    }

    /// Restores the figures. Otherwise they begin with this start, and a failing plugin is known as such again
    /// after a few runs.
    async fn restore(&self) {
        let now_ms = now_ms();
        let since_ms = now_ms - REMEMBERED.as_millis() as i64;
        let span = StoredSpan {
            since_ms,
            slots_since_ms: now_ms - HOUR_MS,
            before_run_id: self.first_run_id,
        };
        let restored = async {
            let mut groups = self.results.plugin_run_groups(span).await?;
            for plugin in self.host.list() {
                let Some(groups) = groups.remove(&(plugin.name.clone(), plugin.digest.clone()))
                else {
                    continue;
                };
                let last = self
                    .results
                    .plugin_run_last(&plugin.name, &plugin.digest, span, RUNS_REMEMBERED)
                    .await?;
                self.host
                    .restore_health(&plugin.name, &plugin.digest, since_ms, &groups, last);
            }
            Ok::<_, crate::store::results::ResultError>(())
        };
        if let Err(error) = restored.await {
            tracing::warn!(%error, "the runs of plugins before the start can't be read, their figures begin now");
        }
    }
}

fn show(plugin: &str, is_failing: bool) {
    let gauge = metrics::gauge!("extrack_plugin_failing", "plugin" => plugin.to_owned());
    gauge.set(f64::from(u8::from(is_failing)));
}

/// Health of one plugin as it was reported to the alert engine.
#[derive(Debug, Default)]
struct ReportedHealth {
    digest: String,
    runs: u64,
    is_failing: Option<bool>,
}

impl ReportedHealth {
    /// Whether this health is to be reported: only after a run, and while all is well only once.
    fn is_news(&mut self, digest: &str, health: &PluginHealth) -> bool {
        let is_failing = health.failing.is_some();
        let has_run = self.digest != digest || self.runs != health.total.runs;
        // After a start or a new version: a few runs first, an open alert is not resolved by hope.
        let is_known = is_failing || health.recent.runs >= RUNS_THAT_DECIDE;
        let is_restless = is_failing || health.recent.broken > 0 || self.is_failing != Some(false);
        if !(has_run && is_known && is_restless) {
            return false;
        }
        *self = Self {
            digest: digest.to_owned(),
            runs: health.total.runs,
            is_failing: Some(is_failing),
        };
        true
    }
}

/// Healthy or degraded while it works, `error` while it is failing.
fn report(
    name: &str,
    version: &str,
    health: &PluginHealth,
    run_id: i64,
    ts_ms: UnixMillis,
) -> Observation {
    let recent = health.recent;
    let status = match &health.failing {
        Some(_) => Status::Error,
        None if recent.broken > 0 => Status::Degraded,
        None => Status::Healthy,
    };
    let failure = health
        .failing
        .as_ref()
        .map(|failing| Failure::new(ErrorKind::Assertion, &failing.reason));
    let metric = |name: &str, value| Metric {
        name: name.to_owned(),
        value,
    };
    let count = |name, value: u32| metric(name, MetricValue::Integer(value.into()));
    Observation {
        status,
        plugin: name.to_owned(),
        plugin_version: version.to_owned(),
        metrics: vec![
            metric("failing", MetricValue::Boolean(health.failing.is_some())),
            count("runs", recent.runs),
            count("broken", recent.broken),
            count("broken_in_a_row", recent.broken_in_a_row),
        ],
        ..Observation::of_program(ts_ms, &plugin_subject(name), PROBE, failure, run_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Failing, RecentRuns, RunFigures};

    fn health(runs: u64, recent: (u32, u32), is_failing: bool) -> PluginHealth {
        PluginHealth {
            total: RunFigures {
                runs,
                ..RunFigures::default()
            },
            recent: RecentRuns {
                runs: recent.0,
                broken: recent.1,
                broken_in_a_row: 0,
            },
            failing: is_failing.then(|| Failing {
                since_ms: 5,
                reason: "the last 5 runs broke: why".to_owned(),
            }),
            ..PluginHealth::default()
        }
    }

    #[test]
    fn tells_what_is_news_and_nothing_else() {
        let mut reported = ReportedHealth::default();
        for (what, digest, health, wanted) in [
            ("too few runs to know", "a", health(4, (4, 0), false), false),
            (
                "enough: an alert from before the start may end",
                "a",
                health(5, (5, 0), false),
                true,
            ),
            (
                "well, and known to be",
                "a",
                health(6, (6, 0), false),
                false,
            ),
            ("something broke", "a", health(7, (7, 1), false), true),
            (
                "nothing has run since",
                "a",
                health(7, (7, 1), false),
                false,
            ),
            ("it fails", "a", health(12, (12, 6), true), true),
            ("it fails on", "a", health(13, (13, 7), true), true),
            ("it works again", "a", health(18, (5, 0), false), true),
            ("and is known to", "a", health(19, (6, 0), false), false),
            (
                "a new version that has not run",
                "b",
                health(0, (0, 0), false),
                false,
            ),
            ("and fails at once", "b", health(5, (5, 5), true), true),
            (
                "a newer one has run too little to end the alert",
                "c",
                health(3, (3, 0), false),
                false,
            ),
            ("enough", "c", health(5, (5, 0), false), true),
        ] {
            assert_eq!(reported.is_news(digest, &health), wanted, "{what}");
        }
    }

    #[test]
    fn a_report_says_why_and_is_no_broken_check() {
        let report = report("http", "1.0.0", &health(9, (9, 6), true), 7, 5);
        assert_eq!(
            (report.service.as_str(), report.status),
            ("plugin:http", Status::Error)
        );
        assert_eq!(
            report.failure.as_ref().unwrap().message,
            "the last 5 runs broke: why"
        );
        assert!(!report.is_check_broken(), "or nobody would judge it");
        assert_eq!(
            super::report("http", "1", &health(9, (9, 1), false), 7, 5).status,
            Status::Degraded
        );
    }
}

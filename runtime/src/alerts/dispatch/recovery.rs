//! When the alert that muted others ends, these stay muted for one more run of their checks: most
//! of them end with it, and are never announced. Whatever still fires then is.
//!
//! What is held is kept in memory alone: after a restart an alert that is still marked as muted is
//! held once more.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::{Alert, AlertId, Catalog};

/// Time for a run that has just begun late, its judgement and its commit.
const SLACK: Duration = Duration::from_secs(5);

/// No alert that fires is held for longer, however seldom it is checked.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Alerts whose cause has ended, and until when they are held. Milliseconds of a clock that is
/// never set.
#[derive(Debug, Default)]
pub struct RecoveryHolds {
    until_ms: HashMap<AlertId, i64>,
}

impl RecoveryHolds {
    /// Whether the alert stays muted. The first call begins the hold.
    pub fn is_held(&mut self, alert: &Alert, catalog: &Catalog, now_ms: i64) -> bool {
        let until_ms = self
            .until_ms
            .entry(alert.id)
            .or_insert_with(|| now_ms.saturating_add(hold_of(alert, catalog).as_millis() as i64));
        now_ms < *until_ms
    }

    /// The alert is muted by something again, or is no longer held.
    pub fn release(&mut self, alert: AlertId) {
        self.until_ms.remove(&alert);
    }

    pub fn retain(&mut self, is_held: impl Fn(AlertId) -> bool) {
        self.until_ms.retain(|alert, _| is_held(*alert));
    }

    /// When the next hold ends.
    pub fn next_end_ms(&self) -> Option<i64> {
        self.until_ms.values().min().copied()
    }
}

/// The time in which an alert's rule sees that the service is well again.
fn hold_of(alert: &Alert, catalog: &Catalog) -> Duration {
    let rules = catalog.rules.get(&alert.service).into_iter().flatten();
    let Some(rule) = rules.into_iter().find(|rule| rule.key == alert.rule) else {
        return SLACK;
    };
    let probes = catalog
        .services
        .get(&alert.service)
        .into_iter()
        .flat_map(|service| &service.probes);
    let judged = probes.filter(|probe| {
        rule.probes
            .as_ref()
            .is_none_or(|names| names.contains(&probe.name))
    });
    let slowest = judged
        .map(|probe| probe.interval + probe.timeout)
        .max()
        .unwrap_or_default();
    // So many good runs end a breach that takes a number of the last few.
    let runs = rule
        .options
        .failures
        .of
        .saturating_sub(rule.options.failures.count)
        .saturating_add(1);
    (slowest.saturating_mul(runs) + rule.options.keep_firing_for + SLACK).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::alerts::fakes;
    use crate::domain::{AlertOptions, AlertRule, Failures, Probe};

    #[test]
    fn an_alert_is_held_for_the_runs_that_its_rule_needs() {
        let seconds = Duration::from_secs;
        let probe = |name: &str, interval| Probe {
            name: name.to_owned(),
            plugin: "fake".to_owned(),
            settings: serde_json::json!({}),
            interval: seconds(interval),
            timeout: seconds(1),
            retry: None,
        };
        let failures = |count, of| AlertOptions {
            failures: Failures { count, of },
            ..AlertOptions::default()
        };
        let keeps = AlertOptions {
            keep_firing_for: seconds(60),
            ..AlertOptions::default()
        };
        for (probes, options, wanted) in [
            (None, AlertOptions::default(), 31 + 5),
            (Some(vec!["quick"]), AlertOptions::default(), 11 + 5),
            (Some(vec!["quick"]), failures(3, 3), 11 + 5),
            (Some(vec!["quick"]), failures(3, 5), 3 * 11 + 5),
            (Some(vec!["quick"]), keeps, 11 + 60 + 5),
            (Some(vec!["a webhook"]), AlertOptions::default(), 5),
            (None, failures(1, 60), 15 * 60),
        ] {
            let probes =
                probes.map(|names: Vec<&str>| names.into_iter().map(str::to_owned).collect());
            let rule = AlertRule {
                probes,
                options,
                ..fakes::rule("shop", "Down")
            };
            let mut catalog = fakes::catalog(std::slice::from_ref(&rule));
            let mut service = fakes::service("shop");
            service.probes = vec![probe("quick", 10), probe("slow", 30)];
            catalog
                .services
                .insert("shop".to_owned(), Arc::new(service));
            assert_eq!(
                hold_of(&fakes::alert(1, "shop"), &catalog),
                seconds(wanted),
                "{rule:?}"
            );
        }
    }
}

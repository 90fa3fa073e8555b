//! Compares the answers of both versions, for people. Pure functions.

use std::collections::BTreeSet;

use crate::domain::{ErrorKind, Failure, Finding, Observation, RunOutcome, Verdict};

/// Metrics named in one difference.
const METRICS_NAMED: usize = 5;

/// Whether the verdicts agree, and what else is different.
pub(super) struct Compared {
    pub(super) is_agreed: bool,
    pub(super) difference: Option<String>,
}

/// Compares observations. A probe's verdict is its status and the kind of its failure. Everything
/// else, such as the text of the failure, the HTTP status and which metrics there are, is shown but
/// decides nothing; measured values differ from call to call and are not shown.
pub(super) fn observations(
    active: &Observation,
    candidate: &Observation,
    candidate_broke: bool,
) -> Compared {
    let kind = |observation: &Observation| observation.failure.as_ref().map(|failure| failure.kind);
    let mut differences = Vec::new();
    if active.status != candidate.status {
        differences.push(format!(
            "status {} → {}",
            active.status.as_str(),
            candidate.status.as_str()
        ));
    }
    if kind(active) != kind(candidate) {
        let word = |kind: Option<ErrorKind>| kind.map_or("none", ErrorKind::as_str);
        differences.push(format!(
            "error kind {} → {}",
            word(kind(active)),
            word(kind(candidate))
        ));
    }
    let is_agreed = differences.is_empty() && !candidate_broke;
    if active.http_status != candidate.http_status {
        let word =
            |status: Option<u16>| status.map_or("none".to_owned(), |status| status.to_string());
        differences.push(format!(
            "HTTP status {} → {}",
            word(active.http_status),
            word(candidate.http_status)
        ));
    }
    differences.extend(metrics(active, candidate));
    let said = candidate
        .failure
        .as_ref()
        .or(active.failure.as_ref())
        .filter(|_| !is_agreed);
    let who = if candidate.failure.is_some() {
        "the candidate"
    } else {
        "the active version"
    };
    differences.extend(said.map(|failure| format!("{who} says: {}", failure.message)));
    Compared {
        is_agreed,
        difference: text(differences),
    }
}

fn metrics(active: &Observation, candidate: &Observation) -> Option<String> {
    let names = |observation: &Observation| -> BTreeSet<String> {
        observation
            .metrics
            .iter()
            .map(|metric| metric.name.clone())
            .collect()
    };
    let (before, after) = (names(active), names(candidate));
    let listed = |names: Vec<&String>, sign: char| {
        names
            .into_iter()
            .take(METRICS_NAMED)
            .map(|name| format!("{sign}{name}"))
            .collect::<Vec<_>>()
    };
    let mut changed = listed(before.difference(&after).collect(), '-');
    changed.extend(listed(after.difference(&before).collect(), '+'));
    (!changed.is_empty()).then(|| format!("metrics {}", changed.join(" ")))
}

/// Compares verdicts by their word. Both versions saw the same history, so other values are shown.
pub(super) fn verdicts(
    active: &Result<Verdict, String>,
    candidate: &Result<Verdict, String>,
) -> Compared {
    let mut differences = Vec::new();
    if word(active) != word(candidate) {
        differences.push(format!("{} → {}", word(active), word(candidate)));
    }
    let is_agreed = differences.is_empty() && candidate.is_ok();
    let value = |finding: Option<&Finding>| finding.and_then(|finding| finding.value);
    let (before, after) = (value(finding(active)), value(finding(candidate)));
    if is_agreed && before != after {
        let word = |value: Option<f64>| value.map_or("none".to_owned(), |value| value.to_string());
        differences.push(format!("value {} → {}", word(before), word(after)));
    }
    if !is_agreed {
        differences.extend(match candidate {
            Ok(Verdict::NoOpinion(reason)) => Some(format!("the candidate says: {reason}")),
            Ok(Verdict::Ok(finding) | Verdict::Breached(finding)) => {
                Some(format!("the candidate says: {}", finding.summary))
            }
            Err(reason) => Some(format!("the candidate {reason}")),
        });
    }
    Compared {
        is_agreed,
        difference: text(differences),
    }
}

pub(super) fn word(verdict: &Result<Verdict, String>) -> &'static str {
    match verdict {
        Ok(Verdict::Ok(_)) => "ok",
        Ok(Verdict::Breached(_)) => "breached",
        Ok(Verdict::NoOpinion(_)) => "no-opinion",
        Err(_) => "broken",
    }
}

/// Returns whether the candidate broke. A service that kept it waiting until the end is no fault of
/// the candidate.
pub(super) fn is_broken(outcome: RunOutcome, observation: &Observation) -> bool {
    let by_plugin = observation
        .failure
        .as_ref()
        .is_some_and(|failure| failure.kind == ErrorKind::Plugin);
    outcome != RunOutcome::Ok && by_plugin
}

fn finding(verdict: &Result<Verdict, String>) -> Option<&Finding> {
    match verdict {
        Ok(Verdict::Ok(finding) | Verdict::Breached(finding)) => Some(finding),
        _ => None,
    }
}

/// Joins differences into a text as long as an error may be.
fn text(differences: Vec<String>) -> Option<String> {
    (!differences.is_empty())
        .then(|| Failure::new(ErrorKind::Plugin, differences.join("; ")).message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LOCAL, Metric, MetricValue, Status};

    fn observation(
        status: Status,
        kind: Option<ErrorKind>,
        http_status: Option<u16>,
        metric: &str,
    ) -> Observation {
        Observation {
            ts_ms: 0,
            service: "shop".into(),
            probe: "http".into(),
            location: LOCAL.into(),
            status,
            latency_us: Some(1),
            phases: Default::default(),
            http_status,
            failure: kind.map(|kind| Failure::new(kind, format!("failed by {}", kind.as_str()))),
            bytes: 0,
            plugin: "http".into(),
            plugin_version: "1.0.0".into(),
            run_id: 1,
            metrics: vec![Metric {
                name: metric.into(),
                value: MetricValue::Integer(1),
            }],
            missed: false,
            excluded: None,
            rate_limits: Vec::new(),
        }
    }

    #[test]
    fn probes_agree_on_their_status_and_the_kind_of_their_failure() {
        use ErrorKind::*;
        use Status::*;
        let healthy = || observation(Healthy, None, Some(200), "days");
        for (name, active, candidate, broke, agreed, difference) in [
            ("the same", healthy(), healthy(), false, true, None),
            (
                "another status",
                healthy(),
                observation(Unhealthy, Some(Assertion), Some(200), "days"),
                false,
                false,
                Some(
                    "status healthy → unhealthy; error kind none → assertion; the candidate says: failed by assertion",
                ),
            ),
            (
                "another reason",
                observation(Error, Some(Dns), None, "days"),
                observation(Error, Some(Connect), None, "days"),
                false,
                false,
                Some("error kind dns → connect; the candidate says: failed by connect"),
            ),
            (
                "seen by one only",
                observation(Unhealthy, Some(Assertion), Some(503), "days"),
                observation(Healthy, None, Some(200), "days"),
                false,
                false,
                Some(
                    "status unhealthy → healthy; error kind assertion → none; HTTP status 503 → 200; \
                     the active version says: failed by assertion",
                ),
            ),
            (
                "only told",
                healthy(),
                observation(Healthy, None, Some(204), "weeks"),
                false,
                true,
                Some("HTTP status 200 → 204; metrics -days +weeks"),
            ),
            (
                "both broken",
                observation(Error, Some(Plugin), None, "days"),
                observation(Error, Some(Plugin), None, "days"),
                true,
                false,
                Some("the candidate says: failed by plugin"),
            ),
        ] {
            let compared = observations(&active, &candidate, broke);
            assert_eq!(
                (compared.is_agreed, compared.difference.as_deref()),
                (agreed, difference),
                "{name}"
            );
        }
    }

    #[test]
    fn rules_agree_on_their_word() {
        let finding = |value| Finding {
            summary: format!("is {value}"),
            value: Some(value),
            ..Finding::default()
        };
        let ok = |value| Ok(Verdict::Ok(finding(value)));
        let breached = |value| Ok(Verdict::Breached(finding(value)));
        for (name, active, candidate, agreed, difference) in [
            ("the same", ok(1.0), ok(1.0), true, None),
            ("another value", ok(1.0), ok(2.0), true, Some("value 1 → 2")),
            (
                "another word",
                ok(1.0),
                breached(2.0),
                false,
                Some("ok → breached; the candidate says: is 2"),
            ),
            (
                "broken",
                ok(1.0),
                Err("trapped".to_owned()),
                false,
                Some("ok → broken; the candidate trapped"),
            ),
            (
                "both broken",
                Err("a".to_owned()),
                Err("b".to_owned()),
                false,
                Some("the candidate b"),
            ),
            (
                "mended",
                Err("a".to_owned()),
                ok(1.0),
                false,
                Some("broken → ok; the candidate says: is 1"),
            ),
        ] {
            let compared = verdicts(&active, &candidate);
            assert_eq!(
                (compared.is_agreed, compared.difference.as_deref()),
                (agreed, difference),
                "{name}"
            );
        }
    }

    #[test]
    fn waiting_for_a_service_is_not_breaking() {
        let timed_out = observation(Status::Error, Some(ErrorKind::Timeout), None, "days");
        let hung = observation(Status::Error, Some(ErrorKind::Plugin), None, "days");
        assert!(!is_broken(RunOutcome::Timeout, &timed_out));
        assert!(is_broken(RunOutcome::Timeout, &hung));
        assert!(is_broken(RunOutcome::Trap, &hung));
        assert!(!is_broken(RunOutcome::Ok, &hung), "it said so itself");
    }
}

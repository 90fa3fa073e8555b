//! Compiles pauses, of descriptions and of the API alike.

use super::routing::moment;
use crate::domain::fault::{FaultReport, child};
use crate::domain::{Pause, UnixMillis};
use crate::spec::{PauseSpec, PausedDetailsSpec, PausedSpec};

/// Returns the pause that a description says, over or not.
pub(in crate::registry) fn paused(
    spec: Option<&PausedSpec>,
    at: &str,
    now_ms: UnixMillis,
    report: &mut FaultReport,
) -> Option<Pause> {
    let at = child(at, "paused");
    let PausedDetailsSpec { until, reason } = match spec? {
        PausedSpec::Switch(false) => return None,
        PausedSpec::Switch(true) => PausedDetailsSpec::default(),
        PausedSpec::Details(details) => details.clone(),
    };
    let until_ms = until.and_then(|text| moment(&text, &child(&at, "until"), report));
    if until_ms.is_some_and(|until_ms| until_ms <= now_ms) {
        let message = "is over, so the service is checked; remove `paused`";
        report.warn(child(&at, "until"), message);
    }
    Some(Pause {
        until_ms,
        reason: checked_reason(reason, &at, report),
        by: None,
    })
}

/// Returns the pause that a request asks for, which has to end after now. What it returns is only
/// good while the report has no faults.
pub fn pause_compile(spec: &PauseSpec, now_ms: UnixMillis, report: &mut FaultReport) -> Pause {
    let until_ms = match (&spec.until, &spec.duration) {
        (Some(_), Some(_)) => {
            report.fault("/for", "goes with no `until`; leave one of them out");
            None
        }
        (Some(text), None) => moment(text, "/until", report).map(|until_ms| ("/until", until_ms)),
        (None, Some(duration)) => match duration.resolve(1_000) {
            Ok(duration) => {
                let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                Some(("/for", now_ms.saturating_add(ms)))
            }
            Err(message) => {
                report.fault("/for", message);
                None
            }
        },
        (None, None) => None,
    };
    if let Some((pointer, until_ms)) = until_ms
        && until_ms <= now_ms
    {
        report.fault(pointer, "has to end after now");
    }
    Pause {
        until_ms: until_ms.map(|(_, until_ms)| until_ms),
        reason: checked_reason(spec.reason.clone(), "", report),
        by: None,
    }
}

fn checked_reason(reason: Option<String>, at: &str, report: &mut FaultReport) -> String {
    let reason = reason.unwrap_or_default();
    let is_text = |c: char| !c.is_control() || c == '\n';
    if reason.chars().count() > Pause::MAX_REASON_CHARS || !reason.chars().all(is_text) {
        let most = Pause::MAX_REASON_CHARS;
        let message = format!("must be text of at most {most} characters");
        report.fault(child(at, "reason"), message);
    }
    reason
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW_MS: UnixMillis = 1_795_996_800_000;

    #[test]
    fn a_description_pauses_until_a_moment_or_for_good() {
        for (text, wanted, faults, warnings) in [
            (json!(true), Some(None), 0, 0),
            (json!(false), None, 0, 0),
            (json!({"reason": "moving"}), Some(None), 0, 0),
            (
                json!({"until": "2030-01-01T00:00:00Z"}),
                Some(Some(1_893_456_000_000)),
                0,
                0,
            ),
            (
                json!({"until": "2020-01-01T00:00:00Z"}),
                Some(Some(1_577_836_800_000)),
                0,
                1,
            ),
            (json!({"until": "tomorrow"}), Some(None), 1, 0),
        ] {
            let spec: PausedSpec = serde_json::from_value(text.clone()).unwrap();
            let mut report = FaultReport::default();
            let pause = paused(Some(&spec), "/s", NOW_MS, &mut report);
            assert_eq!(pause.map(|pause| pause.until_ms), wanted, "{text}");
            assert_eq!(
                (report.faults.len(), report.warnings.len()),
                (faults, warnings),
                "{text}"
            );
        }
    }

    #[test]
    fn a_request_says_until_when_in_one_way_and_in_the_future() {
        let compiled = |spec: Value| {
            let spec: PauseSpec = serde_json::from_value(spec).unwrap();
            let mut report = FaultReport::default();
            let pause = pause_compile(&spec, NOW_MS, &mut report);
            let pointers = report.faults.into_iter().map(|fault| fault.pointer);
            (pause.until_ms, pointers.collect::<Vec<_>>())
        };
        assert_eq!(compiled(json!({})), (None, vec![]));
        assert_eq!(
            compiled(json!({"for": "2h"})),
            (Some(NOW_MS + 7_200_000), vec![])
        );
        for (spec, pointer) in [
            (
                json!({"for": "2h", "until": "2030-01-01T00:00:00Z"}),
                "/for",
            ),
            (json!({"for": 0}), "/for"),
            (json!({"until": "2020-01-01T00:00:00Z"}), "/until"),
            (json!({"until": "soon"}), "/until"),
            (json!({"reason": "a\u{7}b"}), "/reason"),
        ] {
            assert_eq!(compiled(spec.clone()).1, [pointer], "{spec}");
        }
    }
}

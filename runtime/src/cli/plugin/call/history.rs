//! A service's history out of a file, for a rule to judge: a list of runs, as short as `{"status":
//! "error"}` each, or a page as the API answers it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::{
    ErrorKind, Failure, LOCAL, Metric, MetricValue, Observation, Phases, RateLimit, Status,
    UnixMillis, now_ms,
};

/// Slug of the service, where the file has none.
pub(super) const SERVICE: &str = "sample-service";

/// A week of runs every 30 s is 10 MB.
const MAX_BYTES: u64 = 64 << 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    status: Status,
    /// RFC 3339.
    ts: Option<jiff::Timestamp>,
    latency_us: Option<u64>,
    latency_ms: Option<f64>,
    http_status: Option<u16>,
    error_kind: Option<ErrorKind>,
    error: Option<String>,
    probe: Option<String>,
    #[serde(default)]
    missed: bool,
    #[serde(default)]
    metrics: Map<String, Value>,
    #[serde(default)]
    rate_limits: Vec<Limit>,
}

/// Rate limit in the headers of its answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limit {
    name: Option<String>,
    quota: Option<u64>,
    remaining: Option<u64>,
    /// Seconds from the run on.
    reset_after: Option<u32>,
}

/// Oldest first. Runs without a moment end now, one interval apart.
pub(super) fn read(path: &Path, interval: Duration) -> Result<Vec<Observation>> {
    let place = || format!("`{}`", path.display());
    let size = path
        .metadata()
        .with_context(|| format!("reading {}", place()))?
        .len();
    if size > MAX_BYTES {
        bail!("{} is larger than {} MiB", place(), MAX_BYTES >> 20);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", place()))?;
    parse(&text, interval, now_ms()).with_context(|| format!("{} is not a history", place()))
}

fn parse(text: &str, interval: Duration, now_ms: UnixMillis) -> Result<Vec<Observation>> {
    let mut value: Value = serde_json::from_str(text)?;
    let items = value.get_mut("items").map(Value::take);
    let list = items.unwrap_or(value);
    if !list.is_array() {
        bail!("wanted a list of runs, or an object with one in `items`");
    }
    let runs: Vec<Run> = serde_json::from_value(list)?;
    let with_moment = runs.iter().filter(|run| run.ts.is_some()).count();
    if with_moment != 0 && with_moment != runs.len() {
        bail!(
            "{with_moment} of {} runs have a `ts`; give all of them one, or none",
            runs.len()
        );
    }
    let last = runs.len().saturating_sub(1);
    let interval_ms = interval.as_millis() as i64;
    let mut observations: Vec<Observation> = runs
        .into_iter()
        .enumerate()
        .map(|(index, run)| {
            let before = (last - index) as i64 * interval_ms;
            let ts_ms = run.ts.map_or(now_ms - before, |ts| ts.as_millisecond());
            observation(run, ts_ms, index as i64 + 1)
        })
        .collect();
    observations.sort_by_key(|observation| observation.ts_ms);
    Ok(observations)
}

fn observation(run: Run, ts_ms: UnixMillis, run_id: i64) -> Observation {
    let usual = match run.status {
        Status::Healthy => None,
        Status::Degraded | Status::Unhealthy => Some(ErrorKind::Assertion),
        Status::Error => Some(ErrorKind::Connect),
    };
    let failure = usual.map(|usual| {
        let message = run
            .error
            .unwrap_or_else(|| format!("was {}", run.status.as_str()));
        Failure::new(run.error_kind.unwrap_or(usual), message)
    });
    Observation {
        ts_ms,
        service: SERVICE.to_owned(),
        probe: run.probe.unwrap_or_else(|| "sample".to_owned()),
        location: LOCAL.to_owned(),
        status: run.status,
        latency_us: run
            .latency_us
            .or(run.latency_ms.map(|ms| (ms * 1_000.0) as u64)),
        phases: Phases::default(),
        http_status: run.http_status,
        failure,
        bytes: 0,
        plugin: "sample".to_owned(),
        plugin_version: String::new(),
        run_id,
        metrics: run.metrics.into_iter().filter_map(metric).collect(),
        missed: run.missed,
        excluded: None,
        rate_limits: run
            .rate_limits
            .into_iter()
            .map(|limit| rate_limit(limit, ts_ms))
            .collect(),
    }
}

fn rate_limit(limit: Limit, ts_ms: UnixMillis) -> RateLimit {
    RateLimit {
        ts_ms,
        host: SERVICE.to_owned(),
        name: limit.name.unwrap_or_else(|| "default".to_owned()),
        quota: limit.quota,
        remaining: limit.remaining,
        reset_ms: limit
            .reset_after
            .map(|seconds| ts_ms + i64::from(seconds) * 1_000),
        ..RateLimit::default()
    }
}

fn metric((name, value): (String, Value)) -> Option<Metric> {
    let value: MetricValue = serde_json::from_value(value).ok()?;
    Some(Metric { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn runs_without_a_moment_end_now() {
        let text = r#"[{"status": "healthy", "latencyMs": 80.5}, {"status": "error", "error": "no route"}]"#;
        let runs = parse(text, MINUTE, 1_000_000).unwrap();
        assert_eq!(
            runs.iter().map(|run| run.ts_ms).collect::<Vec<_>>(),
            [940_000, 1_000_000]
        );
        assert_eq!(runs[0].latency_us, Some(80_500));
        assert_eq!(runs[1].failure.as_ref().unwrap().message, "no route");
    }

    #[test]
    fn runs_may_say_what_was_left_of_a_rate_limit() {
        let text = r#"[{"status": "healthy", "rateLimits": [{"quota": 100, "remaining": 7, "resetAfter": 60}]}]"#;
        let runs = parse(text, MINUTE, 1_000_000).unwrap();
        let limit = &runs[0].rate_limits[0];
        assert_eq!(
            (limit.name.as_str(), limit.remaining, limit.reset_ms),
            ("default", Some(7), Some(1_060_000))
        );
    }

    #[test]
    fn a_page_of_the_api_is_taken_as_it_comes() {
        let text = r#"{"items": [
            {"runId": 2, "ts": "2026-01-01T00:01:00Z", "status": "unhealthy", "latencyUs": 31000, "httpStatus": 503,
             "errorKind": "assertion", "error": "status is 503", "phases": {}, "metrics": {"left": 3}, "missed": false},
            {"runId": 1, "ts": "2026-01-01T00:00:00Z", "status": "healthy", "metrics": {}}
        ], "next": null}"#;
        let runs = parse(text, MINUTE, 0).unwrap();
        assert_eq!(
            runs.iter().map(|run| run.status).collect::<Vec<_>>(),
            [Status::Healthy, Status::Unhealthy]
        );
        assert_eq!(runs[1].metrics[0].value, MetricValue::Integer(3));
    }

    #[test]
    fn faults_say_where_they_are() {
        for (text, wanted) in [
            ("", "EOF"),
            (r#"[{"status": "fine"}]"#, "fine"),
            (r#"{"rows": []}"#, "list of runs"),
            ("7", "list of runs"),
            (
                r#"[{"status": "healthy", "ts": "2026-01-01T00:00:00Z"}, {"status": "healthy"}]"#,
                "1 of 2 runs",
            ),
        ] {
            let error = format!("{:#}", parse(text, MINUTE, 0).unwrap_err());
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}

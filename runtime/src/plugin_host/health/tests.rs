use super::*;
use crate::domain::{PluginKind, RUNS_THAT_DECIDE, RunOutcome, duration_bucket};

const MINUTE_MS: i64 = 60_000;
/// A full hour.
const NOON_MS: i64 = 1_700_006_400_000;

fn run(ts_ms: UnixMillis, outcome: RunOutcome, duration_us: u64) -> PluginRun {
    PluginRun {
        run_id: 1,
        ts_ms,
        plugin: "http".to_owned(),
        kind: PluginKind::Probe,
        version: "1.0.0".to_owned(),
        digest: "d".to_owned(),
        function: "check".into(),
        service: None,
        outcome,
        error: (outcome != RunOutcome::Ok).then(|| format!("ended by {}", outcome.as_str())),
        duration_us,
        cpu_us: duration_us / 2,
        memory_bytes: duration_us * 10,
        host_calls: 0,
        log_bytes: 0,
        denials: u32::from(outcome == RunOutcome::Error) * 2,
        denied: None,
        bytes_in: 0,
        bytes_out: 0,
    }
}

fn noted(runs: impl IntoIterator<Item = PluginRun>) -> Health {
    let (health, labels) = (Health::new(NOON_MS), Labels::default());
    for run in runs {
        health.note(&run, &labels);
    }
    health
}

#[test]
fn counts_outcomes_and_costs() {
    use RunOutcome::*;
    let runs = [Ok, Ok, Ok, Error, Trap, Timeout, Limit]
        .into_iter()
        .zip(1_u64..);
    let health = noted(runs.map(|(outcome, n)| run(NOON_MS, outcome, n * 1_000)));
    let shown = health.shown(NOON_MS + 1);
    assert_eq!(shown.since_ms, NOON_MS);
    let total = &shown.total;
    assert_eq!(
        (
            total.runs,
            total.ok,
            total.errors,
            total.traps,
            total.timeouts,
            total.limits
        ),
        (7, 3, 1, 1, 1, 1)
    );
    assert_eq!(
        (total.denials, total.cpu_us, total.memory_bytes),
        (2, 14_000, 70_000)
    );
    let duration = total.duration.unwrap();
    assert!((3_600..=4_400).contains(&duration.p50_us), "{duration:?}");
    assert_eq!(
        [duration.p99_us, duration.max_us],
        [7_000, 7_000],
        "no quantile is above the longest"
    );
    assert_eq!(shown.last_hour, shown.total);
    let last = shown.last_broken.unwrap();
    assert_eq!(
        (last.outcome, last.reason.as_str()),
        (Limit, "ended by limit")
    );
}

#[test]
fn the_last_hour_forgets_and_the_total_does_not() {
    let health =
        noted((0..180).map(|minute| run(NOON_MS + minute * MINUTE_MS, RunOutcome::Ok, 100)));
    let shown = health.shown(NOON_MS + 179 * MINUTE_MS);
    assert_eq!(shown.total.runs, 180);
    assert!(
        (55..=60).contains(&shown.last_hour.runs),
        "{}",
        shown.last_hour.runs
    );
    assert_eq!(
        health.shown(NOON_MS + 300 * MINUTE_MS).last_hour.runs,
        0,
        "it forgets while nothing runs"
    );
}

#[test]
fn runs_that_end_late_or_by_a_clock_set_back_count_within_bounds() {
    let minutes = [100, 90, 3, 170, 165, -500, 171];
    let health =
        noted(minutes.map(|minute| run(NOON_MS + minute * MINUTE_MS, RunOutcome::Ok, 100)));
    assert_eq!(health.shown(NOON_MS + 172 * MINUTE_MS).last_hour.runs, 3);
    let all = noted((0..1_000).map(|n| run(NOON_MS - n * SLOT_MS, RunOutcome::Ok, 100)));
    assert!(all.lock().slots.len() <= SLOTS);
}

#[test]
fn says_since_when_and_why_it_is_failing() {
    let broken = (0..6).map(|n| run(NOON_MS + n, RunOutcome::Trap, 100));
    let health = noted(broken);
    let failing = health.shown(NOON_MS).failing.unwrap();
    assert_eq!(
        failing,
        Failing {
            since_ms: NOON_MS + 4,
            reason: "the last 5 runs broke: ended by trap".to_owned()
        }
    );
    let labels = Labels::default();
    let changes: Vec<bool> = (0..RUNS_THAT_DECIDE + 1)
        .map(|_| health.note(&run(NOON_MS + 9, RunOutcome::Ok, 100), &labels))
        .collect();
    assert_eq!(changes, [false, false, false, false, true, false]);
    assert!(!health.is_failing());
    assert!(
        health.shown(NOON_MS).last_broken.is_some(),
        "what happened stays visible"
    );
}

#[test]
fn goes_on_after_a_start_with_what_was_stored() {
    let health = noted([run(NOON_MS, RunOutcome::Trap, 100)]);
    let group = |slot_ms, outcome, runs| StoredRuns {
        slot_ms,
        outcome,
        bucket: duration_bucket(2_000),
        runs,
        denials: 0,
        cpu_us: runs,
        memory_bytes: 5,
        max_duration_us: 2_100,
    };
    let groups = [
        group(0, RunOutcome::Ok, 1_000),
        group(NOON_MS - SLOT_MS, RunOutcome::Trap, 4),
    ];
    let last = (0..4).map(|n| StoredRun {
        ts_ms: NOON_MS - 10 + n,
        function: "check".to_owned(),
        outcome: RunOutcome::Trap,
        error: Some("before".to_owned()),
        duration_us: 1,
        cpu_us: 1,
    });
    health.restore(NOON_MS - 24 * 60 * MINUTE_MS, &groups, last.collect());
    let shown = health.shown(NOON_MS);
    assert_eq!(
        (
            shown.total.runs,
            shown.total.ok,
            shown.last_hour.runs,
            shown.last_hour.traps
        ),
        (1_005, 1_000, 5, 5)
    );
    assert_eq!(shown.recent.broken_in_a_row, 5);
    assert!(
        health.note(&run(NOON_MS + 1, RunOutcome::Trap, 100), &Labels::default()),
        "the next one decides"
    );
    assert_eq!(shown.since_ms, NOON_MS - 24 * 60 * MINUTE_MS);
}

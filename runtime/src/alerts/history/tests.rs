//! Windows, summaries and latencies over runs that were pushed.

mod slots;

use proptest::prelude::*;

use super::*;
use crate::alerts::fakes::observation;
use crate::domain::{ErrorKind, Failure, Span, Summary};

const MINUTE: Duration = Duration::from_secs(60);
const EPOCH: i64 = 1_700_000_000_000;

#[test]
fn a_clock_set_back_moves_what_was_seen_along() {
    use Status::{Error, Healthy};
    let hour_ms = 3_600_000;
    let run = |run_id, ts_ms, status| {
        Arc::new(Observation {
            run_id,
            ..observation("shop-api", ts_ms, status)
        })
    };
    let mut history = ServiceHistory::new(reach(MINUTE * 10));
    let before = [
        run(1, hour_ms, Healthy),
        run(2, hour_ms + 30_000, Healthy),
        run(3, hour_ms + 60_000, Error),
    ];
    before.iter().for_each(|run| history.push(run.clone()));
    history.set_back(hour_ms);
    history.push(run(4, 90_000, Error));
    history.push(before[2].clone());
    assert_eq!(
        (history.now_ms(), history.consecutive_failures()),
        (90_000, 2),
        "none of them twice"
    );
    let counted = |seconds| {
        let summary = history.summary(Duration::from_secs(seconds));
        [summary.healthy, summary.errors]
    };
    assert_eq!(
        (counted(45), counted(75), counted(105)),
        ([0, 2], [1, 2], [2, 2])
    );
    let stamps: Vec<i64> = history.samples(10).iter().map(|run| run.ts_ms).collect();
    assert_eq!(
        stamps,
        [0, 30_000, 60_000, 90_000],
        "in the order in which they came"
    );
}

fn reach(look_back: Duration) -> Reach {
    Reach {
        look_back,
        interval: Duration::from_secs(30),
    }
}

fn filled(reach: Reach, runs: &[(i64, Status, Option<u64>)]) -> ServiceHistory {
    let mut history = ServiceHistory::new(reach);
    for (index, (second, status, latency_us)) in runs.iter().enumerate() {
        let run = Observation {
            latency_us: *latency_us,
            ..observation("shop-api", second * 1_000, *status)
        };
        history.push(Arc::new(Observation {
            run_id: index as i64,
            ..run
        }));
    }
    history
}

#[test]
fn a_window_ends_with_the_evaluation_and_leaves_out_its_beginning() {
    use Status::*;
    let runs = [
        (0, Error, None),
        (30, Unhealthy, None),
        (60, Degraded, Some(5)),
        (90, Healthy, Some(3)),
        (120, Error, None),
    ];
    let history = filled(reach(5 * MINUTE), &runs);
    let summary = history.summary(Duration::from_secs(90));
    assert_eq!(
        (
            summary.count,
            summary.healthy,
            summary.degraded,
            summary.errors
        ),
        (3, 1, 1, 1)
    );
    assert_eq!(
        summary.unhealthy, 0,
        "a run at the very beginning belongs to the window before"
    );
    assert_eq!(history.summary(Duration::ZERO), Summary::default());
    assert_eq!(history.consecutive_failures(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_history_put_behind_another_is_the_one_that_was_seen_whole(
        runs in proptest::collection::vec((1..90_i64, 0..3_usize, 0..4_usize), 1..200),
        split in 0..200_usize,
    ) {
        let mut ts_ms = EPOCH;
        let runs: Vec<Arc<Observation>> = runs
            .into_iter()
            .enumerate()
            .map(|(index, (after_s, probe, status))| {
                ts_ms += after_s * 1_000;
                let run = observation("shop-api", ts_ms, Status::ALL[status]);
                let probe = ["http", "tls", "dns"][probe].to_owned();
                Arc::new(Observation { run_id: index as i64, probe, latency_us: Some(ts_ms as u64 % 7_919), ..run })
            })
            .collect();
        let built = |runs: &[Arc<Observation>]| {
            let mut history = ServiceHistory::new(reach(30 * MINUTE));
            runs.iter().for_each(|run| history.push(Arc::clone(run)));
            history
        };
        let (before, behind) = runs.split_at(split.min(runs.len()));
        let (seen, mut put) = (built(&runs), built(before));
        put.append(&built(behind));
        prop_assert_eq!(put.now_ms(), seen.now_ms());
        for names in [vec!["http"], vec!["tls", "dns"]] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let (seen, put) = (seen.of_probes(&names), put.of_probes(&names));
            for window in [MINUTE, 10 * MINUTE, 30 * MINUTE] {
                prop_assert_eq!(put.summary(window), seen.summary(window));
                prop_assert_eq!(put.latency(window, 0.9), seen.latency(window, 0.9));
            }
            prop_assert_eq!(put.consecutive_failures(), seen.consecutive_failures());
        }
        let ids = |history: &ServiceHistory| -> Vec<i64> {
            history.samples(WHOLE).iter().map(|run| run.run_id).collect()
        };
        prop_assert_eq!(ids(&put), ids(&seen));
        let latest = |history: &ServiceHistory| -> Vec<i64> {
            history.latest_by_probe().iter().map(|run| run.run_id).collect()
        };
        prop_assert_eq!(latest(&put), latest(&seen));
    }
}

#[test]
fn a_history_put_behind_another_keeps_what_was_counted_by_slots() {
    let reach = reach(30 * 24 * 60 * MINUTE);
    let (mut before, mut behind) = (ServiceHistory::new(reach), ServiceHistory::new(reach));
    let run = |n: i64| {
        let probe = if n % 2 == 0 { "http" } else { "tls" }.to_owned();
        let run = observation("shop-api", EPOCH + n * 30_000, Status::Healthy);
        Arc::new(Observation {
            run_id: n,
            probe,
            ..run
        })
    };
    (0..1_000).for_each(|n| before.push(run(n)));
    (1_001..8_001).for_each(|n| behind.push(run(n)));
    before.append(&behind);
    let all = 30 * 24 * 60 * MINUTE;
    assert_eq!(before.summary(all).count, 8_000);
    assert_eq!(
        before.of_probes(&["tls".to_owned()]).summary(all).count,
        4_000
    );
}

#[test]
fn some_probes_alone_are_a_history_of_their_own() {
    let mut history = ServiceHistory::new(reach(5 * MINUTE));
    for (second, probe, status) in [
        (0, "http", Status::Healthy),
        (30, "statuspage", Status::Unhealthy),
        (60, "http", Status::Healthy),
        (90, "tls", Status::Error),
    ] {
        let run = observation("shop-api", second * 1_000, status);
        history.push(Arc::new(Observation {
            probe: probe.to_owned(),
            ..run
        }));
    }
    for (names, count, failures, latest) in [
        (vec!["statuspage"], 1, 1, Some(Status::Unhealthy)),
        (vec!["http"], 2, 0, Some(Status::Healthy)),
        (vec!["tls", "http", "none"], 3, 1, Some(Status::Error)),
        (vec!["none"], 0, 0, None),
    ] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let some = history.of_probes(&names);
        assert_eq!(some.summary(5 * MINUTE).count, count, "{names:?}");
        assert_eq!(
            (some.consecutive_failures(), some.samples(9).len() as u64),
            (failures, count),
            "{names:?}"
        );
        assert_eq!(some.latest().map(|run| run.status), latest, "{names:?}");
        assert_eq!(some.now_ms(), history.now_ms());
        // What a rule asks of it is kept by the whole.
        assert_eq!(history.asked.load(Ordering::Relaxed), 9);
    }
}

#[test]
fn locations_are_seen_apart() {
    let mut history = ServiceHistory::new(reach(5 * MINUTE));
    for (second, location, status) in [
        (0, "local", Status::Healthy),
        (20, "fra", Status::Error),
        (40, "local", Status::Healthy),
        (60, "fra", Status::Error),
        (80, "local", Status::Healthy),
    ] {
        let run = observation("shop-api", second * 1_000, status);
        history.push(Arc::new(Observation {
            location: location.to_owned(),
            run_id: second,
            ..run
        }));
    }
    let location = |name: &str| Selection {
        locations: vec![name.to_owned()],
        ..Selection::default()
    };
    for (name, count, failures) in [("local", 3, 0), ("fra", 2, 2), ("nowhere", 0, 0)] {
        let some = history.select(&location(name));
        assert_eq!(
            (some.summary(5 * MINUTE).count, some.consecutive_failures()),
            (count, failures),
            "{name}"
        );
        assert_eq!(some.samples(9).len() as u64, count, "{name}");
    }
    let latest: Vec<(String, i64)> = history
        .latest_by_probe()
        .iter()
        .map(|run| (run.location.clone(), run.ts_ms))
        .collect();
    assert_eq!(
        latest,
        [("fra".to_owned(), 60_000), ("local".to_owned(), 80_000)],
        "one of each location"
    );
    let other_probe = Selection {
        probes: vec!["tls".to_owned()],
        ..location("fra")
    };
    assert!(history.select(&other_probe).latest().is_none());
    let narrower = history
        .of_probes(&["none".to_owned()])
        .select(&location("fra"));
    assert_eq!(narrower.summary(5 * MINUTE).count, 0, "both limits hold");
}

#[test]
fn latency_is_exact_by_nearest_rank_over_available_runs() {
    let runs: Vec<_> = (1..=10)
        .map(|n| (n, Status::Healthy, Some(n as u64 * 100)))
        .collect();
    let mut history = filled(reach(MINUTE), &runs);
    for (quantile, wanted) in [
        (0.0, 100),
        (0.5, 500),
        (0.51, 600),
        (0.9, 900),
        (0.95, 1_000),
        (1.0, 1_000),
    ] {
        assert_eq!(
            history.latency(MINUTE, quantile),
            Some(wanted),
            "{quantile}"
        );
    }
    for quantile in [-0.1, 1.1, f64::NAN] {
        assert_eq!(history.latency(MINUTE, quantile), None, "{quantile}");
    }
    let slow = Observation {
        latency_us: Some(9_999),
        run_id: 99,
        ..observation("shop-api", 11_000, Status::Error)
    };
    history.push(Arc::new(slow));
    assert_eq!(
        history.latency(MINUTE, 1.0),
        Some(1_000),
        "a failed run has no say"
    );
}

#[test]
fn missed_broken_and_repeated_runs_are_left_out() {
    let mut history = filled(
        reach(MINUTE),
        &[(0, Status::Healthy, None), (30, Status::Error, None)],
    );
    history.push(Arc::new(Observation {
        missed: true,
        run_id: 5,
        ..observation("a", 60_000, Status::Error)
    }));
    history.push(Arc::new(Observation {
        run_id: 1,
        ..observation("a", 30_000, Status::Error)
    }));
    let failure = Some(Failure::new(ErrorKind::Plugin, "trapped"));
    history.push(Arc::new(Observation {
        failure,
        run_id: 6,
        ..observation("a", 90_000, Status::Error)
    }));
    assert_eq!(history.summary(MINUTE).count, 2);
    assert_eq!(history.consecutive_failures(), 1);
    assert_eq!(history.now_ms(), 30_000);
}

#[test]
fn coverage_counts_no_gap() {
    let each_30s = |from: i64, to: i64| {
        (from..=to)
            .step_by(30)
            .map(|second| (second, Status::Healthy, None))
    };
    for (name, runs, wanted_s) in [
        ("after a start", each_30s(240, 300).collect::<Vec<_>>(), 60),
        (
            "one run covers nothing before itself",
            vec![(300, Status::Healthy, None)],
            0,
        ),
        ("the whole window", each_30s(0, 330).collect(), 300),
        (
            "the program was off from 60 to 270",
            each_30s(0, 60).chain(each_30s(270, 300)).collect(),
            60 + 60 + 30,
        ),
    ] {
        let history = filled(reach(5 * MINUTE), &runs);
        assert_eq!(
            history.summary(5 * MINUTE).covered_ms,
            wanted_s * 1_000,
            "{name}"
        );
    }
}

#[test]
fn late_runs_count_and_a_clock_set_back_is_followed() {
    let mut history = filled(
        reach(5 * MINUTE),
        &[(100, Status::Healthy, None), (90, Status::Error, None)],
    );
    assert_eq!(
        history.now_ms(),
        100_000,
        "a late run does not turn time back"
    );
    assert_eq!(history.summary(MINUTE).count, 2);
    assert_eq!(
        history.latest().unwrap().status,
        Status::Error,
        "the judged one is the last that ended"
    );
    let hour_ago = observation("a", 100_000 - 3_600_000, Status::Error);
    history.push(Arc::new(Observation {
        run_id: 77,
        ..hour_ago
    }));
    assert_eq!(history.now_ms(), 100_000 - 3_600_000);
    assert_eq!(
        history.summary(MINUTE).count,
        1,
        "what lies ahead now is no part of the window"
    );
}

#[test]
fn stays_small_while_idle_and_bounded_when_busy() {
    let day: Vec<_> = (0..2_880)
        .map(|n| (n * 30, Status::Healthy, Some(1_000)))
        .collect();
    let history = filled(reach(5 * MINUTE), &day);
    assert!(
        history.samples.len() <= LEAST_SAMPLES,
        "{}",
        history.samples.len()
    );
    assert!(history.whole.len() <= 13, "{}", history.whole.len());
    assert!(history.bytes() < 4_096, "{}", history.bytes());
    assert_eq!(size_of::<Sample>(), 16);

    let busy: Vec<_> = (0..MAX_SAMPLES as i64 + 500)
        .map(|n| (n, Status::Healthy, None))
        .collect();
    let history = filled(reach(Duration::from_secs(30 * 86_400)), &busy);
    assert_eq!(history.samples.len(), MAX_SAMPLES);
    assert_eq!(history.whole.len(), WHOLE);
}

#[test]
fn runs_in_a_row_are_counted_beyond_the_windows_of_the_rules() {
    let runs: Vec<_> = (0..50)
        .map(|n| {
            (
                n * 30,
                if n == 0 {
                    Status::Healthy
                } else {
                    Status::Error
                },
                None,
            )
        })
        .collect();
    let history = filled(reach(Duration::ZERO), &runs);
    assert_eq!(history.consecutive_failures(), 49);
    assert_eq!(history.summary(MINUTE).count, 2);
}

#[test]
fn a_cut_history_notes_that_a_rule_asked_for_what_is_missing() {
    let runs = [(0, Status::Healthy, None), (30, Status::Error, None)];
    let asks = |runs: &[(i64, Status, Option<u64>)], ask: fn(&ServiceHistory)| {
        let (history, beyond) = filled(reach(MINUTE), runs).cut();
        ask(&history.of_probes(&["health".to_owned()]));
        beyond.load(Ordering::Relaxed)
    };
    assert!(!asks(&runs, |history| assert_eq!(
        history.consecutive_failures(),
        1
    )));
    assert!(
        asks(&runs[1..], |history| assert_eq!(
            history.consecutive_failures(),
            1
        )),
        "there may have been more"
    );
    assert!(!asks(&runs, |history| assert_eq!(
        history.samples(2).len(),
        2
    )));
    assert!(asks(&runs, |history| assert_eq!(
        history.samples(3).len(),
        2
    )));
    assert!(!asks(&runs, |history| assert!(
        history.latest().is_some() && history.summary(MINUTE).count == 2
    )));
}

#[test]
fn whole_observations_are_kept_as_far_as_rules_ask_for_them() {
    let runs: Vec<_> = (0..100).map(|n| (n, Status::Healthy, None)).collect();
    let mut history = filled(reach(Duration::from_secs(3_600)), &runs);
    assert_eq!(history.samples(5).len(), 5);
    assert_eq!(history.samples(5_000).len(), WHOLE);
    for n in 100..2_000 {
        history.push(Arc::new(Observation {
            run_id: n,
            ..observation("a", n * 1_000, Status::Healthy)
        }));
    }
    let seen = history.samples(5_000);
    assert_eq!(
        (seen.len(), seen[0].run_id, seen[999].run_id),
        (MAX_WHOLE, 1_000, 1_999)
    );
}

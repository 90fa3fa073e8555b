//! Runs that are counted by slots of time, and histories that are read back.

use super::*;

/// Thirty days at a run every 10 s: every hundredth fails, and latency is 100 ms, in the first
/// hour of a day 400 ms.
fn month() -> ServiceHistory {
    let mut history = ServiceHistory::new(Reach {
        look_back: Duration::from_secs(30 * 86_400),
        interval: Duration::from_secs(10),
    });
    for run in 0..30 * 8_640_i64 {
        let ts_ms = (run + 1) * 10_000;
        let status = if run % 100 == 99 {
            Status::Unhealthy
        } else {
            Status::Healthy
        };
        let latency_us = if (ts_ms / 3_600_000) % 24 == 0 {
            400_000
        } else {
            100_000
        };
        let found = observation("shop-api", ts_ms, status);
        history.push(Arc::new(Observation {
            latency_us: Some(latency_us),
            run_id: run,
            ..found
        }));
    }
    history
}

#[test]
fn a_month_of_runs_is_summed_up_from_slots() {
    let history = month();
    assert_eq!(history.samples.len(), MAX_SAMPLES);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    for (window, wanted) in [
        (days(30), 259_200.0),
        (days(3), 25_920.0),
        (days(1), 8_640.0),
        (12 * 60 * MINUTE, 4_320.0),
    ] {
        let found = history.summary(window);
        assert!(
            (found.count as f64 / wanted - 1.0).abs() < 0.002,
            "{window:?}: {found:?}"
        );
        assert!(
            (found.error_rate().unwrap() - 1.0).abs() < 0.03,
            "{window:?}: {found:?}"
        );
        let covered = found.covered_ms as f64 / window.as_millis() as f64;
        assert!((0.998..=1.0).contains(&covered), "{window:?}: {covered}");
    }
    for (quantile, wanted) in [(0.5, 100_000.0), (0.99, 400_000.0)] {
        let found = history.latency(days(7), quantile).unwrap() as f64;
        assert!((found / wanted - 1.0).abs() < 0.03, "{quantile}: {found}");
    }
    assert!(history.older.bytes() < 200_000, "{}", history.older.bytes());
    // One probe alone has all of it, and another nothing.
    assert_eq!(
        history.of_probes(&["health".to_owned()]).summary(days(30)),
        history.summary(days(30))
    );
    assert_eq!(
        history.of_probes(&["tls".to_owned()]).summary(days(30)),
        Summary::default()
    );
}

#[test]
fn a_span_is_cut_into_steps_over_samples_and_slots() {
    let history = month();
    let hour = 60 * MINUTE;
    let span = Span {
        from: 48 * hour,
        to: Duration::ZERO,
        step: hour,
        quantile: 0.5,
    };
    let buckets = history.buckets(span);
    assert_eq!(buckets.len(), 48);
    assert_eq!(buckets[47].end_ms, history.now_ms());
    for (index, bucket) in buckets.iter().enumerate() {
        assert_eq!(bucket.end_ms - bucket.start_ms, 3_600_000);
        assert!(
            (359..=361).contains(&bucket.summary.count),
            "{index}: {bucket:?}"
        );
        let wanted = if (bucket.start_ms / 3_600_000) % 24 == 0 {
            400_000.0
        } else {
            100_000.0
        };
        assert!(
            (bucket.latency_us.unwrap() as f64 / wanted - 1.0).abs() < 0.03,
            "{index}: {bucket:?}"
        );
    }
    for wrong in [
        Span {
            step: Duration::ZERO,
            ..span
        },
        Span {
            step: Duration::from_secs(1),
            ..span
        },
        Span {
            from: Duration::ZERO,
            ..span
        },
        Span {
            from: Duration::MAX,
            ..span
        },
    ] {
        assert_eq!(history.buckets(wrong), [], "{wrong:?}");
    }
    let uneven = history.buckets(Span {
        from: 25 * MINUTE,
        to: 5 * MINUTE,
        step: 15 * MINUTE,
        quantile: 0.5,
    });
    assert_eq!(
        uneven
            .iter()
            .map(|bucket| bucket.summary.count)
            .collect::<Vec<_>>(),
        [30, 90]
    );
}

#[test]
fn what_was_counted_elsewhere_is_as_if_it_had_been_pushed() {
    let pushed = month();
    let mut loaded = ServiceHistory::new(pushed.reach());
    let slots = (0..30 * 24 - 12).map(|hour| {
        let latency_us = if hour % 24 == 0 { 400_000 } else { 100_000 };
        let fails = if hour % 5 < 3 { 4 } else { 3 };
        RunSlot {
            source: 0,
            start_ms: hour * 3_600_000,
            runs: [360 - fails, 0, fails, 0],
            latencies: vec![(latency_bin(latency_us), 360 - fails)],
            covered_ms: 3_600_000,
        }
    });
    let last = pushed.samples.iter().zip(0..).map(|(sample, run_id)| {
        let found = observation("shop-api", sample.ts_ms, sample.status);
        Observation {
            latency_us: sample.latency_us(),
            run_id,
            ..found
        }
    });
    let past = PastRuns {
        as_of_ms: pushed.now_ms(),
        slots: slots.collect(),
        ..PastRuns::of(last.collect())
    };
    loaded.take_in(past, |_| false);
    for days in [1, 3, 20] {
        let window = Duration::from_secs(days * 86_400);
        let (found, wanted) = (loaded.summary(window), pushed.summary(window));
        assert!(
            found.count.abs_diff(wanted.count) <= 360,
            "{days}: {found:?} {wanted:?}"
        );
        assert!(
            (found.error_rate().unwrap() - wanted.error_rate().unwrap()).abs() < 0.05,
            "{days}"
        );
        assert_eq!(
            loaded.latency(window, 0.5),
            pushed.latency(window, 0.5),
            "{days}"
        );
    }
}

#[test]
fn the_last_run_of_each_probe_is_there_however_long_ago_it_was() {
    let mut history = ServiceHistory::new(Reach {
        look_back: Duration::ZERO,
        interval: 60 * MINUTE,
    });
    let tls = Observation {
        probe: "tls".to_owned(),
        run_id: -1,
        ..observation("a", 0, Status::Degraded)
    };
    history.push(Arc::new(tls));
    for n in 1..=360 {
        history.push(Arc::new(Observation {
            run_id: n,
            ..observation("a", n * 10_000, Status::Healthy)
        }));
    }
    let names = |history: &ServiceHistory| {
        history
            .latest_by_probe()
            .iter()
            .map(|run| run.probe.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&history), ["health", "tls"]);
    assert_eq!(names(&history.of_probes(&["tls".to_owned()])), ["tls"]);
    let later = history.at(7_200_001);
    assert_eq!(
        names(&later),
        ["health"],
        "two intervals without a run: it is gone"
    );
    assert_eq!((later.now_ms(), history.now_ms()), (7_200_001, 3_600_000));
}

#[test]
fn absence_is_counted_from_when_somebody_watched() {
    let mut history = filled(
        reach(5 * MINUTE),
        &[(100, Status::Healthy, None), (130, Status::Healthy, None)],
    );
    assert_eq!(history.watched(), Duration::from_secs(30));
    history.watch_since(120_000);
    assert_eq!(history.watched(), Duration::from_secs(10));
    assert_eq!(history.at(180_000).watched(), Duration::from_secs(60));
}

proptest! {
    #[test]
    fn windows_agree_with_counting_by_hand(
        gaps in proptest::collection::vec((0..40_i64, 0..4_usize), 1..120),
        window_s in 1..600_u64,
    ) {
        let mut second = 0;
        let runs: Vec<_> = gaps.iter().map(|(gap, status)| {
            second += gap;
            (second, Status::ALL[*status], Some(second as u64))
        }).collect();
        let history = filled(reach(Duration::from_secs(600)), &runs);
        let inside: Vec<_> = runs.iter().filter(|run| run.0 > second - window_s as i64).collect();
        let summary = history.summary(Duration::from_secs(window_s));
        prop_assert_eq!(summary.count, inside.len() as u64);
        prop_assert_eq!(summary.errors, inside.iter().filter(|run| run.1 == Status::Error).count() as u64);
        prop_assert!(summary.covered_ms <= window_s * 1_000);
        let mut latencies: Vec<u64> = inside.iter().filter(|run| run.1.is_available()).filter_map(|run| run.2).collect();
        latencies.sort_unstable();
        prop_assert_eq!(history.latency(Duration::from_secs(window_s), 1.0), latencies.last().copied());
        prop_assert_eq!(history.latency(Duration::from_secs(window_s), 0.0), latencies.first().copied());
    }
}

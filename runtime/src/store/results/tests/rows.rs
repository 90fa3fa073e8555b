//! Rows of every table, and the questions that are asked of them.

use super::*;

#[tokio::test]
async fn every_table_takes_its_rows_and_shows_them_to_users() {
    let running = Running::start();
    let run = PluginRun {
        run_id: 9,
        ts_ms: START,
        plugin: "http".to_owned(),
        kind: PluginKind::Probe,
        version: "0.1.0".to_owned(),
        digest: "ab".to_owned(),
        function: "check".into(),
        service: Some("shop-api".to_owned()),
        outcome: RunOutcome::Trap,
        error: Some("unreachable".to_owned()),
        duration_us: 1_500,
        cpu_us: u64::MAX,
        memory_bytes: 65_536,
        host_calls: 2,
        log_bytes: 0,
        denials: 2,
        denied: Some("name it in `plugins.http.grants.hosts`".to_owned()),
        bytes_in: 12,
        bytes_out: 34,
    };
    running.store.plugin_run_record(run);
    let event = AlertEvent {
        id: 7,
        alert: AlertId(3),
        ts_ms: START,
        from: None,
        to: AlertState::Firing,
        actor: "engine".to_owned(),
        reason: "breached".to_owned(),
    };
    let alert = Alert {
        id: AlertId(3),
        name: "Down".to_owned(),
        rule: "shop-api/Down".to_owned(),
        service: "shop-api".to_owned(),
        severity: Severity::Critical,
        state: AlertState::Firing,
        summary: String::new(),
        value: None,
        wanted: None,
        started_ms: START,
        fired_ms: None,
        resolved_ms: None,
        updated_ms: START,
        suppressed_by: None,
        flags: Default::default(),
        labels: Default::default(),
    };
    running
        .store
        .alert_event_append(vec![(event, alert)])
        .await
        .unwrap();
    let told = Event {
        id: 4,
        ts_ms: START,
        received_ms: START + 1_500,
        service: "shop-api".to_owned(),
        webhook: "told".to_owned(),
        plugin: "generic".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        run_id: 11,
        event_id: None,
        kind: "deploy".to_owned(),
        summary: "deployed".to_owned(),
        payload: r#"{"a":[1,"ü"]}"#.to_owned(),
        attributes: vec![Metric {
            name: "live".to_owned(),
            value: MetricValue::Boolean(true),
        }],
    };
    let again = Event {
        id: 5,
        event_id: Some("evt_1".to_owned()),
        kind: "rollback".to_owned(),
        ..told.clone()
    };
    let other = Event {
        id: 6,
        webhook: "other".to_owned(),
        event_id: Some("evt_2".to_owned()),
        ..told.clone()
    };
    let report = Observation {
        location: WEBHOOK.to_owned(),
        probe: "told".to_owned(),
        ..observation(11)
    };
    running
        .store
        .event_append_durable(vec![told.clone(), again, other], vec![Arc::new(report)])
        .await
        .unwrap();
    let service = |name: &str| ServiceRow {
        slug: "shop-api".to_owned(),
        name: name.to_owned(),
        kind: "REST".to_owned(),
        base: "https://shop.example.com/".to_owned(),
        tags: vec!["a".to_owned(), "b".to_owned()],
        owner: None,
        slo: None,
        profile: Default::default(),
        depends_on: Vec::new(),
    };
    running
        .store
        .service_replace(vec![service("old"), service("older")]);
    running.store.service_replace(vec![service("Shop API")]);
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();

    assert_eq!(
        running.store.alert_event_last().await.unwrap(),
        Some((7, START))
    );
    let page = |filter: EventFilter, before| running.store.event_page(filter, before, 10);
    let of = |kind: &str| EventFilter {
        kind: Some(kind.to_owned()),
        webhook: Some("told".to_owned()),
        ..Default::default()
    };
    assert_eq!(page(of("deploy"), None).await.unwrap(), [told]);
    let ids: Vec<i64> = page(EventFilter::default(), Some(6))
        .await
        .unwrap()
        .iter()
        .map(|event| event.id)
        .collect();
    assert_eq!(ids, [5, 4]);
    let elsewhere = EventFilter {
        service: Some("other".to_owned()),
        ..Default::default()
    };
    assert_eq!(page(elsewhere, None).await.unwrap(), []);
    assert_eq!(
        running
            .store
            .event_sender_ids("shop-api", "told", 10)
            .await
            .unwrap(),
        ["evt_1"]
    );
    assert_eq!(running.store.report_recent(0, 10).await.unwrap().len(), 1);
    for (sql, wanted) in [
        ("SELECT plugin, outcome, duration_ms, cpu_us FROM plugin_runs", json!(["http", "trap", 1.5, u32::MAX])),
        (
            "SELECT kind, epoch_ms(received_ts) - epoch_ms(ts), payload->'$.a[1]', attributes->>'live', event_id FROM events
                 WHERE id = 4",
            json!(["deploy", 1_500, "ü", "true", null]),
        ),
        ("SELECT denials, denied[:7], bytes_in, bytes_out FROM plugin_runs", json!([2, "name it", 12, 34])),
        ("SELECT alert, severity, from_state, to_state FROM alert_events", json!(["Down", "critical", null, "firing"])),
        (
            "SELECT name, type, base, tags FROM services",
            json!(["Shop API", "REST", "https://shop.example.com/", ["a", "b"]]),
        ),
        (
            "SELECT ts, status, latency_ms, dns_ms, tls_us, metrics, metrics->>'$.days' FROM observations WHERE probe = 'http'",
            json!(["2026-11-23T00:01:00Z", "healthy", 12.5, 0.1, null, {"days": 30}, "30"]),
        ),
        ("SELECT ts > utc_now() - INTERVAL 100 YEAR, typeof(utc_now()) FROM observations WHERE probe = 'http'", json!([true, "TIMESTAMP"])),
    ] {
        assert_eq!(running.rows(sql).await, [wanted.as_array().unwrap().clone()], "{sql}");
    }
    let tables = running.rows("SHOW TABLES").await;
    assert_eq!(
        json!(tables),
        json!([
            ["alert_events"],
            ["alert_noise"],
            ["availability_30d"],
            ["availability_by_month"],
            ["calls"],
            ["cost_by_month"],
            ["error_budget"],
            ["events"],
            ["hist_1d"],
            ["hist_1h"],
            ["hist_5m"],
            ["incidents"],
            ["invoices"],
            ["observations"],
            ["plugin_health"],
            ["plugin_run_minutes"],
            ["plugin_runs"],
            ["rate_limits"],
            ["roll_1d"],
            ["roll_1h"],
            ["roll_5m"],
            ["service_comparison"],
            ["services"],
            ["shadow_runs"],
            ["slo"],
            ["usage_by_hour"],
            ["usage_totals"],
            ["vendor_claims"],
            ["vendor_honesty"]
        ])
    );
    let dir = running.stop().await;
    let running = Running::start_in(dir, ResultSettings::default());
    assert_eq!(
        (running.store.first_run_id(), running.store.first_event_id()),
        (12, 7),
        "all runs share the numbers"
    );
    running.stop().await;
}

#[tokio::test]
async fn runs_of_a_plugin_are_summed_by_hour() {
    const HOUR_MS: i64 = 3_600_000;
    let running = Running::start();
    let hour_ms = START - START.rem_euclid(HOUR_MS) - 4 * HOUR_MS;
    for run in [
        plugin_run(1, hour_ms - 1, "check", RunOutcome::Trap, 9),
        plugin_run(2, hour_ms, "check", RunOutcome::Ok, 100),
        plugin_run(3, hour_ms + 1, "check", RunOutcome::Timeout, 100),
        plugin_run(4, hour_ms + 2, "shadow-check", RunOutcome::Trap, 9_000),
        plugin_run(5, hour_ms + 2 * HOUR_MS, "check", RunOutcome::Ok, 300),
        plugin_run(6, hour_ms + 3 * HOUR_MS, "check", RunOutcome::Trap, 9),
    ] {
        running.store.plugin_run_record(run);
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(1_000)))
        .await
        .unwrap();
    let hour = |start_ms, failed, p95_us| PluginHour {
        start_ms,
        failed,
        p95_us,
    };
    let span = (hour_ms, hour_ms + 3 * HOUR_MS);
    assert_eq!(
        running.store.plugin_run_hours("http", span).await.unwrap(),
        [
            hour(hour_ms, 1, 100.0),
            hour(hour_ms + 2 * HOUR_MS, 0, 300.0)
        ]
    );
    let none = running.store.plugin_run_hours("other", span).await;
    assert_eq!(none.unwrap(), []);
}

#[tokio::test]
async fn runs_of_plugins_are_read_back_in_groups_and_shown_by_version() {
    let running = Running::start();
    // The begin of a slot.
    let slot_ms = START - START.rem_euclid(300_000);
    for run in [
        plugin_run(1, slot_ms - 86_400_000, "check", RunOutcome::Ok, 9),
        plugin_run(2, slot_ms - 7_200_000, "check", RunOutcome::Ok, 100),
        plugin_run(3, slot_ms - 7_200_001, "check", RunOutcome::Ok, 101),
        plugin_run(4, slot_ms + 1, "check", RunOutcome::Trap, 2_000),
        plugin_run(5, slot_ms + 299_999, "check", RunOutcome::Trap, 2_010),
        plugin_run(6, slot_ms + 5, "shadow-check", RunOutcome::Trap, 2_000),
        plugin_run(7, slot_ms + 6, "check", RunOutcome::Ok, 5),
    ] {
        running.store.plugin_run_record(run);
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(1_000)))
        .await
        .unwrap();
    let span = StoredSpan {
        since_ms: slot_ms - 80_000_000,
        slots_since_ms: slot_ms - 3_600_000,
        before_run_id: 7,
    };
    let mut groups = running.store.plugin_run_groups(span).await.unwrap();
    let mut groups = groups
        .remove(&("http".to_owned(), "ab".to_owned()))
        .unwrap();
    groups.sort_by_key(|group| group.slot_ms);
    let group = |slot_ms, outcome, durations: [u64; 2]| StoredRuns {
        slot_ms,
        outcome,
        bucket: duration_bucket(durations[0]),
        runs: 2,
        denials: 2,
        cpu_us: durations[0] / 2 + durations[1] / 2,
        memory_bytes: durations[1],
        max_duration_us: durations[1],
    };
    assert_eq!(
        groups,
        [
            group(0, RunOutcome::Ok, [100, 101]),
            group(slot_ms, RunOutcome::Trap, [2_000, 2_010])
        ]
    );

    let last = running
        .store
        .plugin_run_last("http", "ab", span, 2)
        .await
        .unwrap();
    let errors: Vec<_> = last
        .iter()
        .map(|run| (run.ts_ms - slot_ms, run.error.clone().unwrap()))
        .collect();
    assert_eq!(
        errors,
        [(1, "run 4".to_owned()), (299_999, "run 5".to_owned())]
    );

    let health = running
        .rows(
            "SELECT plugin, version, runs, ok, traps, memory_max_bytes, duration_max_ms, last_error FROM plugin_health",
        )
        .await;
    assert_eq!(
        health,
        [[
            json!("http"),
            json!("0.1.0"),
            json!(7),
            json!(4),
            json!(3),
            json!(2_010),
            json!(2.01),
            json!("run 6")
        ]]
    );
    running.stop().await;
}

fn limit(ts_ms: i64, name: &str, remaining: u64) -> RateLimit {
    RateLimit {
        ts_ms,
        host: "api.example.com".to_owned(),
        name: name.to_owned(),
        quota: Some(5_000),
        remaining: Some(remaining),
        reset_ms: Some(ts_ms + 90_000),
        window_ms: None,
        ..RateLimit::default()
    }
}

#[tokio::test]
async fn rate_limits_are_rows_and_come_back_with_their_runs() {
    let running = Running::start();
    let said = |run_id: i64| {
        let ts_ms = START + run_id * MINUTE + 250;
        let rate_limits = vec![
            limit(ts_ms, "core", 4_000 - run_id as u64),
            limit(ts_ms, "search", 10),
        ];
        Observation {
            rate_limits,
            ..observation(run_id)
        }
    };
    for run_id in 1..=3 {
        running.store.observation_record(Arc::new(said(run_id)));
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(4)))
        .await
        .unwrap();
    let rows = running
        .rows(
            "SELECT ts, service, probe, host, name, quota, remaining, remaining_percent, reset_ts, window_ms, run_id FROM rate_limits
             WHERE name = 'core' ORDER BY ts LIMIT 1",
        )
        .await;
    assert_eq!(
        json!(rows),
        json!([[
            "2026-11-23T00:01:00.25Z",
            "shop-api",
            "http",
            "api.example.com",
            "core",
            5_000,
            3_999,
            79.98,
            "2026-11-23T00:02:30.25Z",
            null,
            1
        ]])
    );
    let past = running
        .past("shop-api", START + 2 * MINUTE, START + 5 * MINUTE)
        .await;
    assert_eq!(past.observations, [said(2), said(3), observation(4)]);
    let readings = past.readings.iter();
    assert_eq!(
        readings.map(|reading| reading.limit.ts_ms).max(),
        None,
        "those of whole runs come with them"
    );
    let readings = |now_ms: i64| running.store.rate_limit_readings("shop-api", now_ms);
    let minutes = |readings: &[crate::store::StoredReading]| -> Vec<i64> {
        let core = readings.iter().filter(|one| one.limit.name == "core");
        core.map(|one| (one.limit.ts_ms - START) / MINUTE).collect()
    };
    // In the last hour each half minute has its own, before that each half hour its last.
    let soon = readings(START + 10 * MINUTE).await.unwrap();
    assert_eq!((soon.len(), minutes(&soon)), (6, vec![1, 2, 3]));
    assert_eq!(soon[0].probe, "http");
    let later = readings(START + 120 * MINUTE).await.unwrap();
    assert_eq!((later.len(), minutes(&later)), (2, vec![3]));
    let gone = readings(START + 2 * 1_440 * MINUTE).await.unwrap();
    assert_eq!(gone, []);
    running.stop().await;
}

#[tokio::test]
async fn a_start_reads_the_last_runs_of_each_probe_and_the_reports_of_long_ago() {
    let running = Running::start();
    for run_id in 1..=50 {
        let probe = if run_id % 5 == 0 { "tls" } else { "http" }.to_owned();
        let run = Observation {
            probe,
            ..observation(run_id)
        };
        running.store.observation_record(Arc::new(run));
    }
    let report = |run_id| Observation {
        location: WEBHOOK.to_owned(),
        probe: "ci".to_owned(),
        ..observation(run_id)
    };
    running.store.observation_record(Arc::new(report(-1_000)));
    running
        .store
        .observation_append_durable(Arc::new(report(51)))
        .await
        .unwrap();

    assert_eq!(
        running.store.observation_newest_ms().await.unwrap(),
        Some(START + 51 * MINUTE)
    );
    let recent = async |since_ms, most| -> Vec<i64> {
        let (to, mut runs) = tokio::sync::mpsc::channel(1);
        let (read, found) = tokio::join!(
            running.store.observation_recent(since_ms, most, to),
            async {
                let mut found = Vec::new();
                while let Some(run) = runs.recv().await {
                    found.push(run.run_id);
                }
                found
            }
        );
        read.unwrap();
        found
    };
    assert_eq!(
        recent(START, 3).await,
        [40, 45, 47, 48, 49, 50],
        "three of each probe, in their order"
    );
    assert_eq!(
        recent(START + 46 * MINUTE, 3).await,
        [47, 48, 49, 50],
        "none from before"
    );
    let reports = running.store.report_recent(0, 40).await.unwrap();
    assert_eq!(
        reports
            .iter()
            .map(|report| report.run_id)
            .collect::<Vec<_>>(),
        [-1_000, 51]
    );
    let (to, runs) = tokio::sync::mpsc::channel(1);
    drop(runs);
    running.store.observation_recent(0, 40, to).await.unwrap();
    running.stop().await;
}

use serde_json::{Value, json};

use super::database::ReaderKind;
use super::part::{Part, Work};
use super::*;
use crate::domain::{
    AlertId, AlertState, ErrorKind, Failure, LOCAL, Metric, MetricValue, Phases, PluginKind,
    RateLimit, RunOutcome, Severity, Status, StoredRuns, WEBHOOK, duration_bucket,
};

const MINUTE: i64 = 60_000;
/// 2026-11-23T00:00:00Z
const START: i64 = 1_795_392_000_000;

pub(super) struct Running {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: ResultStore,
    thread: std::thread::JoinHandle<Result<(), ResultError>>,
}

impl Running {
    pub(super) fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), ResultSettings::default())
    }

    pub(super) fn start_in(dir: tempfile::TempDir, settings: ResultSettings) -> Self {
        let (store, writer) = ResultStore::open(dir.path(), settings).unwrap();
        Self {
            dir,
            store,
            thread: writer.start().unwrap(),
        }
    }

    pub(super) async fn stop(self) -> tempfile::TempDir {
        self.store.close().await.unwrap();
        self.thread.join().unwrap().unwrap();
        self.dir
    }

    async fn rows(&self, sql: &str) -> Vec<Vec<Value>> {
        self.store
            .query(sql, limits())
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
            .rows
    }

    pub(super) async fn one(&self, sql: &str) -> Value {
        self.rows(sql).await[0][0].clone()
    }
}

fn limits() -> QueryLimits {
    QueryLimits {
        rows: 1_000,
        timeout: Duration::from_secs(20),
    }
}

pub(super) fn observation(run_id: i64) -> Observation {
    Observation {
        ts_ms: START + run_id * MINUTE,
        service: "shop-api".to_owned(),
        probe: "http".to_owned(),
        location: LOCAL.to_owned(),
        status: Status::Healthy,
        latency_us: Some(12_500),
        phases: Phases {
            dns_us: Some(100),
            tls_us: None,
            ..Phases::default()
        },
        http_status: Some(200),
        failure: None,
        bytes: 512,
        plugin: "http".to_owned(),
        plugin_version: "0.1.0".to_owned(),
        run_id,
        metrics: vec![Metric {
            name: "days".to_owned(),
            value: MetricValue::Integer(30),
        }],
        missed: false,
        rate_limits: Vec::new(),
    }
}

fn failed(run_id: i64) -> Observation {
    Observation {
        status: Status::Error,
        latency_us: None,
        http_status: None,
        failure: Some(Failure::new(ErrorKind::Timeout, "no answer \0 within 2s")),
        metrics: Vec::new(),
        missed: true,
        ..observation(run_id)
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let running = Running::start();
    for run_id in 1..=2_500 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    running.store.observation_record(Arc::new(failed(2_501)));
    let dir = running.stop().await;

    let running = Running::start_in(dir, ResultSettings::default());
    assert_eq!(running.store.first_run_id(), 2_502);
    assert_eq!(
        running.one("SELECT count(*) FROM observations").await,
        json!(2_501)
    );
    let page = running
        .store
        .observation_page("shop-api", None, 2)
        .await
        .unwrap();
    let nul_free = Failure::new(ErrorKind::Timeout, "no answer \u{fffd} within 2s");
    assert_eq!(
        page,
        [
            Observation {
                failure: Some(nul_free),
                ..failed(2_501)
            },
            observation(2_500)
        ]
    );
    let next = running
        .store
        .observation_page("shop-api", Some(2_500), 1)
        .await
        .unwrap();
    assert_eq!(next, [observation(2_499)]);
    let history = running
        .store
        .observation_history("shop-api", (START + 2_499 * MINUTE, i64::MAX), 2)
        .await
        .unwrap();
    assert_eq!(
        history.iter().map(|row| row.run_id).collect::<Vec<_>>(),
        [2_500, 2_501]
    );
    assert!(
        running
            .store
            .observation_history("other", (0, i64::MAX), 10)
            .await
            .unwrap()
            .is_empty()
    );
    running.stop().await;
}

#[tokio::test]
async fn a_durable_row_is_there_when_the_call_returns_even_if_nothing_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let running = Running::start_in(
        dir,
        ResultSettings {
            flush_interval: Duration::from_secs(3_600),
            ..Default::default()
        },
    );
    running.store.observation_record(Arc::new(observation(1)));
    running
        .store
        .observation_append_durable(Arc::new(observation(2)))
        .await
        .unwrap();
    assert_eq!(running.store.stats().committed_rows, 2);
    assert_eq!(running.store.stats().queued, 0);
    // As after a power cut: the file and its log as they lie on the disk, without any shutdown.
    for name in ["results.duckdb", "results.duckdb.wal"] {
        std::fs::copy(running.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let recovered = Running::start_in(copy, ResultSettings::default());
    assert_eq!(
        recovered
            .one("SELECT list(run_id ORDER BY run_id) FROM observations")
            .await,
        json!([1, 2])
    );
    recovered.stop().await;
    running.stop().await;
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_the_interval() {
    let settings = ResultSettings {
        flush_interval: Duration::from_secs(3_600),
        flush_rows: 10,
        ..Default::default()
    };
    let running = Running::start_in(tempfile::tempdir().unwrap(), settings);
    for run_id in 1..=20 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(21)))
        .await
        .unwrap();
    let stats = running.store.stats();
    assert_eq!(
        (stats.committed_rows, stats.commits >= 3, stats.failing),
        (21, true, false)
    );
    running.stop().await;
}

#[tokio::test]
async fn a_full_queue_counts_what_it_does_not_take_and_nobody_waits() {
    let settings = ResultSettings {
        queue_rows: 2,
        ..Default::default()
    };
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = ResultStore::open(dir.path(), settings).unwrap();
    for run_id in 1..=5 {
        store.observation_record(Arc::new(observation(run_id)));
    }
    let error = store
        .observation_append_durable(Arc::new(observation(6)))
        .await
        .unwrap_err();
    assert!(matches!(error, ResultError::NotCommitted(_)), "{error}");
    let health = store.health();
    assert_eq!(
        (health.queued_rows, health.lost_rows),
        (2, 3),
        "the caller of the sixth knows"
    );
    let thread = writer.start().unwrap();
    store.close().await.unwrap();
    assert_eq!(store.stats().committed_rows, 2);
    let closed = store
        .observation_append_durable(Arc::new(observation(4)))
        .await;
    assert!(matches!(closed, Err(ResultError::Closed)));
    thread.join().unwrap().unwrap();
}

#[tokio::test]
async fn rows_are_kept_through_an_outage_of_the_disk() {
    let running = Running::start();
    let log = running.dir.path().join("results.duckdb.wal");
    // The write-ahead log can't be opened while a folder lies in its place.
    std::fs::create_dir(&log).unwrap();
    let error = running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ResultError::NotCommitted(reason) if reason.contains("results.duckdb.wal")),
        "{error}"
    );
    assert!(running.store.stats().failing);
    std::fs::remove_dir(&log).unwrap();
    running
        .store
        .observation_append_durable(Arc::new(observation(2)))
        .await
        .unwrap();
    let stats = running.store.stats();
    assert_eq!(
        (stats.failing, stats.queued, stats.committed_rows),
        (false, 0, 2)
    );
    let dir = running.stop().await;
    let running = Running::start_in(dir, ResultSettings::default());
    assert_eq!(
        running
            .one("SELECT list(run_id ORDER BY run_id) FROM observations")
            .await,
        json!([1, 2])
    );
    running.stop().await;
}

#[tokio::test]
async fn closing_gives_up_on_a_disk_that_stays_broken() {
    let running = Running::start();
    std::fs::create_dir(running.dir.path().join("results.duckdb.wal")).unwrap();
    let error = running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap_err();
    assert!(matches!(error, ResultError::NotCommitted(_)), "{error}");
    assert!(running.store.close().await.is_err());
    assert!(running.thread.join().unwrap().is_err());
    assert_eq!(running.store.stats().queued, 1);
}

#[tokio::test]
async fn a_batch_that_reached_the_disk_is_not_written_twice() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let mut connection = running.store.database.connect().unwrap();
    for (run_id, wanted) in [(1, 1), (2, 2)] {
        let observations = vec![Arc::new(observation(run_id))];
        let part = Part {
            observations,
            is_doubtful: true,
            ..Part::default()
        };
        part::write(
            &mut connection,
            &Work {
                parts: vec![part],
                ..Work::default()
            },
        )
        .unwrap();
        assert_eq!(
            running.one("SELECT count(*) FROM observations").await,
            json!(wanted)
        );
    }
    drop(connection);
    running.stop().await;
}

#[tokio::test]
async fn a_query_that_nobody_waits_for_is_stopped() {
    let running = Running::start();
    let long = QueryLimits {
        timeout: Duration::from_secs(3_600),
        ..limits()
    };
    {
        let query = running
            .store
            .query("SELECT count(*) FROM range(1000000000000)", long);
        let mut query = std::pin::pin!(query);
        // Given up as soon as it holds its slot.
        while running.store.queries.available_permits() == QUERIES {
            assert!(futures::poll!(query.as_mut()).is_pending());
        }
        assert!(futures::poll!(query.as_mut()).is_pending());
    }
    let all = running.store.queries.acquire_many(QUERIES as u32);
    drop(
        tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .unwrap()
            .unwrap(),
    );
    running.stop().await;
}

#[tokio::test]
async fn a_query_without_end_is_stopped_and_gives_its_slot_back() {
    let running = Running::start();
    let short = QueryLimits {
        timeout: Duration::from_millis(200),
        ..limits()
    };
    for sql in [
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT count(*) FROM r",
        "WITH RECURSIVE r(n) USING KEY (n) AS (SELECT 1 UNION SELECT n FROM recurring.r) FROM r",
        "SELECT count(*) FROM range(1000000000000)",
        "SELECT * FROM range(1000000) a, range(1000000) b ORDER BY a.range + b.range",
    ] {
        let error = running.store.query(sql, short).await.unwrap_err();
        assert!(
            matches!(error, QueryError::Timeout(_) | QueryError::Memory),
            "{sql}: {error}"
        );
        let all = running.store.queries.acquire_many(QUERIES as u32);
        let freed = tokio::time::timeout(Duration::from_secs(10), all)
            .await
            .expect(sql)
            .unwrap();
        drop(freed);
    }
    running.stop().await;
}

#[tokio::test]
async fn two_opens_are_refused() {
    let running = Running::start();
    let error = ResultStore::open(running.dir.path(), ResultSettings::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("results.duckdb") && error.contains("in use"),
        "{error}"
    );
    running.stop().await;
}

#[tokio::test]
async fn the_instance_can_be_opened_anew_while_handles_live_on() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let other = ResultStore {
        ..running.store.clone()
    };
    running.store.close().await.unwrap();
    running.store.database.reopen().await.unwrap();
    assert_eq!(
        other.observation_page("shop-api", None, 9).await.unwrap(),
        [observation(1)]
    );
    running.thread.join().unwrap().unwrap();
}

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
            ["events"],
            ["observations"],
            ["plugin_health"],
            ["plugin_runs"],
            ["rate_limits"],
            ["services"],
            ["shadow_runs"]
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
async fn every_type_becomes_json() {
    let running = Running::start();
    let mut faults = Vec::new();
    for (sql, kind, wanted) in [
        ("NULL", "INTEGER", json!(null)),
        ("true", "BOOLEAN", json!(true)),
        ("127::TINYINT", "TINYINT", json!(127)),
        (
            "18446744073709551615::UBIGINT",
            "UBIGINT",
            json!(18446744073709551615_u64),
        ),
        ("sum(5::BIGINT)", "HUGEINT", json!(5)),
        (
            "170141183460469231731687303715884105727::HUGEINT",
            "HUGEINT",
            json!("170141183460469231731687303715884105727"),
        ),
        (
            "340282366920938463463374607431768211455::UHUGEINT",
            "UHUGEINT",
            json!("340282366920938463463374607431768211455"),
        ),
        ("1.5::FLOAT", "FLOAT", json!(1.5)),
        ("0.1::FLOAT", "FLOAT", json!(0.1)),
        ("'nan'::DOUBLE", "DOUBLE", json!(null)),
        ("'-infinity'::DOUBLE", "DOUBLE", json!(null)),
        ("1.50", "DECIMAL(3,2)", json!(1.5)),
        ("-0.05", "DECIMAL(3,2)", json!(-0.05)),
        (
            "12345678901234567.89::DECIMAL(38,2)",
            "DECIMAL(38,2)",
            json!("12345678901234567.89"),
        ),
        ("'ü\"'", "VARCHAR", json!("ü\"")),
        ("'\\xAA\\x00'::BLOB", "BLOB", json!("aa00")),
        ("'0101'::BIT", "BIT", json!("0101")),
        ("DATE '2026-11-23'", "DATE", json!("2026-11-23")),
        ("DATE '0001-01-01'", "DATE", json!("0001-01-01")),
        ("'infinity'::DATE", "DATE", json!("infinity")),
        ("TIME '01:02:03.5'", "TIME", json!("01:02:03.5")),
        (
            "TIMESTAMP '2026-11-23 01:02:03.004'",
            "TIMESTAMP",
            json!("2026-11-23T01:02:03.004Z"),
        ),
        ("'infinity'::TIMESTAMP", "TIMESTAMP", json!("infinity")),
        (
            "TIMESTAMP_S '2026-11-23 01:02:03'",
            "TIMESTAMP_S",
            json!("2026-11-23T01:02:03Z"),
        ),
        (
            "TIMESTAMP_NS '2026-11-23 01:02:03.000000001'",
            "TIMESTAMP_NS",
            json!("2026-11-23T01:02:03.000000001Z"),
        ),
        (
            "TIMESTAMPTZ '2026-11-23 01:02:03+01'",
            "TIMESTAMP WITH TIME ZONE",
            json!("2026-11-23T00:02:03Z"),
        ),
        (
            "INTERVAL '1 year 2 months 3 days 4.5 seconds'",
            "INTERVAL",
            json!("P1Y2M3DT4.5S"),
        ),
        ("INTERVAL '-90 seconds'", "INTERVAL", json!("PT-90S")),
        ("INTERVAL 0 DAY", "INTERVAL", json!("PT0S")),
        ("'b'::ENUM('a', 'b')", "ENUM", json!("b")),
        (
            "'6f9619ff-8b86-d011-b42d-00c04fc964ff'::UUID",
            "UUID",
            json!("6f9619ff-8b86-d011-b42d-00c04fc964ff"),
        ),
        ("[1, NULL, 3]", "INTEGER[]", json!([1, null, 3])),
        ("[1, 2]::INTEGER[2]", "INTEGER[]", json!([1, 2])),
        (
            "{'a': 1, 'b': [{'c': NULL}]}",
            "STRUCT(a INTEGER, b STRUCT(c INTEGER)[])",
            json!({"a": 1, "b": [{"c": null}]}),
        ),
        (
            "MAP {1: 'x', 2: 'y'}",
            "MAP(INTEGER, VARCHAR)",
            json!({"1": "x", "2": "y"}),
        ),
        ("union_value(n := 5)", "UNION(n INTEGER)", json!(5)),
        ("'{\"a\": [1]}'::JSON", "JSON", json!({"a": [1]})),
    ] {
        match running
            .store
            .query(&format!("SELECT {sql} AS v"), limits())
            .await
        {
            Err(error) => faults.push(format!("{sql}: {error}")),
            Ok(answer) => {
                let found = (
                    &answer.rows[0][0],
                    answer.columns[0].kind.as_str(),
                    answer.columns[0].name.as_str(),
                );
                if found != (&wanted, kind, "v") {
                    faults.push(format!("{sql}: {found:?}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    for sql in [
        "TIMETZ '01:02:03+01'",
        "TIME_NS '01:02:03'",
        "12::BIGNUM",
        "12::VARIANT",
        "[12::VARIANT]",
    ] {
        let answer = running
            .store
            .query(&format!("SELECT {sql} AS v"), limits())
            .await;
        assert!(
            matches!(answer, Ok(_) | Err(QueryError::Invalid(_))),
            "{sql}: {answer:?}"
        );
    }
    running.stop().await;
}

#[tokio::test]
async fn rows_bytes_and_time_are_limited() {
    let running = Running::start();
    let some = QueryLimits {
        rows: 3,
        ..limits()
    };
    let answer = running
        .store
        .query("FROM range(1000000000)", some)
        .await
        .unwrap();
    assert_eq!(
        (json!(answer.rows), answer.truncated),
        (json!([[0], [1], [2]]), true)
    );
    let all = running.store.query("FROM range(3)", some).await.unwrap();
    assert!(!all.truncated);
    let big = "SELECT string_agg(range::VARCHAR, '') FROM range(200000) GROUP BY range % 4";
    let big = format!("SELECT * FROM ({big}), range(1000)");
    let answer = running.store.query(&big, limits()).await.unwrap();
    assert!(
        answer.truncated && answer.rows.len() < 200,
        "{}",
        answer.rows.len()
    );

    let short = QueryLimits {
        timeout: Duration::from_millis(300),
        ..limits()
    };
    let began = std::time::Instant::now();
    let slow =
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range + b.range = 1";
    let error = running.store.query(slow, short).await.unwrap_err();
    assert!(
        matches!(error, QueryError::Timeout(limit) if limit == short.timeout),
        "{error}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let memory = "SELECT count(*) FROM (SELECT DISTINCT hash(a.range, b.range) FROM range(30000) a, range(10000) b)";
    let error = running
        .store
        .query(
            memory,
            QueryLimits {
                timeout: Duration::from_secs(2),
                ..limits()
            },
        )
        .await
        .unwrap_err();
    assert!(
        matches!(error, QueryError::Timeout(_) | QueryError::Memory),
        "{error}"
    );
    assert_eq!(
        running.one("SELECT 1").await,
        json!(1),
        "the slots are free again"
    );
    running.stop().await;
}

#[tokio::test]
async fn what_passes_the_gate_still_finds_a_read_only_and_locked_database() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let reader = running
        .store
        .database
        .reader(ReaderKind::Shared)
        .await
        .unwrap();
    for sql in [
        "SET threads = 1",
        "ATTACH '/tmp/other.duckdb'",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY (SELECT 1) TO '/tmp/extrack-test.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ] {
        assert!(reader.connection.execute_batch(sql).is_err(), "{sql}");
    }
    reader
        .connection
        .execute_batch("BEGIN TRANSACTION READ ONLY")
        .unwrap();
    assert!(
        reader
            .connection
            .execute_batch("DELETE FROM fact.observations")
            .is_err()
    );
    drop(reader);
    let refused = running
        .store
        .query("DELETE FROM fact.observations", limits())
        .await;
    assert!(matches!(refused, Err(QueryError::Refused(_))));
    let invalid = running
        .store
        .query("SELECT nothing FROM observations", limits())
        .await;
    assert!(matches!(invalid, Err(QueryError::Invalid(text)) if text.contains("nothing")));
    assert_eq!(
        running.one("SELECT count(*) FROM observations").await,
        json!(1)
    );
    running.stop().await;
}

#[tokio::test]
async fn queries_that_the_gate_admits_run() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    for sql in gate::USEFUL.iter().chain(gate::GROWING) {
        if let Err(error) = running.store.query(sql, limits()).await {
            panic!("{sql}: {error}");
        }
    }
    running.stop().await;
}

pub(super) fn plugin_run(
    run_id: i64,
    ts_ms: i64,
    function: &'static str,
    outcome: RunOutcome,
    duration_us: u64,
) -> PluginRun {
    PluginRun {
        run_id,
        ts_ms,
        plugin: "http".to_owned(),
        kind: PluginKind::Probe,
        version: "0.1.0".to_owned(),
        digest: "ab".to_owned(),
        function: function.into(),
        service: None,
        outcome,
        error: (outcome != RunOutcome::Ok).then(|| format!("run {run_id}")),
        duration_us,
        cpu_us: duration_us / 2,
        memory_bytes: duration_us,
        host_calls: 1,
        log_bytes: 0,
        denials: 1,
        denied: None,
        bytes_in: 0,
        bytes_out: 0,
    }
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
    let history = running
        .store
        .observation_history("shop-api", (START, i64::MAX), 3)
        .await
        .unwrap();
    assert_eq!(history, [said(2), said(3), observation(4)]);
    running.stop().await;
}

#[tokio::test]
async fn runs_are_counted_by_slots_of_time() {
    let running = Running::start();
    let fine_ms = crate::domain::FINE_MS;
    // Every ten minutes for five days; every third fails, and one is missed.
    for run_id in 0..720 {
        let run = match run_id {
            100 => failed(run_id),
            _ if run_id % 3 == 0 => Observation {
                status: Status::Unhealthy,
                ..observation(run_id)
            },
            _ => observation(run_id),
        };
        let run = Observation {
            ts_ms: START + run_id * 10 * MINUTE,
            ..run
        };
        running.store.observation_record(Arc::new(run));
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(720)))
        .await
        .unwrap();
    let before_ms = START + 5 * 86_400_000 - 600_000;
    let span = GroupSpan {
        since_ms: START,
        before_ms,
        covered_by_one_run: Duration::from_secs(300),
    };
    let groups = running
        .store
        .observation_groups("shop-api", span)
        .await
        .unwrap();
    let runs = |status: Status| {
        groups
            .iter()
            .filter(|group| group.status == status)
            .map(|group| group.runs)
            .sum::<u64>()
    };
    // The last one lies at the end of the span, and run 720 of the other test data in its
    // beginning.
    assert_eq!(
        (
            runs(Status::Healthy),
            runs(Status::Unhealthy),
            runs(Status::Error)
        ),
        (479, 240, 0)
    );
    assert!(
        groups
            .iter()
            .all(|group| group.covered_ms <= 300_000 * group.runs)
    );
    let hours = groups.iter().filter(|group| group.runs > 1).count();
    assert!(hours > 80, "the first two days are by the hour: {hours}");
    let last = groups.last().unwrap();
    assert_eq!(
        (last.start_ms % fine_ms, last.runs, last.covered_ms),
        (0, 1, 300_000)
    );
    assert!(groups.is_sorted_by_key(|group| group.start_ms));
    for group in groups
        .iter()
        .filter(|group| group.status == Status::Healthy)
    {
        assert_eq!(group.latency_bin, Some(crate::domain::latency_bin(12_500)));
    }
    assert!(
        groups
            .iter()
            .all(|group| group.status == Status::Healthy || group.latency_bin.is_none())
    );
    running.stop().await;
}

#[tokio::test]
async fn alerting_reads_while_all_other_readers_are_taken() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let mut taken = Vec::new();
    while let Ok(reader) = tokio::time::timeout(
        Duration::from_millis(200),
        running.store.database.reader(ReaderKind::Shared),
    )
    .await
    {
        taken.push(reader.unwrap());
    }
    assert!(taken.len() >= 4, "{}", taken.len());
    let history = running
        .store
        .observation_history("shop-api", (0, i64::MAX), 10);
    let history = tokio::time::timeout(Duration::from_secs(20), history)
        .await
        .expect("a reader is kept for it")
        .unwrap();
    assert_eq!(history.len(), 1);
    drop(taken);
    running.stop().await;
}

#[tokio::test]
async fn a_reader_whose_caller_gave_up_is_free_again() {
    let running = Running::start();
    // Hours of work, if nothing stopped it.
    let endless =
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 1";
    let (started, is_started) = std::sync::mpsc::channel();
    let reading = running
        .store
        .read_as(ReaderKind::Alerting, move |connection| {
            started.send(()).unwrap();
            connection
                .query_row(endless, [], |row| row.get::<_, i64>(0))
                .map_err(super::read::reading)
        });
    let given_up = tokio::time::timeout(Duration::from_millis(300), reading).await;
    assert!(given_up.is_err(), "it can't have ended");
    is_started.recv_timeout(Duration::from_secs(20)).unwrap();
    let mut readers = Vec::new();
    for _ in 0..ALERTING_READERS {
        let reader = running.store.database.reader(ReaderKind::Alerting);
        readers.push(
            tokio::time::timeout(Duration::from_secs(30), reader)
                .await
                .expect("it was interrupted")
                .unwrap(),
        );
    }
    drop(readers);
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

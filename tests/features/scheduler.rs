//! The schedule: nothing is left out in silence, and nothing is lost on the way out.

use std::time::Duration;

use extrack_tests::{HangingServer, PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_overlap_the_one_before_are_one_missed_row() {
    let (silent, vendor) = (HangingServer::start().await, Vendor::start().await);
    let yaml = format!(
        r#"
services:
  - {{name: hanging, baseUrl: "{}", monitoring: {{interval: 1, timeout: 2500}}}}
  - {{name: quick, baseUrl: "{}", monitoring: {{interval: 1, timeout: 900}}}}
"#,
        silent.url(),
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    const ROWS: &str = "SELECT missed, status, error_kind, error FROM observations WHERE service = 'hanging' ORDER BY run_id";
    let rows = wait_for(
        "three time-outs with missed runs between them",
        PATIENCE,
        async || {
            let rows = api.sql(ROWS).await;
            let timeouts = rows.iter().filter(|row| row[2] == "timeout").count();
            if timeouts >= 3 {
                Ok(rows)
            } else {
                Err(format!("{rows:?}"))
            }
        },
    )
    .await;
    let missed: Vec<&Vec<Value>> = rows.iter().filter(|row| row[0] == true).collect();
    assert!(missed.len() >= 2, "{rows:?}");
    for row in missed {
        assert_eq!([&row[1], &row[2]], ["error", "plugin"], "{row:?}");
        let text = row[3].as_str().unwrap();
        assert!(
            text.starts_with("missed: ") && text.contains("still under way"),
            "{row:?}"
        );
    }
    // Moments of a probe that is not held up lie exactly an interval apart.
    let gaps = api
        .sql(
            "SELECT ts, gap_ms FROM (SELECT ts, epoch_ms(ts) - epoch_ms(lag(ts) OVER (ORDER BY ts)) AS gap_ms \
             FROM observations WHERE service = 'quick' AND NOT missed) WHERE gap_ms % 1000 <> 0",
        )
        .await;
    assert!(gaps.is_empty(), "{gaps:?}");
    let others = api
        .sql_count("SELECT count(*) FROM observations WHERE service = 'quick' AND NOT missed AND status <> 'healthy'")
        .await;
    assert_eq!(others, 0, "the one that hangs harmed the one that does not");
    let metrics = api.metrics().await;
    assert!(
        metrics.contains("extrack_probe_runs_missed_total{reason=\"overlap\"}"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graceful_stop_loses_nothing() {
    let vendor = Vendor::start().await;
    // Slow enough that runs are under way whenever the stop comes.
    vendor.set_delay("/slow", Duration::from_millis(600));
    let service = |index: usize| {
        format!(
            "\n  - {{name: s{index}, baseUrl: \"{}\", healthEndpoint: /slow, monitoring: {{interval: 1, timeout: 5000}}}}",
            vendor.url()
        )
    };
    let yaml = format!("services:{}\n", (0..10).map(service).collect::<String>());
    let mut runtime = TestRuntime::builder().services(yaml).start().await;
    wait_for("some answers", PATIENCE, async || {
        match vendor.hits("/slow") {
            hits if hits >= 25 => Ok(()),
            hits => Err(format!("{hits}")),
        }
    })
    .await;
    let status = runtime.stop().await;
    assert_eq!(status.code(), Some(0), "{}", runtime.logs());
    let (hits, stopped) = (
        vendor.hits("/slow"),
        jiff::Timestamp::now().as_millisecond(),
    );

    runtime.start().await;
    let stored = runtime
        .api()
        .sql(&format!(
            "SELECT status, count(*) FROM observations WHERE NOT missed AND epoch_ms(ts) <= {stopped} GROUP BY status"
        ))
        .await;
    assert_eq!(
        stored,
        [vec![Value::from("healthy"), Value::from(hits)]],
        "the vendor answered {hits} requests"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_what_was_known() {
    let vendor = Vendor::start().await;
    vendor.set_status("/bad", 500);
    let yaml = format!(
        r#"
services:
  - {{name: good, baseUrl: "{0}", healthEndpoint: /good, monitoring: {{interval: 86400}}}}
  - {{name: bad, baseUrl: "{0}", healthEndpoint: /bad, monitoring: {{interval: 86400}}}}
  - {{name: new, baseUrl: "{0}", healthEndpoint: /new, monitoring: {{interval: 86400}}}}
"#,
        vendor.url()
    );
    let mut runtime = TestRuntime::builder().services(yaml).start().await;
    let (good, bad) = (
        runtime.api().check("good").await,
        runtime.api().check("bad").await,
    );
    assert_eq!([&good["status"], &bad["status"]], ["healthy", "unhealthy"]);
    runtime.restart().await;
    let api = runtime.api();
    for (slug, status) in [
        ("good", Value::from("healthy")),
        ("bad", Value::from("unhealthy")),
        ("new", Value::Null),
    ] {
        assert_eq!(api.service(slug).await["status"], status, "{slug}");
    }
    let page = api
        .get("/api/v1/services/bad/observations")
        .await
        .expect(200);
    assert_eq!(page["items"], Value::from(vec![bad.clone()]));
    // Run ids go on where they were.
    assert!(api.check("good").await["runId"].as_i64() > bad["runId"].as_i64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_program_on_the_same_data_is_refused() {
    let first = TestRuntime::builder().start().await;
    let (config, data) = (first.config(), first.data());
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--config",
        config.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ];
    let second = first.cli(arguments).await;
    assert_ne!(second.code, Some(0));
    assert!(second.err.contains("in use"), "{second:?}");
    assert_eq!(
        first.api().get("/healthz").await.expect(200)["status"],
        "ok"
    );
}

//! SQL over what was measured: anything may be asked, nothing may be harmed.

mod faces;
mod hostile;
mod offline;
mod process;

use std::time::Duration;

use extrack_tests::{PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::{Value, json};

async fn watched() -> (TestRuntime, Vendor) {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: Shop, baseUrl: \"{}\", monitoring: {{interval: 1}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    runtime.api().check("shop").await;
    (runtime, vendor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn observations_have_the_promised_columns() {
    let (runtime, _vendor) = watched().await;
    let api = runtime.api();
    let answer = api
        .post(
            "/api/v1/sql",
            &json!({"query": "SELECT * FROM observations LIMIT 1"}),
        )
        .await
        .expect(200);
    assert_eq!(answer["truncated"], false);
    let columns: Vec<&str> = answer["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    for name in [
        "ts",
        "service",
        "probe",
        "location",
        "status",
        "latency_us",
        "dns_us",
        "connect_us",
        "tls_us",
        "first_byte_us",
        "body_us",
        "http_status",
        "error_kind",
        "error",
        "bytes",
        "plugin",
        "plugin_version",
        "run_id",
        "metrics",
        "latency_ms",
    ] {
        assert!(columns.contains(&name), "no column `{name}` in {columns:?}");
    }
    for column in answer["columns"].as_array().unwrap() {
        assert!(
            column["type"].as_str().is_some_and(|kind| !kind.is_empty()),
            "{column}"
        );
    }
    assert_eq!(answer["rows"][0].as_array().unwrap().len(), columns.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered() {
    let (runtime, _vendor) = watched().await;
    let api = runtime.api();
    for (query, wanted) in [
        ("SELECT 1", json!([[1]])),
        (
            "SELECT service, probe, location, status, http_status FROM observations ORDER BY ts LIMIT 1",
            json!([["shop", "http", "local", "healthy", 200]]),
        ),
        (
            "WITH h AS (SELECT * FROM observations WHERE status = 'healthy') SELECT count(*) > 0 FROM h",
            json!([[true]]),
        ),
        (
            "SELECT quantile_cont(latency_ms, 0.5) > 0 FROM observations",
            json!([[true]]),
        ),
        ("SELECT slug, name FROM services", json!([["shop", "Shop"]])),
        ("SELECT count(*) FROM alert_events", json!([[0]])),
        (
            "SELECT typeof(ts) FROM observations LIMIT 1",
            json!([["TIMESTAMP"]]),
        ),
    ] {
        let answer = api
            .post("/api/v1/sql", &json!({"query": query}))
            .await
            .expect(200);
        assert_eq!(answer["rows"], wanted, "{query}");
    }
    let runs = wait_for("a row of `plugin_runs`", PATIENCE, async || {
        let rows =
            api.sql("SELECT plugin, kind, function, outcome FROM plugin_runs WHERE function = 'check' LIMIT 1").await;
        rows.first().cloned().ok_or_else(|| "none".to_owned())
    })
    .await;
    assert_eq!(runs, ["http", "probe", "check", "ok"]);

    let many = api
        .post(
            "/api/v1/sql",
            &json!({"query": "SELECT * FROM range(100000)"}),
        )
        .await
        .expect(200);
    assert_eq!(many["truncated"], true);
    assert!(many["rows"].as_array().unwrap().len() < 100_000);

    let csv = api
        .post(
            "/api/v1/sql",
            &json!({"query": "SELECT 1 AS a, 'x,y' AS b", "format": "csv"}),
        )
        .await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(
        csv.text.trim_end().lines().collect::<Vec<_>>(),
        ["a,b", "1,\"x,y\""]
    );

    let said = runtime
        .cli([
            "sql",
            "SELECT service, count(*) > 0 AS any FROM observations GROUP BY service",
            "--json",
        ])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let said: Value = serde_json::from_str(&said.out).expect("--json prints JSON");
    assert_eq!(said["rows"], json!([["shop", true]]));
    let table = runtime.cli(["sql", "SELECT 42 AS answer"]).await;
    assert!(
        table.out.contains("answer") && table.out.contains("42"),
        "{table:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_could_harm_is_refused() {
    let (runtime, _vendor) = watched().await;
    let api = runtime.api();
    let before = api.sql_count("SELECT count(*) FROM observations").await;
    let file = runtime.data().join("stolen.csv");
    let copy = format!("COPY observations TO '{}'", file.display());
    for query in [
        "DELETE FROM observations",
        "DROP TABLE observations",
        "DROP VIEW observations",
        "INSERT INTO observations SELECT * FROM observations",
        "UPDATE observations SET status = 'healthy'",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1; DROP VIEW observations",
        "SELECT 1; SELECT 2",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SET memory_limit = '100GB'",
        "CALL pragma_version()",
        "EXPORT DATABASE 'out'",
        "CHECKPOINT",
        "VACUUM",
        copy.as_str(),
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT content FROM read_blob('/proc/self/environ')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT getenv('EXTRACK_ADMIN_TOKEN')",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM duckdb_secrets()",
        "SELECT * FROM fact.observations",
        "SELECT * FROM information_schema.tables",
        "WITH gone AS (DELETE FROM observations RETURNING *) SELECT * FROM gone",
        "",
        "-- nothing",
    ] {
        let problem = api.post("/api/v1/sql", &json!({"query": query})).await;
        assert_eq!(
            problem.status, 422,
            "`{query}` was answered: {}",
            problem.text
        );
        problem.expect_problem(422);
    }
    assert!(!file.exists());
    let typo = api
        .post(
            "/api/v1/sql",
            &json!({"query": "SELECT statsu FROM observations"}),
        )
        .await
        .expect_problem(422);
    assert!(
        typo["detail"].as_str().unwrap().contains("statsu"),
        "{typo}"
    );
    let said = runtime.cli(["sql", "DROP VIEW observations"]).await;
    assert_ne!(said.code, Some(0));
    assert!(!said.err.is_empty() && said.out.is_empty(), "{said:?}");
    // All is as it was, and goes on.
    wait_for("more runs", PATIENCE, async || {
        let now = api.sql_count("SELECT count(*) FROM observations").await;
        if now > before {
            Ok(())
        } else {
            Err(format!("{now} after {before}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_without_end_is_cut_off_and_the_schedule_does_not_notice() {
    let (runtime, _vendor) = watched().await;
    let api = runtime.api();
    let endless = "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 3";
    let started = tokio::time::Instant::now();
    let problem = api
        .post("/api/v1/sql", &json!({"query": endless}))
        .await
        .expect_problem(422);
    assert!(
        problem["type"]
            .as_str()
            .unwrap()
            .ends_with("query-timed-out"),
        "{problem}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(45),
        "{:?}",
        started.elapsed()
    );
    let harmed = api
        .sql("SELECT ts, status, error FROM observations WHERE missed OR status <> 'healthy'")
        .await;
    assert!(harmed.is_empty(), "{harmed:?}");
}

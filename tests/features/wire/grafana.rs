//! What Grafana's PostgreSQL source sends: its test of the connection, its query builder, and panels
//! with their macros written out.

use serde_json::json;

use super::watched;

/// Tables, those of the search path first and by their short names.
const TABLES: &str = include_str!("../../fixtures/wire/grafana_tables.sql");
/// Columns of a table.
const COLUMNS: &str = include_str!("../../fixtures/wire/grafana_columns.sql");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grafana_tests_builds_and_draws() {
    let (runtime, _vendor) = watched().await;
    let asked = async |query: &str| {
        let said = runtime.psql(&["-At", "-c", query]).await;
        assert_eq!(said.code, Some(0), "{query}: {said:?}");
        said.out
    };
    assert_eq!(
        asked("SELECT current_setting('server_version_num')::int/100 as version").await,
        "1600\n"
    );
    assert_eq!(
        asked("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").await,
        ""
    );
    let tables = asked(TABLES).await;
    assert!(
        tables.lines().any(|table| table == "observations"),
        "{tables}"
    );
    assert!(!tables.contains("pg_class"), "{tables}");
    let columns = asked(COLUMNS).await;
    assert!(
        columns.contains("ts|timestamp without time zone\n"),
        "{columns}"
    );
    assert!(columns.contains("service|text\n"), "{columns}");

    let series = "SELECT floor(extract(epoch from ts)/60)*60 AS \"time\", service AS metric, avg(latency_ms) AS \"value\" \
         FROM observations WHERE ts BETWEEN '2020-01-01T00:00:00Z' AND '2100-01-01T00:00:00.5Z' GROUP BY 1, 2 ORDER BY 1";
    let series = asked(series).await;
    assert!(series.lines().count() >= 1, "{series}");
    assert!(series.contains("|shop|"), "{series}");
}

/// Questions that other tools ask about the catalog, one after the other; none fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_of_other_tools_about_the_catalog_are_answered() {
    let (runtime, _vendor) = watched().await;
    let mut failed = Vec::new();
    let questions = include_str!("../../fixtures/wire/catalog.sql").split("\n---\n");
    for question in questions {
        let said = runtime.psql(&["-At", "-c", question]).await;
        if said.code != Some(0) {
            failed.push(json!({"question": question, "error": said.err}));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

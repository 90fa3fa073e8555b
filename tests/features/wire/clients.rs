//! Programs of others: psql, Python's drivers with SQLAlchemy and pandas, JDBC.

use super::watched;

/// Drivers, a pool's habits, and data frames. Prints `done` at its end.
const PYTHON: &str = include_str!("../../fixtures/wire/clients.py");
const JDBC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/wire/Jdbc.java");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_answers_describes_and_copies() {
    let (runtime, _vendor) = watched().await;
    let asked = async |command: &str| {
        let said = runtime.psql(&["-At", "-c", command]).await;
        assert_eq!(said.code, Some(0), "{command}: {said:?}");
        said.out
    };
    assert_eq!(asked("SELECT 41 + 1, 'ä', NULL").await, "42|ä|\n");
    assert_eq!(
        asked("SELECT DISTINCT service, status FROM observations").await,
        "shop|healthy\n"
    );
    for command in ["\\d", "\\dt", "\\dt+", "\\dtv public.*"] {
        let tables = asked(command).await;
        assert!(
            tables.contains("public|observations|table|extrack"),
            "{command}: {tables}"
        );
        assert!(!tables.contains("pg_class"), "{command}: {tables}");
    }
    let columns = asked("\\d observations").await;
    assert!(
        columns.contains("ts|timestamp without time zone"),
        "{columns}"
    );
    assert!(columns.contains("latency_us|bigint"), "{columns}");
    assert!(
        asked("\\d+ observations")
            .await
            .contains("slug of the service")
    );
    assert!(asked("\\l").await.contains("extrack|"));
    assert!(asked("\\dn").await.contains("public|extrack"));
    for command in [
        "\\du",
        "\\df",
        "\\dv",
        "\\di",
        "\\dT",
        "\\dp",
        "\\dx",
        "\\db",
        "\\ds",
        "\\conninfo",
    ] {
        asked(command).await;
    }
    let copied = asked(
        "\\copy (SELECT DISTINCT service, http_status FROM observations) to stdout with csv header",
    )
    .await;
    assert_eq!(copied, "service,http_status\nshop,200\n");
    // A cursor behind the scenes.
    let said = runtime
        .psql(&[
            "-At",
            "-v",
            "FETCH_COUNT=2",
            "-c",
            "SELECT i FROM range(5) r(i)",
        ])
        .await;
    assert_eq!(said.out, "0\n1\n2\n3\n4\n", "{said:?}");

    let said = runtime
        .psql(&["-c", "SELECT servce FROM observations"])
        .await;
    assert_eq!(said.code, Some(1));
    assert!(
        said.err.contains("LINE 1: SELECT servce") && said.err.contains("HINT:"),
        "{said:?}"
    );
    let said = runtime.psql_as("guess", &["-c", "SELECT 1"]).await;
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("the token is not known here"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psycopg_sqlalchemy_and_pandas_read_results() {
    let (runtime, _vendor) = watched().await;
    let said = runtime.python(PYTHON).await;
    assert_eq!(said.out.trim(), "done", "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jdbc_reads_results_and_the_catalog() {
    let (runtime, _vendor) = watched().await;
    let said = runtime.java(JDBC).await;
    assert_eq!(said.out.trim(), "done", "{said:?}");
}

//! The protocol itself: who gets in, limits, errors, cancelling.

use std::time::Duration;

use extrack_tests::runtime::TOKEN;
use extrack_tests::{Authority, PATIENCE, TestRuntime, wait_for};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::{started, watched};

async fn connect(runtime: &TestRuntime, token: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = Config::new()
        .host("127.0.0.1")
        .port(runtime.wire_port())
        .user("anybody")
        .dbname("extrack")
        .password(token)
        .connect(NoTls)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

fn code(error: &tokio_postgres::Error) -> String {
    let error = error.as_db_error().unwrap_or_else(|| panic!("{error:?}"));
    error.code().code().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_token_with_the_scope_gets_in_and_only_to_this_database() {
    let runtime = started().await;
    let wrong = connect(&runtime, "guess").await.err().unwrap();
    assert_eq!(code(&wrong), "28P01");
    let narrow = runtime
        .api()
        .post(
            "/api/v1/tokens",
            &json!({"name": "narrow", "scopes": ["read"]}),
        )
        .await
        .expect(201);
    let narrow = connect(&runtime, narrow["token"].as_str().unwrap()).await;
    assert_eq!(code(&narrow.err().unwrap()), "28000");
    let other = Config::new()
        .host("127.0.0.1")
        .port(runtime.wire_port())
        .user("anybody")
        .dbname("postgres")
        .password(TOKEN)
        .connect(NoTls)
        .await;
    assert_eq!(code(&other.err().unwrap()), "3D000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_ends_when_its_token_is_revoked() {
    let runtime = started().await;
    let token = runtime
        .api()
        .post(
            "/api/v1/tokens",
            &json!({"name": "reports", "scopes": ["sql"]}),
        )
        .await
        .expect(201);
    let client = connect(&runtime, token["token"].as_str().unwrap())
        .await
        .unwrap();
    client.query("SELECT 1", &[]).await.unwrap();
    let path = format!("/api/v1/tokens/{}", token["id"]);
    runtime.api().delete(&path).await.expect_text(204);
    wait_for("the end of the connection", PATIENCE, async || {
        if client.is_closed() {
            Ok(())
        } else {
            Err("it is open".to_owned())
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_come_in_binary_and_parameters_go_in_binary() {
    let (runtime, _vendor) = watched().await;
    let client = connect(&runtime, TOKEN).await.unwrap();
    let row = client
        .query_one(
            "SELECT true AS b, 1::SMALLINT AS i2, 2::INTEGER AS i4, 3::BIGINT AS i8, 1.5::FLOAT AS f4, 2.5::DOUBLE AS f8, \
             'ä' AS t, '\\xAB'::BLOB AS by, NULL::INTEGER AS n, [1, 2] AS l, '{\"a\": 1}'::JSON AS j, 7::HUGEINT AS h",
            &[],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>("b"));
    assert_eq!(row.get::<_, i16>("i2"), 1);
    assert_eq!(row.get::<_, i32>("i4"), 2);
    assert_eq!(row.get::<_, i64>("i8"), 3);
    assert_eq!(row.get::<_, f32>("f4"), 1.5);
    assert_eq!(row.get::<_, f64>("f8"), 2.5);
    assert_eq!(row.get::<_, &str>("t"), "ä");
    assert_eq!(row.get::<_, &[u8]>("by"), [0xab]);
    assert_eq!(row.get::<_, Option<i32>>("n"), None);
    assert_eq!(row.get::<_, &str>("l"), "[1,2]");
    assert_eq!(*row.columns()[10].type_(), Type::JSON);
    assert_eq!(*row.columns()[11].type_(), Type::NUMERIC);

    // Types of parameters are found by what they are compared with.
    let sql = "SELECT service, latency_us FROM observations WHERE service = $1 AND latency_us > $2 LIMIT $3";
    let statement = client.prepare(sql).await.unwrap();
    assert_eq!(statement.params(), [Type::TEXT, Type::INT8, Type::INT8]);
    assert_eq!(*statement.columns()[1].type_(), Type::INT8);
    let rows = client
        .query(&statement, &[&"shop", &0_i64, &1_i64])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].get::<_, &str>(0), "shop");
    let sum = client
        .query_one("SELECT $1::INTEGER + 1 AS s, $2 AS x", &[&41_i32, &"y"])
        .await
        .unwrap();
    assert_eq!((sum.get::<_, i32>(0), sum.get::<_, &str>(1)), (42, "y"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_portal_goes_on_where_it_was_left() {
    let runtime = started().await;
    let mut client = connect(&runtime, TOKEN).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    let portal = transaction
        .bind("SELECT i::INTEGER AS i FROM range(5) r(i)", &[])
        .await
        .unwrap();
    let mut found = Vec::new();
    for wanted in [2, 2, 1, 0] {
        let rows = transaction.query_portal(&portal, 2).await.unwrap();
        assert_eq!(rows.len(), wanted);
        found.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
    }
    assert_eq!(found, [0, 1, 2, 3, 4]);
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_a_sqlstate_a_place_and_a_hint() {
    let runtime = started().await;
    let client = connect(&runtime, TOKEN).await.unwrap();
    for (sql, wanted) in [
        ("SELEC 1", "42601"),
        ("SELECT servce FROM observations", "42703"),
        ("SELECT * FROM nowhere", "42501"),
        ("SELECT read_text('/etc/passwd')", "42501"),
        ("COPY (SELECT 1) TO '/tmp/x'", "42501"),
        ("INSERT INTO observations VALUES (1)", "25006"),
        ("CREATE TABLE x (a INTEGER)", "25006"),
        ("ATTACH 'x.db'", "25006"),
        ("SET client_encoding = 'LATIN1'", "22023"),
        (
            "SELECT 1 FROM pg_class, pg_read_file('/etc/passwd')",
            "42501",
        ),
        (
            "SELECT repeat('x', 1000000000), relname FROM pg_class",
            "42501",
        ),
        (
            "WITH RECURSIVE a AS (SELECT 'x' AS x UNION ALL SELECT x || x FROM a) SELECT relname FROM a, pg_class",
            "42501",
        ),
    ] {
        let error = client.simple_query(sql).await.err();
        let error = error.unwrap_or_else(|| panic!("`{sql}` runs"));
        assert_eq!(code(&error), wanted, "{sql}: {error:?}");
    }
    let error = client
        .simple_query("SELECT 1;\nSELECT servce FROM observations")
        .await
        .err()
        .unwrap();
    let error = error.as_db_error().unwrap();
    let place = tokio_postgres::error::ErrorPosition::Original(18);
    assert_eq!(error.position(), Some(&place));
    assert_eq!(
        error.hint().map(|hint| hint.contains("`service`")),
        Some(true)
    );
    // The connection is as good as before.
    client.simple_query("SELECT 1").await.unwrap();
}

/// What the session answers by itself, as clients expect, and what a driver may ask the catalog.
const ANSWERED: &[&str] = &[
    "",
    "-- nothing",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SET threads = 1",
    "RESET threads",
    "SHOW search_path",
    "SELECT current_setting('temp_directory')",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_settings",
    "SELECT * FROM pg_settings",
];
/// Two statements in one text are what the simple protocol is for: each is judged by itself.
const TWO: &[&str] = &["SELECT 1; SELECT 2", "EXPLAIN SELECT 1; SELECT 2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_that_reaches_beyond_the_results_is_refused_in_both_protocols() {
    let runtime = started().await;
    let client = connect(&runtime, TOKEN).await.unwrap();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/sql/hostile.json");
    let statements = std::fs::read_to_string(path).expect("the statements are there");
    let statements: Vec<(String, String)> = serde_json::from_str(&statements).expect("pairs");
    assert!(statements.len() >= 100, "{}", statements.len());
    for (sql, _) in &statements {
        // The protocol has no such text.
        if sql.contains('\0') || ANSWERED.contains(&sql.as_str()) {
            continue;
        }
        let simple = client.simple_query(sql).await.err();
        let extended = client.query(sql, &[]).await.err();
        let is_two = TWO.contains(&sql.as_str());
        assert_eq!(simple.is_none(), is_two, "{sql}: {simple:?}");
        let refusals = simple.iter().chain(&extended).map(code);
        let refusals: Vec<String> = refusals.collect();
        let is_refusal = |code: &String| {
            ["42", "25", "0A", "22"]
                .iter()
                .any(|class| code.starts_with(class))
        };
        assert!(
            extended.is_some() && refusals.iter().all(is_refusal),
            "{sql}: {refusals:?}"
        );
    }
    let running = runtime.api().list("/api/v1/sql").await;
    assert!(running.is_empty(), "{running:?}");
    for sql in ANSWERED {
        client.simple_query(sql).await.unwrap();
    }
    client.query_one("SELECT 42", &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_kept_up_as_clients_expect() {
    let runtime = started().await;
    let client = connect(&runtime, TOKEN).await.unwrap();
    client
        .batch_execute("BEGIN READ ONLY; SELECT 1")
        .await
        .unwrap();
    client
        .batch_execute("SELECT nothing_of_this")
        .await
        .unwrap_err();
    let error = client.batch_execute("SELECT 1").await.unwrap_err();
    assert_eq!(code(&error), "25P02");
    client.batch_execute("ROLLBACK; SELECT 1").await.unwrap();
    client
        .batch_execute("SET statement_timeout = '1min'; SHOW statement_timeout; RESET ALL; DISCARD ALL; -- ping")
        .await
        .unwrap();
    let shown = client
        .simple_query("SHOW server_version_num")
        .await
        .unwrap();
    let shown = shown.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    assert_eq!(shown, Some("160000"));
    assert!(client.simple_query("").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_is_cancelled_and_listed_over_http() {
    let runtime = started().await;
    let client = connect(&runtime, TOKEN).await.unwrap();
    let cancel = client.cancel_token();
    let long =
        "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range = 7";
    let running = tokio::spawn(async move { client.simple_query(long).await.map(drop) });
    let api = runtime.api();
    wait_for("the query in the list", PATIENCE, async || {
        let list = api.get("/api/v1/sql").await.expect(200);
        let queries = list["items"].as_array().unwrap();
        if queries.iter().any(|query| query["query"] == long) {
            Ok(())
        } else {
            Err(list.to_string())
        }
    })
    .await;
    cancel.cancel_query(NoTls).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(60), running).await;
    let error = ended.expect("it ends").unwrap().unwrap_err();
    assert_eq!(code(&error), "57014");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_cut_ends_with_an_error() {
    let runtime = started().await;
    let client = connect(&runtime, TOKEN).await.unwrap();
    let error = client
        .query("SELECT * FROM range(1000001)", &[])
        .await
        .err()
        .unwrap();
    assert_eq!(code(&error), "54000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_lie_end_their_connection_and_nothing_else() {
    let runtime = started().await;
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0, 0, 0, 4, 0, 0, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff, 0, 3, 0, 0],
        &[0, 0, 0, 9, 0, 2, 0, 0, 0],
        // A cancel request of somebody who guesses.
        &[0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 2],
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", runtime.wire_port()))
            .await
            .unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer));
        // An end or a reset, and soon.
        let _ = read.await.expect("the connection ends");
    }
    let client = connect(&runtime, TOKEN).await.unwrap();
    client.simple_query("SELECT 1").await.unwrap();
    assert!(!runtime.logs().contains("panicked"), "{}", runtime.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_machines_need_tls() {
    let mut runtime = TestRuntime::builder()
        .env("EXTRACK_PG_LISTEN", "0.0.0.0:0")
        .prepare();
    runtime.start_unready();
    wait_for("the refusal", PATIENCE, async || {
        let logs = runtime.logs();
        if logs.contains("--pg-tls-cert") {
            Ok(())
        } else {
            Err(logs)
        }
    })
    .await;

    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("wire");
    let identity = authority.sign(&["localhost"], -1, 30);
    let [certificate, key] = identity.write_to(folder.path());
    let authority_file = folder.path().join("authority.pem");
    std::fs::write(&authority_file, authority.certificate()).unwrap();
    let secure = TestRuntime::builder()
        .env("EXTRACK_PG_LISTEN", "127.0.0.1:0")
        .env("EXTRACK_PG_TLS_CERT", certificate.to_str().unwrap())
        .env("EXTRACK_PG_TLS_KEY", key.to_str().unwrap())
        .start()
        .await;
    let target = format!(
        "host=localhost hostaddr=127.0.0.1 port={} dbname=extrack user=x sslmode=verify-full sslrootcert={}",
        secure.wire_port(),
        authority_file.display()
    );
    let said = secure
        .psql(&["--dbname", &target, "-Atc", "SELECT 41 + 1"])
        .await;
    assert_eq!(said.out.trim(), "42", "{said:?}");
}

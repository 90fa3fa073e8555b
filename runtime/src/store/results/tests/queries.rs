//! Queries of users.

use super::*;

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

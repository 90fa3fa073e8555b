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
    let big = "SELECT string_agg(range::VARCHAR, '') FROM range(60000) GROUP BY range % 4";
    let big = format!("SELECT * FROM ({big}), range(1000)");
    let answer = running.store.query(&big, limits()).await.unwrap();
    assert!(
        answer.truncated && answer.rows.len() < 600,
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
    assert!(matches!(invalid, Err(QueryError::Invalid(text)) if text.message.contains("nothing")));
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

/// Runs without end, and makes no row meanwhile.
const ENDLESS: &str =
    "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range + b.range = 1";

#[tokio::test]
async fn rows_come_in_batches_no_faster_than_they_are_read() {
    let running = Running::start();
    let many = QueryLimits {
        rows: usize::MAX,
        bytes: usize::MAX,
        ..limits()
    };
    let request = QueryRequest::new("SELECT range AS n FROM range(1000000)", many);
    let mut stream = running.store.query_stream(request).await.unwrap();
    assert_eq!(stream.columns()[0].name, "n");
    let (mut rows, mut batches) = (0, 0);
    while let Some(batch) = stream.next().await.unwrap() {
        assert_eq!(batch.schema(), stream.schema());
        rows += batch.num_rows();
        batches += 1;
    }
    assert_eq!((rows, stream.is_truncated()), (1_000_000, Some(false)));
    assert!(batches > 100, "{batches}");

    // More than may wait: the query is still there when the reader goes, and ends with it.
    let endless = QueryRequest::new("SELECT * FROM range(1000000000000)", many);
    let mut stream = running.store.query_stream(endless).await.unwrap();
    assert!(stream.next().await.unwrap().is_some());
    drop(stream);
    let all = running.store.queries.acquire_many(QUERIES as u32);
    let all = tokio::time::timeout(Duration::from_secs(60), all).await;
    drop(all.expect("the slots are free again").unwrap());
    running.stop().await;
}

#[tokio::test]
async fn a_cut_by_rows_or_bytes_is_reported_at_the_end() {
    let running = Running::start();
    for (rows, bytes, wanted) in [
        (5_000, usize::MAX, (Some(5_000), true)),
        (usize::MAX, 1, (None, true)),
        (10_000, usize::MAX, (Some(10_000), false)),
    ] {
        let limits = QueryLimits {
            rows,
            bytes,
            ..limits()
        };
        let request = QueryRequest::new("SELECT * FROM range(10000)", limits);
        let mut stream = running.store.query_stream(request).await.unwrap();
        assert_eq!(stream.is_truncated(), None);
        let mut found = 0;
        while let Some(batch) = stream.next().await.unwrap() {
            found += batch.num_rows();
        }
        assert_eq!(stream.is_truncated(), Some(wanted.1));
        match wanted.0 {
            Some(rows) => assert_eq!(found, rows),
            None => assert!((1..10_000).contains(&found), "{found}"),
        }
    }
    running.stop().await;
}

#[tokio::test]
async fn a_cancelled_query_ends_and_its_slot_is_free() {
    let running = Running::start();
    let long = QueryLimits {
        timeout: Duration::from_secs(600),
        ..limits()
    };
    for _ in 0..QUERIES + 1 {
        let request = QueryRequest::new(ENDLESS, long);
        let cancel = request.cancel.clone();
        let cancelled = async {
            tokio::task::yield_now().await;
            cancel.cancel();
        };
        let (outcome, ()) = tokio::join!(running.store.query_stream(request), cancelled);
        let outcome = match outcome {
            Ok(mut stream) => stream.next().await.map(drop),
            Err(error) => Err(error),
        };
        assert!(matches!(outcome, Err(QueryError::Cancelled)), "{outcome:?}");
    }
    assert_eq!(running.one("SELECT 1").await, json!(1));
    running.stop().await;
}

#[tokio::test]
async fn a_statement_that_runs_shows_how_far_it_is() {
    let running = Running::start();
    for run_id in 1..2_000 {
        running
            .store
            .observation_record(Arc::new(observation(run_id)));
    }
    running
        .store
        .observation_append_durable(Arc::new(observation(2_000)))
        .await
        .unwrap();
    let sql = "SELECT sum(a.run_id * b.run_id + c.run_id * d.run_id) \
               FROM observations a, observations b, observations c, observations d";
    let request = QueryRequest::new(
        sql,
        QueryLimits {
            timeout: Duration::from_secs(600),
            ..limits()
        },
    );
    let (progress, cancel) = (request.progress.clone(), request.cancel.clone());
    assert_eq!(progress.percent(), None);
    let shown = async {
        while progress.percent().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let asked = async { running.store.query_stream(request).await.map(drop) };
    let both = async { tokio::join!(asked, shown) };
    let both = tokio::time::timeout(Duration::from_secs(120), both);
    let (ended, ()) = both.await.expect("the database has an estimate");
    assert!(matches!(ended, Err(QueryError::Cancelled)), "{ended:?}");
    assert!(progress.percent().is_some_and(|percent| percent <= 100));
    running.stop().await;
}

#[tokio::test]
async fn values_are_bound_with_their_types() {
    let running = Running::start();
    running
        .store
        .observation_append_durable(Arc::new(observation(1)))
        .await
        .unwrap();
    let ask = async |sql: &str, params: Value| {
        let request = QueryRequest {
            params: match params {
                Value::Array(values) => QueryParams::Positional(values),
                Value::Object(values) => QueryParams::Named(values),
                other => panic!("{other}"),
            },
            ..QueryRequest::new(sql, limits())
        };
        let stream = running.store.query_stream(request).await?;
        Ok::<_, QueryError>(json!(stream.into_answer().await?.rows))
    };
    for (sql, params, wanted) in [
        (
            "SELECT $1, $2, $3, $4, $1",
            json!(["a'b", 9007199254740993_i64, 1.5, null]),
            json!([["a'b", 9007199254740993_i64, 1.5, null, "a'b"]]),
        ),
        (
            "SELECT count(*) FROM observations WHERE service = $service AND latency_us > $least LIMIT $n",
            json!({"service": "shop-api", "least": 12499, "n": 5}),
            json!([[1]]),
        ),
        // 2026-11-23T00:01:00Z
        (
            "SELECT count(*) FILTER (ts = $at), count(*) FILTER (ts < $at) FROM observations",
            json!({"at": "2026-11-23T02:01:00+02:00"}),
            json!([[1, 0]]),
        ),
        (
            "SELECT $1",
            json!(["2026-11-23T02:01:00+02:00"]),
            json!([["2026-11-23T00:01:00Z"]]),
        ),
    ] {
        let found = ask(sql, params)
            .await
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(found, wanted, "{sql}");
    }
    for (sql, params, wanted) in [
        ("SELECT $1, $2", json!([1]), "`$2` has no value"),
        ("SELECT $a", json!({"b": 1}), "`$a` has no value"),
        ("SELECT $1", json!([[1]]), "`$1` must be"),
        ("SELECT 1", json!([1]), "no parameter `$1`"),
    ] {
        let error = ask(sql, params).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{sql}: {error}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_fault_that_the_database_finds_has_its_place() {
    let running = Running::start();
    for (sql, place, candidate) in [
        ("SELECT 1,\n  statsu FROM observations", (2, 3), "status"),
        (
            "EXPLAIN  SELECT statsu FROM observations",
            (1, 17),
            "status",
        ),
        ("SELECT 'x'::INTEGER", (1, 11), ""),
    ] {
        let found = running.store.query(sql, limits()).await;
        let Err(QueryError::Invalid(found)) = found else {
            panic!("{sql}: {found:?}");
        };
        let found_place = found.place.as_ref().map(|place| (place.line, place.column));
        assert_eq!(found_place, Some(place), "{sql}: {found:?}");
        let likely = found.candidates.iter().any(|name| name == candidate);
        assert_eq!(likely, !candidate.is_empty(), "{sql}: {found:?}");
        assert!(!found.message.contains("LINE"), "{found}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_process_that_sends_what_is_no_answer_is_an_error_and_nothing_more() {
    let mark = r"\n\000extrack answers\000\n";
    let head = r#"{"columns":[{"name":"n","type":"INTEGER"}]}"#;
    let head = format!(r"{mark}\001\{:03o}\000\000\000{head}", head.len());
    let noise = "/bin/cat /dev/urandom";
    for script in [
        "true".to_owned(),
        noise.to_owned(),
        format!("printf '{mark}'; {noise}"),
        format!(r"printf '{mark}\002\377\377\377\377'"),
        format!(r"printf '{mark}\003\002\000\000\000{{}}'"),
        format!(r"printf '{head}\003\002\000\000\000{{}}'"),
        format!(r"printf '{head}\002\000\001\000\000'; {noise}"),
        format!(r"printf '{head}\002\000\001\000\000\377\377\377\377\200\000\000\000'; {noise}"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let arguments = ["-c", script.as_str()].map(Into::into);
        let settings = ResultSettings {
            sql: SqlSettings {
                program: Some(Program::new("/bin/sh".into(), arguments)),
                ..SqlSettings::default()
            },
            ..ResultSettings::default()
        };
        let (store, writer) = ResultStore::open(dir.path(), settings).unwrap();
        let writer = writer.start().unwrap();
        let error = store.query("SELECT 1", limits()).await.unwrap_err();
        assert!(matches!(error, QueryError::Crashed(_)), "{script}: {error}");
        store.close().await.unwrap();
        writer.join().unwrap().unwrap();
    }
}

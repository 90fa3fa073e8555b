//! Answers in each format, cuts, cancelled queries, parameters, and what can be asked.

use std::io::Cursor;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use extrack_tests::{Api, PATIENCE, Reply, TestRuntime, wait_for};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use reqwest::Method;
use serde_json::{Value, json};

/// Runs until it is ended, and makes no row meanwhile.
pub(super) const ENDLESS: &str =
    "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE a.range * b.range % 7 = 3";

/// A row with values that lose something when they are read carelessly.
const EXACT: &str = "SELECT 9007199254740993::BIGINT AS n, 'x,\"y' AS t, NULL AS nothing, \
                     12345678901234567.89::DECIMAL(38,2) AS d, TIMESTAMP '2026-11-23 01:02:03' AS at";

async fn ask(api: &Api, body: Value) -> Reply {
    api.post("/api/v1/sql", &body).await
}

/// The bytes of an answer.
async fn bytes(api: &Api, body: Value) -> (String, Vec<u8>) {
    let request = api.request(Method::POST, "/api/v1/sql").json(&body);
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let header = response.headers().get("content-type").cloned();
    let media_type = header.expect("a media type").to_str().unwrap().to_owned();
    let body = response.bytes().await.expect("a whole body");
    (media_type, body.to_vec())
}

fn assert_exact(batch: &RecordBatch) {
    assert_eq!(batch.num_rows(), 1);
    let column = |name: &str| batch.column_by_name(name).expect("a column");
    let number = column("n").as_primitive::<Int64Type>().value(0);
    assert_eq!(number, 9_007_199_254_740_993);
    assert_eq!(column("t").as_string::<i32>().value(0), "x,\"y");
    assert!(column("nothing").is_null(0));
    let decimal = column("d").as_primitive::<Decimal128Type>();
    assert_eq!(decimal.value_as_string(0), "12345678901234567.89");
    let moment = column("at").as_primitive::<TimestampMicrosecondType>();
    assert_eq!(moment.value(0), 1_795_395_723_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_format_is_read_back_with_exact_values() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let whole = ask(&api, json!({"query": EXACT})).await;
    assert!(!whole.header("extrack-query-id").is_empty());
    assert_eq!(whole.header("extrack-truncated"), "false");
    let id = whole.header("extrack-query-id").to_owned();
    let whole = whole.expect(200);
    assert_eq!(whole["queryId"], id);
    let data_to = whole["dataTo"].as_str().expect("a moment");
    assert!(data_to.parse::<jiff::Timestamp>().is_ok(), "{data_to}");
    let row = json!([
        9_007_199_254_740_993_i64,
        "x,\"y",
        null,
        "12345678901234567.89",
        "2026-11-23T01:02:03Z"
    ]);
    assert_eq!(whole["rows"], json!([row]));

    let lines = ask(&api, json!({"query": EXACT, "format": "ndjson"})).await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let line: Value = serde_json::from_str(lines.text.trim_end()).expect("one line of JSON");
    let values: Vec<&Value> = line.as_object().unwrap().values().collect();
    assert_eq!(json!(values), row);

    let csv = ask(&api, json!({"query": EXACT, "format": "csv"})).await;
    assert_eq!(
        csv.text,
        "n,t,nothing,d,at\r\n9007199254740993,\"x,\"\"y\",,12345678901234567.89,2026-11-23T01:02:03Z\r\n"
    );

    let (media_type, stream) = bytes(&api, json!({"query": EXACT, "format": "arrow"})).await;
    assert_eq!(media_type, "application/vnd.apache.arrow.stream");
    let batches = StreamReader::try_new(Cursor::new(stream), None).expect("an Arrow stream");
    let batches: Vec<RecordBatch> = batches.map(|batch| batch.expect("a batch")).collect();
    assert_exact(&batches[0]);

    let (media_type, file) = bytes(&api, json!({"query": EXACT, "format": "parquet"})).await;
    assert_eq!(media_type, "application/vnd.apache.parquet");
    let file = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(file));
    let batches = file.expect("a Parquet file").build().unwrap();
    let batches: Vec<RecordBatch> = batches.map(|batch| batch.expect("a batch")).collect();
    assert_exact(&batches[0]);

    let request = api.request(Method::POST, "/api/v1/sql");
    let request = request
        .header("accept", "text/csv")
        .json(&json!({"query": "SELECT 1 AS a"}));
    assert_eq!(api.send(request).await.text, "a\r\n1\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_marked_in_each_format() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    for (limit, is_cut) in [(5, "true"), (10, "false")] {
        for format in ["json", "ndjson", "csv", "arrow", "parquet"] {
            let body = json!({"query": "FROM range(10)", "format": format, "limit": limit});
            let request = api.request(Method::POST, "/api/v1/sql").json(&body);
            let response = request.send().await.unwrap();
            let header = response.headers().get("extrack-truncated").cloned();
            assert_eq!(header.expect("a header"), is_cut, "{format}");
            let body = response.bytes().await.unwrap();
            let text = String::from_utf8_lossy(&body);
            match format {
                "json" => assert!(text.contains(&format!("\"truncated\":{is_cut}"))),
                "ndjson" => {
                    let last = text.lines().last().unwrap();
                    let mark = "{\"$extrack\":{\"truncated\":true}}";
                    assert_eq!(last == mark, is_cut == "true", "{last}");
                }
                "parquet" => {
                    let file = ParquetRecordBatchReaderBuilder::try_new(body.clone()).unwrap();
                    let marks = file.metadata().file_metadata().key_value_metadata();
                    let mark = marks
                        .unwrap()
                        .iter()
                        .find(|mark| mark.key == "extrack.truncated");
                    assert_eq!(mark.unwrap().value.as_deref(), Some(is_cut));
                }
                _ => {}
            }
        }
    }
    // Of a long answer the head does not know it.
    let many = "SELECT range AS n FROM range(300000)";
    let file = runtime.data().join("many.csv");
    let path = file.display().to_string();
    let cut = runtime
        .cli(["sql", "-o", &path, "--limit", "200000", many])
        .await;
    assert!(cut.err.contains("cut off"), "{cut:?}");
    let rows = std::fs::read_to_string(&file).unwrap().lines().count();
    assert_eq!(rows, 200_001);
    let whole = runtime.cli(["sql", "-o", &path, many]).await;
    assert!(!whole.err.contains("cut off"), "{whole:?}");
    let rows = std::fs::read_to_string(&file).unwrap().lines().count();
    assert_eq!(rows, 300_001);
    let faults = ask(&api, json!({"query": "SELECT 1", "limit": 0})).await;
    faults.expect_problem(400);
}

async fn running(api: &Api) -> Vec<String> {
    let list = api.get("/api/v1/sql").await.expect(200);
    let items = list["items"].as_array().expect("a list").iter();
    items
        .map(|item| item["queryId"].as_str().unwrap().to_owned())
        .collect()
}

pub(super) async fn runs(api: &Api, wanted: &[&str]) {
    wait_for("the queries that run", PATIENCE, async || {
        let found = running(api).await;
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_ends_when_it_is_cancelled_or_its_client_goes() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = json!({"name": "other", "scopes": ["sql"]});
    let token = api.post("/api/v1/tokens", &spec).await.expect(201);
    let other = Api::new(runtime.url(), token["token"].as_str());
    let long = |id: &str| {
        let request = api.request(Method::POST, "/api/v1/sql");
        request
            .header("extrack-query-id", id)
            .json(&json!({"query": ENDLESS}))
    };

    let asking = tokio::spawn({
        let (api, request) = (api.clone(), long("long-1"));
        async move { api.send(request).await }
    });
    runs(&api, &["long-1"]).await;
    assert!(running(&other).await.is_empty(), "of another token");
    other.delete("/api/v1/sql/long-1").await.expect_problem(404);
    let taken = api.send(long("long-1")).await;
    taken.expect_problem(409);
    assert_eq!(api.delete("/api/v1/sql/long-1").await.status, 204);
    let problem = asking.await.unwrap().expect_problem(422);
    let kind = problem["type"].as_str().unwrap();
    assert!(kind.ends_with("query-cancelled"), "{problem}");
    runs(&api, &[]).await;
    api.delete("/api/v1/sql/long-1").await.expect_problem(404);

    // Ctrl-C on the command line.
    let arguments = ["sql", ENDLESS];
    let is_running = async || {
        wait_for("a query", PATIENCE, async || {
            let list = running(&api).await;
            list.first().map(drop).ok_or_else(|| "none".to_owned())
        })
        .await;
    };
    let said = runtime.cli_interrupted(arguments, is_running()).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("cancelled"), "{said:?}");
    runs(&api, &[]).await;

    // More clients than there are places for queries go away.
    for id in ["gone-1", "gone-2", "gone-3"] {
        let asking = tokio::spawn({
            let (api, request) = (api.clone(), long(id));
            async move { api.send(request).await }
        });
        runs(&api, &[id]).await;
        asking.abort();
        runs(&api, &[]).await;
    }
    assert_eq!(api.sql("SELECT 42").await, [[json!(42)]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_runs_shows_how_far_it_is() {
    const SERVICES: &str = r#"
services:
  - {name: Pay, baseUrl: "https://api.pay.example/v1", monitoring: {interval: 86400}}
"#;
    let runtime = TestRuntime::builder().services(SERVICES).start().await;
    let api = runtime.api();
    // Something to read; what takes long is to join it.
    let begin_ms = jiff::Timestamp::now().as_millisecond() - 60_000;
    let line = |id: i64| json!({"id": format!("c{id}"), "ts": begin_ms + id, "service": "pay", "method": "GET", "path": "/v1/pay", "status": 200, "latencyMs": id});
    let lines: String = (0..2_000).map(|id| format!("{}\n", line(id))).collect();
    let request = api.request(Method::POST, "/api/v1/calls");
    let request = request.header("content-type", "application/x-ndjson");
    let reported = api.send(request.body(lines)).await.expect(200);
    assert_eq!(reported["accepted"], 2_000, "{reported}");
    let query = "SELECT sum(a.latency_us::DOUBLE * b.latency_us + c.latency_us::DOUBLE * d.latency_us) \
                 FROM calls a, calls b, calls c, calls d";
    let asking = tokio::spawn({
        let request = api.request(Method::POST, "/api/v1/sql");
        let request = request.header("extrack-query-id", "far-1");
        let request = request.json(&json!({"query": query, "format": "ndjson"}));
        let api = api.clone();
        async move { api.send(request).await }
    });
    let percent = wait_for("an estimate", PATIENCE, async || {
        let reply = api.get("/api/v1/sql/far-1").await;
        let body: Value = serde_json::from_str(&reply.text).expect("an object");
        body["percent"].as_u64().ok_or_else(|| format!("{reply:?}"))
    })
    .await;
    assert!(percent <= 100, "{percent}");
    let list = api.get("/api/v1/sql").await.expect(200);
    assert!(list["items"][0]["percent"].is_u64(), "{list}");
    assert_eq!(api.delete("/api/v1/sql/far-1").await.status, 204);
    asking.await.unwrap().expect_problem(422);
    api.get("/api/v1/sql/far-1").await.expect_problem(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_shows_its_place_and_what_was_meant() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let query = "SELECT service,\n       statsu\nFROM observations";
    let problem = ask(&api, json!({"query": query})).await.expect_problem(422);
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(2), &json!(8))
    );
    assert_eq!(problem["caret"], "       statsu\n       ^");
    let candidates = problem["candidates"].as_array().unwrap();
    assert!(candidates.contains(&json!("status")), "{problem}");

    let query = "SELECT 1 FROM observation";
    let problem = ask(&api, json!({"query": query})).await.expect_problem(422);
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&json!(1), &json!(15))
    );
    assert_eq!(problem["candidates"], json!(["observations"]));

    let problem = ask(&api, json!({"query": "SELECT 1 cost"}))
        .await
        .expect_problem(422);
    assert!(
        problem["detail"].as_str().unwrap().contains("`AS cost`"),
        "{problem}"
    );
    assert_eq!(problem["column"], 10);

    let said = runtime.cli(["sql", query]).await;
    assert!(said.err.contains("\n                ^"), "{}", said.err);
    assert!(
        said.err.contains("did you mean `observations`?"),
        "{}",
        said.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_are_bound_and_their_faults_named() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let query =
        "SELECT $at < TIMESTAMP '2026-01-01 08:00:01' AND $at > '2026-01-01 07:59:59', $text";
    let params = json!({"at": "2026-01-01T10:00:00+02:00", "text": "'; DROP VIEW services"});
    let answer = ask(&api, json!({"query": query, "params": params}))
        .await
        .expect(200);
    assert_eq!(answer["rows"], json!([[true, "'; DROP VIEW services"]]));
    let problem = ask(&api, json!({"query": query, "params": {"at": 1}})).await;
    let problem = problem.expect_problem(422);
    assert_eq!(problem["faults"][0]["pointer"], "/params/text");
    let lost = "SELECT 1 FROM observations WHERE ts > '2026-01-01T10:00:00+02:00'";
    let problem = ask(&api, json!({"query": lost})).await.expect_problem(422);
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("2026-01-01T08:00:00Z")
    );
    let said = runtime
        .cli(["sql", "--json", "--param", "1=7", "SELECT $1 + 1"])
        .await;
    let said: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(said["rows"], json!([[8]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_lists_views_columns_and_macros() {
    let runtime = TestRuntime::builder().start().await;
    let schema = runtime.api().get("/api/v1/sql/schema").await.expect(200);
    let views = schema["views"].as_array().unwrap();
    let view = views
        .iter()
        .find(|view| view["name"] == "observations")
        .unwrap();
    assert!(!view["description"].as_str().unwrap().is_empty());
    let columns = view["columns"].as_array().unwrap();
    let ts = json!({"name": "ts", "type": "TIMESTAMP", "description": "moment the run was due"});
    assert!(columns.contains(&ts), "{columns:?}");
    let macros = schema["macros"].as_array().unwrap();
    assert!(
        macros.iter().any(|found| found["name"] == "utc_now"),
        "{macros:?}"
    );
    let said = runtime.cli(["sql", "\\d observations"]).await;
    assert!(said.out.contains("moment the run was due"), "{said:?}");
    let said = runtime.cli(["sql", "\\d"]).await;
    assert!(said.out.contains("rate_limits"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_query_is_checked_kept_and_run_with_its_values() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = json!({"name": "sum", "query": "SELECT $a + $b AS c", "defaults": {"b": 2}});
    let saved = api.post("/api/v1/queries", &spec).await.expect(201);
    assert_eq!(saved["parameters"], json!(["a", "b"]));
    api.post("/api/v1/queries", &spec).await.expect_problem(409);
    let run = "/api/v1/queries/sum/run";
    let answer = api
        .post(run, &json!({"params": {"a": 40}}))
        .await
        .expect(200);
    assert_eq!(answer["rows"], json!([[42]]));
    let csv = api
        .post(run, &json!({"params": {"a": 1, "b": 1}, "format": "csv"}))
        .await;
    assert_eq!(csv.text, "c\r\n2\r\n");
    let problem = api.post(run, &json!({})).await.expect_problem(422);
    assert_eq!(problem["faults"][0]["pointer"], "/params/a");

    let harmful = json!({"query": "DROP VIEW observations"});
    api.put("/api/v1/queries/sum", &harmful)
        .await
        .expect_problem(422);
    let other = json!({"query": "SELECT 1 AS one"});
    api.put("/api/v1/queries/sum", &other).await.expect(200);
    api.put("/api/v1/queries/none", &other)
        .await
        .expect_problem(404);
    let audit = api.list("/api/v1/audit?subject=query:sum").await;
    let actions: Vec<&Value> = audit.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["query.replace", "query.create"]);

    // Reading and running takes `sql`, changing takes `write`.
    let spec = json!({"name": "asker", "scopes": ["sql"]});
    let token = api.post("/api/v1/tokens", &spec).await.expect(201);
    let asker = Api::new(runtime.url(), token["token"].as_str());
    asker.post(run, &json!({})).await.expect(200);
    asker
        .delete("/api/v1/queries/sum")
        .await
        .expect_problem(403);

    let save = [
        "queries",
        "save",
        "twice",
        "--default",
        "n=2",
        "SELECT $n * $of AS m",
    ];
    let said = runtime.cli(save).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    let run = ["queries", "run", "twice", "--param", "of=21", "--csv"];
    assert_eq!(runtime.cli(run).await.out.trim_end(), "m\r\n42");
    assert!(runtime.cli(["queries", "list"]).await.out.contains("n, of"));
    assert_eq!(
        runtime.cli(["queries", "delete", "twice"]).await.code,
        Some(0)
    );
    assert_eq!(
        runtime.cli(["queries", "show", "twice"]).await.code,
        Some(1)
    );
}

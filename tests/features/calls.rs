//! Calls that did not pass the gateway: reported by line, as spans and from logs, each of them counted
//! once whatever happens.

use std::io::Write as _;

use extrack_tests::runtime::text;
use extrack_tests::{Api, PATIENCE, Reply, TestRuntime, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

/// Room for the compiled plugins and little more.
const DISK_MB: u32 = 64;
/// 2026-11-23T07:43:20Z
const NOW: i64 = 1_795_419_800_000;

/// Services that nobody checks.
const SERVICES: &str = r#"
services:
  - {name: Pay, baseUrl: "https://api.pay.example/v1", monitoring: {interval: 86400}}
  - {name: Llm, baseUrl: "https://llm.example", monitoring: {interval: 86400}}
"#;

async fn started() -> TestRuntime {
    TestRuntime::builder().services(SERVICES).start().await
}

fn line(id: i64) -> Value {
    json!({
        "id": format!("c{id}"), "ts": NOW + id * 100, "service": "pay", "consumer": "shop", "method": "post",
        "path": format!("/v1/charges/{}?secret=hidden-{id}", 100_000 + id), "status": 200 + id % 2 * 300,
        "latencyMs": 12.5, "units": {"tokens": 3, "amount": "0.10"},
    })
}

fn lines(ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter()
        .map(|id| format!("{}\n", line(id)))
        .collect()
}

async fn post(api: &Api, body: impl Into<reqwest::Body>) -> Reply {
    let request = api.request(Method::POST, "/api/v1/calls");
    api.send(
        request
            .header("content-type", "application/x-ndjson")
            .body(body),
    )
    .await
}

async fn report(api: &Api, ids: impl IntoIterator<Item = i64>) -> (u64, u64) {
    let answer = post(api, lines(ids)).await.expect(200);
    assert_eq!(answer["refused"], json!([]));
    let number = |key: &str| answer[key].as_u64().expect("a number");
    (number("accepted"), number("duplicates"))
}

/// Rows, different ids among them, and calls by the totals.
async fn counted(api: &Api) -> Vec<i64> {
    let rows = api
        .sql("SELECT (SELECT count(*) FROM calls), (SELECT count(DISTINCT call_id) FROM calls), coalesce(sum(calls), 0)::BIGINT FROM usage_totals")
        .await;
    rows[0]
        .iter()
        .map(|value| value.as_i64().expect("a number"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_reported_twice_count_once_also_after_a_kill() {
    let mut runtime = started().await;
    let api = runtime.api();
    assert_eq!(report(&api, 0..20).await, (20, 0));
    assert_eq!(report(&api, 10..30).await, (10, 10));
    let answer = post(&api, lines(30..40)).await;
    runtime.kill().await;
    assert_eq!(
        answer.expect(200)["accepted"],
        10,
        "what was answered survives"
    );
    runtime.start().await;
    let api = runtime.api();
    // What the last start left is read first; until then the sender is asked to come again.
    wait_for("the calls to be known again", PATIENCE, async || {
        let reply = post(&api, lines(0..45)).await;
        if reply.status == 503 {
            assert!(!reply.header("retry-after").is_empty());
            return Err(reply.text);
        }
        let answer = reply.expect(200);
        assert_eq!(
            (&answer["accepted"], &answer["duplicates"]),
            (&json!(5), &json!(40))
        );
        Ok(())
    })
    .await;
    assert_eq!(counted(&api).await, [45, 45, 45]);
    let calls = api
        .sql("SELECT DISTINCT service, consumer, method, route, source, ended, latency_us, attempts, units::VARCHAR FROM calls")
        .await;
    let units = "{\"amount\":0.1,\"tokens\":3}";
    assert_eq!(
        calls,
        [[
            json!("pay"),
            json!("shop"),
            json!("POST"),
            json!("/v1/charges/{id}"),
            json!("api"),
            json!("complete"),
            json!(12_500),
            json!(1),
            json!(units)
        ]]
    );
    let totals = api
        .sql("SELECT status_class, sum(calls)::BIGINT, sum((units->>'amount')::DECIMAL(18,2))::VARCHAR FROM usage_totals GROUP BY status_class ORDER BY status_class")
        .await;
    assert_eq!(
        totals,
        [
            [json!("2xx"), json!(23), json!("2.30")],
            [json!("5xx"), json!(22), json!("2.20")]
        ]
    );
    // By minute, rows and totals agree.
    let differences = api
        .sql_count(
            "WITH listed AS (SELECT date_trunc('minute', ts) AS minute, count(*) AS calls FROM calls GROUP BY ALL), \
                 counted AS (SELECT ts AS minute, sum(calls) AS calls FROM usage_totals GROUP BY ALL) \
             SELECT count(*) FROM listed FULL JOIN counted USING (minute) WHERE listed.calls IS DISTINCT FROM counted.calls",
        )
        .await;
    assert_eq!(differences, 0);
    assert_eq!(
        api.sql_count("SELECT count(*) FROM calls WHERE route LIKE '%hidden%'")
            .await,
        0
    );
    // No call of the gateway was ever counted, so none can be unknown.
    assert!(runtime.data().join("calls.running").exists());
    let ready = api.get("/readyz").await.text;
    assert!(!ready.contains("did not stop in order"), "{ready}");
    runtime.restart().await;
    assert_eq!(counted(&runtime.api()).await, [45, 45, 45]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_are_no_calls_are_refused_one_by_one() {
    let runtime = started().await;
    let api = runtime.api();
    let good = line(1);
    let with = |key: &str, value: Value| {
        let mut line = line(2);
        line[key] = value;
        line
    };
    let mut both = with("route", json!("/x"));
    let mut neither = both.clone();
    neither
        .as_object_mut()
        .expect("an object")
        .retain(|key, _| key != "path" && key != "route");
    both["id"] = json!("both");
    let body = [
        good.to_string(),
        "not json".to_owned(),
        with("service", json!("nobody")).to_string(),
        String::new(),
        with("ts", json!("yesterday")).to_string(),
        with("ts", json!(1_795_419_800)).to_string(),
        with("status", json!(99)).to_string(),
        with("units", json!({"Tokens": 1})).to_string(),
        with("units", json!({"tokens": -1})).to_string(),
        with("path", json!("x")).to_string(),
        with("id", json!("")).to_string(),
        with("extra", json!(1)).to_string(),
        both.to_string(),
        neither.to_string(),
        "x".repeat(17_000),
    ]
    .join("\n");
    let answer = post(&api, body).await.expect(200);
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(0))
    );
    let refused: Vec<(u64, &str)> = answer["refused"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| {
            (
                entry["line"].as_u64().expect("a number"),
                entry["reason"].as_str().expect("a text"),
            )
        })
        .collect();
    let wanted = [
        (2, "expected"),
        (3, "there is no service `nobody`"),
        (5, "must be a moment with an offset"),
        (6, "a number counts milliseconds"),
        (7, "100 to 599"),
        (8, "lower-case letters"),
        (9, "`units.tokens` is `-1`"),
        (10, "`path` must begin with `/`"),
        (11, "`id` must be text"),
        (12, "unknown field `extra`"),
        (13, "one of `path` and `route`"),
        (14, "one of `path` and `route`"),
        (15, "longer than 16 KiB"),
    ];
    assert_eq!(refused.len(), wanted.len(), "{refused:?}");
    for ((line, reason), (wanted_line, part)) in refused.iter().zip(wanted) {
        assert_eq!(*line, wanted_line);
        assert!(reason.contains(part), "line {line}: {reason}");
    }
    post(&api, "\n \n").await.expect_problem(400);
    let many = "{}\n".repeat(10_001);
    let problem = post(&api, many).await.expect_problem(413);
    assert_eq!(problem["type"], "urn:problem-type:extrack:too-many-lines");
    let request = api
        .request(Method::POST, "/api/v1/calls")
        .header("content-encoding", "gzip");
    let packed = gzip(lines([1, 3]).as_bytes());
    let answer = api.send(request.body(packed)).await.expect(200);
    assert_eq!(
        (&answer["accepted"], &answer["duplicates"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(counted(&api).await, [2, 2, 2]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

/// A field of protobuf that has a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

/// A request of an exporter with one client span, as it is on the wire.
fn exported(span_id: u8, url: &str) -> Vec<u8> {
    let attribute = |name: &str, value: &str| {
        field(
            9,
            &[
                field(1, name.as_bytes()),
                field(2, &field(1, value.as_bytes())),
            ]
            .concat(),
        )
    };
    let mut span = [
        field(1, &[7; 16]),
        field(2, &[span_id; 8]),
        field(5, b"GET"),
        vec![6 << 3, 3],
    ]
    .concat();
    for (tag, nanoseconds) in [(7, NOW * 1_000_000), (8, NOW * 1_000_000 + 5_000_000)] {
        span.push(tag << 3 | 1);
        span.extend(nanoseconds.to_le_bytes());
    }
    span.extend(attribute("http.request.method", "GET"));
    span.extend(attribute("url.full", url));
    let resource = field(
        1,
        &[field(1, b"service.name"), field(2, &field(1, b"checkout"))].concat(),
    );
    field(
        1,
        &[field(1, &resource), field(2, &field(2, &span))].concat(),
    )
}

async fn traces(api: &Api, content_type: &str, body: Vec<u8>) -> Reply {
    let request = api.request(Method::POST, "/v1/traces");
    api.send(request.header("content-type", content_type).body(body))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_spans_of_opentelemetry_are_calls_once_in_both_encodings() {
    const PROTOBUF: &str = "application/x-protobuf";
    let runtime = started().await;
    let api = runtime.api();
    let body = exported(1, "https://api.pay.example/v1/charges/ch_1234?expand=x");
    for _ in 0..2 {
        let reply = traces(&api, PROTOBUF, body.clone()).await;
        assert_eq!(
            (
                reply.status,
                reply.text.as_str(),
                reply.header("content-type")
            ),
            (200, "", PROTOBUF)
        );
    }
    let request = api
        .request(Method::POST, "/v1/traces")
        .header("content-type", PROTOBUF);
    let packed = gzip(&exported(2, "https://llm.example/v1/chat"));
    let reply = api
        .send(request.header("content-encoding", "gzip").body(packed))
        .await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    // The same span once more, as JSON.
    let attribute = |name: &str, value: &str| json!({"key": name, "value": {"stringValue": value}});
    let span = json!({
        "traceId": "07".repeat(16), "spanId": "01".repeat(8), "kind": 3,
        "startTimeUnixNano": (NOW * 1_000_000).to_string(), "endTimeUnixNano": (NOW * 1_000_000).to_string(),
        "attributes": [attribute("http.request.method", "GET"), attribute("server.address", "api.pay.example"), attribute("url.full", "https://api.pay.example/v1/x")],
    });
    let mut foreign = span.clone();
    foreign["spanId"] = json!("03".repeat(8));
    foreign["attributes"] = json!([
        attribute("http.request.method", "GET"),
        attribute("url.full", "https://elsewhere.example/")
    ]);
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [span, foreign]}]}]});
    let answer = traces(&api, "application/json", body.to_string().into())
        .await
        .expect(200);
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
    let message = answer["partialSuccess"]["errorMessage"]
        .as_str()
        .expect("a text");
    assert!(
        message.contains("no service has the host `elsewhere.example`"),
        "{message}"
    );
    assert_eq!(counted(&api).await, [2, 2, 2]);
    let calls = api.sql("SELECT service, consumer, method, route, latency_ms, source FROM calls ORDER BY service").await;
    assert_eq!(
        calls,
        [
            [
                json!("llm"),
                json!("checkout"),
                json!("GET"),
                json!("/v1/chat"),
                json!(5.0),
                json!("otlp")
            ],
            [
                json!("pay"),
                json!("checkout"),
                json!("GET"),
                json!("/v1/charges/{id}"),
                json!(5.0),
                json!("otlp")
            ],
        ]
    );
    let broken = traces(&api, PROTOBUF, b"\x0a\xff".to_vec()).await;
    assert_eq!(
        (broken.status, broken.header("content-type")),
        (400, PROTOBUF)
    );
    assert_eq!(traces(&api, "text/plain", Vec::new()).await.status, 415);
    let anonymous = api.anonymous();
    assert_eq!(traces(&anonymous, PROTOBUF, Vec::new()).await.status, 401);
}

const LOG: &str = r#"192.0.2.7 - - [23/Nov/2026:07:43:23 +0000] "GET /v1/charges/ch_1234?limit=3 HTTP/1.1" 200 512 "-" "python-requests/2.32" 0.034
192.0.2.7 - - [23/Nov/2026:07:43:23 +0000] "GET /v1/charges/ch_1234?limit=3 HTTP/1.1" 200 512 "-" "python-requests/2.32" 0.034
192.0.2.8 - ann [23/Nov/2026:07:43:24 +0100] "POST /v1/charges HTTP/1.1" 402 90 "-" "python-requests/2.32"
2001:db8::5 - - [23/Nov/2026:07:43:25 +0000] "\x16\x03\x01\x02" 400 157 "-" "-"
192.0.2.7 - - [23/Nov/2026:07:43:26 +0000] "DELETE /v1/charges/ch_9876 HTTP/1.1" 499 0 "-" "python-requests/2.32"
{"time_iso8601":"2026-11-23T07:43:27+00:00","request":"GET /v1/balance HTTP/1.1","status":"200","request_time":"0.012","body_bytes_sent":"44"}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_imported_again_counts_once_and_what_it_gained_is_added() {
    let runtime = started().await;
    let api = runtime.api();
    let path = runtime.data().join("egress.log");
    std::fs::write(&path, LOG).expect("a file can be written");
    let import = async |more: &[&str]| {
        let arguments = ["calls", "import", text(&path), "--service", "pay"];
        runtime
            .cli(arguments.into_iter().chain(more.iter().copied()))
            .await
    };
    let first = import(&[]).await;
    assert_eq!(first.code, Some(1), "{} {}", first.out, first.err);
    assert!(first.out.contains("line 4: `\\x16"), "{}", first.out);
    assert!(
        first
            .out
            .contains("5 calls imported, 0 were there already, 1 of 6 lines not taken"),
        "{}",
        first.out
    );
    let grown = format!(
        "{LOG}{}",
        r#"192.0.2.7 - - [23/Nov/2026:07:44:00 +0000] "GET /v1/balance HTTP/1.1" 200 44"#
    );
    std::fs::write(&path, grown).expect("a file can be written");
    let second: Value = serde_json::from_str(&import(&["--json"]).await.out).expect("JSON");
    assert_eq!(
        (
            &second["accepted"],
            &second["duplicates"],
            &second["unreadable"]
        ),
        (&json!(1), &json!(5), &json!(1))
    );
    assert_eq!(counted(&api).await, [6, 6, 6]);
    let calls = api
        .sql("SELECT method, route, status, ended, consumer, source FROM calls WHERE method <> 'GET' ORDER BY method")
        .await;
    assert_eq!(
        calls,
        [
            [
                json!("DELETE"),
                json!("/v1/charges/{id}"),
                Value::Null,
                json!("cancelled"),
                Value::Null,
                json!("import")
            ],
            [
                json!("POST"),
                json!("/v1/charges"),
                json!(402),
                json!("complete"),
                json!("ann"),
                json!("import")
            ],
        ]
    );
    let unknown = runtime
        .cli(["calls", "import", text(&path), "--service", "nobody"])
        .await;
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.err.contains("there is no service `nobody`"),
        "{}",
        unknown.err
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_are_taken_on_a_full_disk_and_totals_are_exact_afterwards() {
    let runtime = TestRuntime::builder()
        .small_disk(DISK_MB)
        .services(SERVICES)
        .start()
        .await;
    let api = runtime.api();
    assert_eq!(report(&api, 0..10).await, (10, 0));
    runtime.disk().fill();
    let mut next = 10;
    wait_for(
        "readiness to say that results are not committed",
        PATIENCE * 2,
        async || {
            // Durable in the spool, and known at once.
            assert_eq!(report(&api, next..next + 500).await, (500, 0));
            assert_eq!(report(&api, next..next + 500).await, (0, 500));
            next += 500;
            let reply = api.get("/readyz").await;
            if reply.text.contains("results are not committed since") {
                Ok(())
            } else {
                Err(reply.text)
            }
        },
    )
    .await;
    assert_eq!(report(&api, 0..next + 100).await, (100, next as u64));
    runtime.disk().free();
    wait_for("everything to be committed", PATIENCE * 4, async || {
        let found = counted(&api).await;
        let all = next + 100;
        if found == [all, all, all] {
            Ok(())
        } else {
            Err(format!("{found:?} of {all}"))
        }
    })
    .await;
}

//! Calls of consumers through the gateway: what passes, what is refused, and what is kept from whom.

mod cache;
mod http2;
mod limits;
mod streams;
mod tunnels;
mod vendor;

use std::time::Duration;

use extrack_tests::api::client;
use extrack_tests::{Api, PATIENCE, TestRuntime, wait_for};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use vendor::ApiVendor;

const SECRET: &str = "v3ndor-s3cret-0123456789";

/// A service named `vendor`, with further lines of its `gateway`.
fn services(url: &str, gateway: &str) -> String {
    format!(
        r#"services:
  - name: Vendor
    baseUrl: "{url}"
    authentication: {{type: api_key, header: X-Api-Key, value: "{SECRET}"}}
    monitoring: {{interval: 86400}}
    gateway:
      paths: ["/*"]
      methods: [GET, HEAD, POST, PUT, DELETE]
{gateway}
"#
    )
}

/// The program before a vendor, with a consumer `alice` of all services.
async fn started(url: &str, gateway: &str) -> (TestRuntime, String) {
    let runtime = TestRuntime::builder()
        .services(services(url, gateway))
        .start()
        .await;
    let token = consumer(&runtime.api(), "alice", &["*"]).await;
    (runtime, token)
}

async fn consumer(api: &Api, name: &str, services: &[&str]) -> String {
    let made = api
        .post(
            "/api/v1/consumers",
            &json!({"name": name, "services": services}),
        )
        .await
        .expect(201);
    made["token"].as_str().unwrap().to_owned()
}

async fn call(runtime: &TestRuntime, token: &str, method: Method, path: &str) -> Response {
    let url = format!("{}/gateway/vendor{path}", runtime.url());
    let request = client().request(method, url).bearer_auth(token);
    request.send().await.expect("the gateway answers")
}

/// Sends bytes as they are and returns what comes until the connection closes, or rests.
async fn raw(runtime: &TestRuntime, bytes: &str) -> String {
    let address = runtime.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        // The head of one answer is enough; a program that stands still is waited for.
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer));
        match read.await.expect("an answer comes") {
            Ok(0) | Err(_) => break,
            Ok(count) => text.extend_from_slice(&buffer[..count]),
        }
        if text.windows(4).any(|end| end == b"\r\n\r\n") {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until so many calls ended so.
async fn ended(api: &Api, how: &str, wanted: u64) {
    wait_for(
        &format!("{wanted} calls that ended {how}"),
        PATIENCE,
        async || {
            let metrics = api.metrics().await;
            let line = format!("extrack_gateway_calls_total{{service=\"vendor\",ended=\"{how}\"}}");
            let found = metrics.lines().find_map(|text| text.strip_prefix(&line));
            let count = found.and_then(|text| text.trim().parse::<u64>().ok());
            if count == Some(wanted) {
                return Ok(());
            }
            let lines = metrics.lines().filter(|text| text.contains("gateway"));
            Err(lines.collect::<Vec<_>>().join("\n"))
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_carries_the_vendors_credential_and_not_the_consumers_token() {
    let vendor = ApiVendor::start().await;
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url(), "      host: vendor.internal"))
        .env("EXTRACK_LOG", "debug,extrack=trace")
        .start()
        .await;
    let token = consumer(&runtime.api(), "alice", &["vendor"]).await;
    let url = format!("{}/gateway/vendor/echo/a%20b?x=%2f&y", runtime.url());
    let get = || client().get(&url);
    let requests = [
        get().bearer_auth(&token),
        get().basic_auth("any", Some(&token)),
        get().basic_auth(&token, None::<&str>),
        get().header("x-extrack-token", &token),
        get().header("x-api-key", &token),
        client()
            .get(format!("{}/echo/a%20b?x=%2f&y", runtime.url()))
            .header("host", "Vendor.Internal:3000")
            .bearer_auth(&token),
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let request = request
            .header("connection", "close, x-hop")
            .header("x-hop", "1")
            .header("x-forwarded-for", "10.1.2.3")
            .header("cookie", "extrack_session=s3ssion; own=1");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{number}");
        assert_eq!(answer.headers()["x-vendor"], "yes");
        let seen: Value = answer.json().await.unwrap();
        assert_eq!(seen["target"], "/echo/a%20b?x=%2f&y", "{number}");
        let headers = &seen["headers"];
        assert_eq!(headers["x-api-key"], SECRET, "{number}: {seen}");
        assert_eq!(headers["cookie"], "own=1", "{seen}");
        for gone in [
            "authorization",
            "x-extrack-token",
            "x-hop",
            "x-forwarded-for",
        ] {
            assert_eq!(headers[gone], Value::Null, "{number}: {gone}");
        }
        assert!(!seen.to_string().contains(&token), "{number}: {seen}");
    }
    ended(&runtime.api(), "complete", 6).await;
    let logs = runtime.logs();
    assert!(!logs.contains(SECRET) && !logs.contains(&token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_are_added_listed_and_revoked_and_each_reaches_its_own_services() {
    let vendor = ApiVendor::start().await;
    let runtime = TestRuntime::builder()
        .services(services(&vendor.url(), ""))
        .start()
        .await;
    let said = runtime
        .cli(["consumers", "add", "billing", "--service", "vendor"])
        .await;
    assert_eq!(said.code, Some(0), "{}", said.err);
    let token = said.out.trim().to_owned();
    assert!(token.starts_with("extrack_"), "{token}");
    let other = consumer(&runtime.api(), "other", &["elsewhere"]).await;
    assert_eq!(
        call(&runtime, &token, Method::GET, "/echo").await.status(),
        200
    );
    let refused = call(&runtime, &other, Method::GET, "/echo").await;
    assert_eq!(refused.status(), 403);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("consumer `other` may not call")
    );

    let again = runtime
        .api()
        .post(
            "/api/v1/consumers",
            &json!({"name": "billing", "services": ["*"]}),
        )
        .await;
    again.expect_problem(409);
    let wrong = json!({"name": "a b", "services": ["No Slug"]});
    let problem = runtime.api().post("/api/v1/consumers", &wrong).await;
    assert_eq!(
        problem.expect_problem(422)["faults"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let listed = runtime.cli(["consumers", "list"]).await.out;
    assert!(
        listed.contains("billing") && !listed.contains(&token),
        "{listed}"
    );
    let gone = runtime.cli(["consumers", "revoke", "billing"]).await;
    assert_eq!(gone.code, Some(0), "{}", gone.err);
    let refused = call(&runtime, &token, Method::GET, "/echo").await;
    assert_eq!(refused.status(), 401);
    assert!(
        refused.headers()["www-authenticate"]
            .to_str()
            .unwrap()
            .starts_with("Bearer")
    );
    assert_eq!(vendor.hits("/echo"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_opened_is_closed() {
    let vendor = ApiVendor::start().await;
    let yaml = services(&vendor.url(), "")
        .replace("[\"/*\"]", "[\"/v1/*\"]")
        .replace("[GET, HEAD, POST, PUT, DELETE]", "[GET]");
    let closed = format!(
        "{yaml}  - name: Closed\n    baseUrl: \"{}\"\n    monitoring: {{interval: 86400}}\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(closed).start().await;
    let token = consumer(&runtime.api(), "alice", &["*"]).await;
    for (method, path, status) in [
        (Method::GET, "/v1/a", 200),
        (Method::POST, "/v1/a", 405),
        (Method::GET, "/v1", 403),
        (Method::GET, "/admin", 403),
    ] {
        let answer = call(&runtime, &token, method.clone(), path).await;
        assert_eq!(answer.status(), status, "{method} {path}");
    }
    for path in [
        "/v1/../admin",
        "/v1/%2e%2e/admin",
        "/v1/..;/admin",
        "/v1%2f..%2fadmin",
        "/v1/%252e%252e/admin",
        "/v1\\..\\admin",
    ] {
        let answer = raw(
            &runtime,
            &format!("GET /gateway/vendor{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"),
        )
        .await;
        let status = &answer[9..12];
        assert!(["400", "403"].contains(&status), "{path}: {answer}");
    }
    for (service, header, status) in [
        ("closed", Some(token.as_str()), 404),
        ("absent", Some(token.as_str()), 404),
        ("vendor", None, 401),
        ("vendor", Some("wrong"), 401),
        ("vendor", Some(extrack_tests::runtime::TOKEN), 401),
    ] {
        let url = format!("{}/gateway/{service}/v1/a", runtime.url());
        let mut request = client().get(url);
        if let Some(token) = header {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{service} {header:?}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    assert_eq!(vendor.all_hits(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_two_servers_read_differently_reaches_none() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "").await;
    let head = format!("host: x\r\nauthorization: Bearer {token}\r\n");
    let hidden = "GET /gateway/vendor/hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    for (what, headers, body) in [
        (
            "an unknown coding",
            "transfer-encoding: xchunked\r\n",
            format!("0\r\n\r\n{hidden}"),
        ),
        (
            "a folded line",
            "x-a: b\r\n transfer-encoding: chunked\r\n",
            String::new(),
        ),
        (
            "an upgrade with a body",
            "connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 5\r\n",
            format!("hello{hidden}"),
        ),
        (
            "two lengths",
            "content-length: 5\r\ncontent-length: 6\r\n",
            "hello!".to_owned(),
        ),
    ] {
        let method = if what.contains("upgrade") {
            "GET"
        } else {
            "POST"
        };
        let request =
            format!("{method} /gateway/vendor/echo HTTP/1.1\r\n{head}{headers}\r\n{body}");
        let answer = raw(&runtime, &request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{what}: {answer}");
    }
    // Of two lengths one is left, and what would be read after the other one is read by no server.
    let smuggled = format!("GET /gateway/vendor/hidden HTTP/1.1\r\n{head}\r\n");
    let request = format!(
        "POST /gateway/vendor/echo HTTP/1.1\r\n{head}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let answer = raw(&runtime, &request).await;
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    let hits = vendor.hits("/echo");
    // An upgrade that the vendor does not take: what follows is a request of its own, without token.
    let request = format!(
        "GET /gateway/vendor/echo HTTP/1.1\r\n{head}connection: upgrade\r\nupgrade: websocket\r\n\r\n{hidden}"
    );
    let answer = raw(&runtime, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(
        (vendor.hits("/echo"), vendor.hits("/hidden")),
        (hits + 1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_the_vendor_does_not_run_beside_the_dashboard() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "").await;
    let answer = call(&runtime, &token, Method::GET, "/page").await;
    let headers = answer.headers();
    assert_eq!(headers["content-security-policy"], "sandbox");
    assert!(!headers.contains_key("strict-transport-security"));
    assert_eq!(headers["set-cookie"], "theirs=1");
    assert_eq!(answer.text().await.unwrap(), "<p>theirs</p>");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_closes_idle_connections_costs_no_call_and_gets_none_twice() {
    let vendor = vendor::Closing::start(Duration::from_millis(300)).await;
    let (runtime, token) = started(&vendor.url(), "").await;
    let (client, url) = (client(), format!("{}/gateway/vendor/x", runtime.url()));
    let post = || client.post(&url).bearer_auth(&token).body("x").send();
    assert_eq!(post().await.unwrap().status(), 200);
    // It sees once how long the vendor keeps a connection.
    wait_for("the vendor to close", PATIENCE, async || {
        match vendor.open() {
            0 => Ok(()),
            open => Err(format!("{open} are open")),
        }
    })
    .await;
    let mut sent = 1;
    for round in 0..12 {
        for _ in 0..4 {
            let answer = post().await.unwrap();
            assert_eq!(answer.status(), 200, "{round}: {:?}", answer.text().await);
            sent += 1;
        }
        // About as long as the vendor waits.
        tokio::time::sleep(Duration::from_millis(280 + round * 5)).await;
    }
    assert_eq!(vendor.hits(), sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_may_be_repeated_is_and_within_a_budget() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "      retries: 2").await;
    vendor.fail_next("/flaky", 503, 1);
    assert_eq!(
        call(&runtime, &token, Method::GET, "/flaky").await.status(),
        200
    );
    assert_eq!(vendor.hits("/flaky"), 2);
    vendor.fail_next("/once", 503, 1);
    assert_eq!(
        call(&runtime, &token, Method::POST, "/once").await.status(),
        503
    );
    assert_eq!(vendor.hits("/once"), 1);
    vendor.fail_next("/down", 503, 1_000);
    for _ in 0..10 {
        call(&runtime, &token, Method::GET, "/down").await;
    }
    let hits = vendor.hits("/down");
    assert!(hits < 25, "10 calls became {hits}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vendor_that_fails_is_left_alone_for_a_while() {
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "      retries: 0").await;
    vendor.fail_next("/down", 500, 1_000);
    let mut refused = None;
    for _ in 0..60 {
        let answer = call(&runtime, &token, Method::GET, "/down").await;
        if answer.status() == 503 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("it is refused within 60 calls");
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(
        problem["type"],
        "urn:problem-type:extrack:gateway-breaker-open"
    );
    let hits = vendor.all_hits();
    call(&runtime, &token, Method::GET, "/echo").await;
    assert_eq!(vendor.all_hits(), hits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_is_served_by_threads_that_give_way_to_the_probes() {
    const LEAST_FAVOURED: i64 = 19;
    let vendor = ApiVendor::start().await;
    let (runtime, token) = started(&vendor.url(), "").await;
    call(&runtime, &token, Method::GET, "/echo").await;
    let folder = format!("/proc/{}/task", runtime.pid());
    let tasks = std::fs::read_dir(folder).unwrap();
    let threads: Vec<(String, i64)> = tasks
        .filter_map(|task| niceness(&task.ok()?.path()))
        .collect();
    let of = |name: &str| {
        let named = threads.iter().filter(|(known, _)| known == name);
        named.map(|(_, nice)| *nice).collect::<Vec<_>>()
    };
    let (edge, others) = (of("edge"), of("tokio-rt-worker"));
    assert!(!edge.is_empty() && !others.is_empty(), "{threads:?}");
    let wanted = (others[0] + 5).min(LEAST_FAVOURED);
    assert!(edge.iter().all(|nice| *nice == wanted), "{threads:?}");
}

/// Name and niceness of a thread.
fn niceness(task: &std::path::Path) -> Option<(String, i64)> {
    const FIELD: usize = 16;
    let stat = std::fs::read_to_string(task.join("stat")).ok()?;
    let (start, rest) = stat.rsplit_once(')')?;
    let (_, name) = start.split_once('(')?;
    let nice = rest.split_whitespace().nth(FIELD)?.parse().ok()?;
    Some((name.to_owned(), nice))
}

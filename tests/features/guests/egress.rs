//! Guests that reach for what they may not: by every spelling of an address, by name, by redirect,
//! by a name that changes its mind, and by what they write into a request.

use extrack_tests::{Api, Names, RecordingServer, TestRuntime, components};
use serde_json::{Value, json};

const GUEST: &str = "probe-attempts";

/// Spellings of the metadata address of clouds, and of others that are never reached.
const METADATA: [&str; 18] = [
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254.:80/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0xa9.0xfe.0xa9.0xfe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://user:password@169.254.169.254/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "http://[::169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://100.100.100.200/",
    "http://0.0.0.0/",
];

async fn attempts(api: &Api, slug: &str) -> Vec<String> {
    let observation = api.check(slug).await;
    assert_eq!(observation["status"], "healthy", "{observation}");
    let metrics = observation["metrics"]
        .as_object()
        .unwrap_or_else(|| panic!("no metrics: {observation}"));
    metrics
        .values()
        .map(|value| {
            value
                .as_str()
                .expect("each attempt ends in words")
                .to_owned()
        })
        .collect()
}

async fn create(api: &Api, name: &str, url: &str, attempts: &[Value]) {
    let service = json!({
        "name": name, "type": "own", "baseUrl": url, "private": true,
        "monitoring": {"probe": GUEST, "interval": 86400, "timeout": 15000, "settings": {"attempts": attempts}},
    });
    api.post("/api/v1/services", &service).await.expect(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_an_address_gets_a_guest_there() {
    let server = RecordingServer::start().await;
    let port = server.address().port();
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.plugin_put(GUEST, &components::guest(GUEST))
        .await
        .expect(200);

    // Elsewhere than at its own service: the rule on hosts.
    let mut elsewhere: Vec<Value> = METADATA.iter().map(|url| json!({ "url": url })).collect();
    for url in [
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        "http://10.0.0.1/".to_owned(),
        // What a hasty reader takes for the service's own host.
        format!("http://127.0.0.1:{port}@169.254.169.254/"),
        format!("http://169.254.169.254#@127.0.0.1:{port}/"),
        format!("http://169.254.169.254\\@127.0.0.1:{port}/"),
        "http://127.0.0.1.example.org/".to_owned(),
    ] {
        elsewhere.push(json!({ "url": url }));
    }
    for address in [
        "169.254.169.254:80",
        "localhost:1",
        "::1:80",
        "10.0.0.1:22",
        "0xa9fea9fe:80",
    ] {
        elsewhere.push(json!({ "tcp": address }));
        elsewhere.push(json!({ "udp": address }));
    }
    for host in ["169.254.169.254", "localhost", "10.0.0.1", "0xa9fea9fe"] {
        elsewhere.push(json!({ "icmp": host }));
    }
    for scheme in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "unix:/run/docker.sock",
    ] {
        elsewhere.push(json!({ "url": scheme }));
    }
    elsewhere.push(json!({ "url": server.url() }));
    create(&api, "Elsewhere", &server.url(), &elsewhere).await;
    let mut ended = attempts(&api, "elsewhere").await;
    assert_eq!(
        ended.pop().as_deref(),
        Some("200 ok"),
        "its own service it may reach"
    );
    for (attempt, ended) in elsewhere.iter().zip(&ended) {
        let refused = ended.starts_with("denied: ") || ended.starts_with("protocol: ");
        assert!(refused, "{attempt} ended as {ended}");
    }
    assert_eq!(server.requests().len(), 1, "{:?}", server.requests());

    // At the address of its own service, which is one that no plugin may reach: the rule on addresses, even
    // for private services. A base URL takes no password at all.
    for (index, url) in METADATA
        .iter()
        .enumerate()
        .filter(|(_, url)| !url.contains('@'))
    {
        create(&api, &format!("own {index}"), url, &[json!({ "url": url })]).await;
        let ended = attempts(&api, &format!("own-{index}")).await;
        assert!(ended[0].starts_with("denied: "), "{url} ended as {ended:?}");
    }
    let denials = api
        .sql_count(&format!(
            "SELECT sum(denials)::BIGINT FROM plugin_runs WHERE plugin = '{GUEST}'"
        ))
        .await;
    assert!(denials > 30, "each is counted: {denials}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_judged_like_any_other_address() {
    let server = RecordingServer::start().await;
    let port = server.address().port();
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.plugin_put(GUEST, &components::guest(GUEST))
        .await
        .expect(200);
    let to = |url: &str| json!({"url": format!("{}/to/{url}", server.url()), "hops": 5});
    let targets = [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "//169.254.169.254/".to_owned(),
        "http://[::ffff:169.254.169.254]/".to_owned(),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        // By way of itself.
        format!("http://127.0.0.1:{port}/to/http://169.254.169.254/"),
    ];
    let mut tries: Vec<Value> = targets.iter().map(|target| to(target)).collect();
    tries.push(to(&format!("http://127.0.0.1:{port}/there")));
    create(&api, "Shop", &server.url(), &tries).await;
    let mut ended = attempts(&api, "shop").await;
    assert_eq!(
        ended.pop().as_deref(),
        Some("200 ok"),
        "where it may go, a redirect takes it"
    );
    for (target, ended) in targets.iter().zip(&ended) {
        assert!(ended.starts_with("denied: "), "{target} ended as {ended}");
    }
    let seen = server.requests();
    assert_eq!(
        seen.len(),
        targets.len() + 1 + 2,
        "no more than the hops at itself: {seen:?}"
    );
}

/// A name server's answer is rejected for now: the next one may be another.
fn is_refused(ended: &str) -> bool {
    ended.starts_with("dns: ") && ended.contains("may not connect")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_changes_its_mind_is_judged_anew_each_time() {
    let (server, names) = (RecordingServer::start().await, Names::start().await);
    let port = server.address().port();
    names.set("metadata.test", &["169.254.169.254"]);
    names.set("inside.test", &["127.0.0.1"]);
    names.set("rebind.test", &["127.0.0.1", "169.254.169.254"]);
    names.set("back.test", &["169.254.169.254", "127.0.0.1"]);
    // What the operator wrote into a file may be private; link-local it never may.
    let service = |slug: &str| {
        let url = format!("http://{slug}.test:{port}");
        let tries = json!([{"url": format!("{url}/one")}, {"url": format!("{url}/two")}]);
        format!(
            "\n  - {{name: {slug}, type: own, baseUrl: \"{url}\", monitoring: {{probe: {GUEST}, interval: 86400, timeout: 15000, settings: {{attempts: {tries}}}}}}}"
        )
    };
    let services: String = ["metadata", "rebind", "back"].map(service).concat();
    let runtime = TestRuntime::builder()
        .names(&names)
        .services(format!("services:{services}\n"))
        .plugin("tries.wasm", components::guest(GUEST))
        .start()
        .await;
    let api = runtime.api();
    // The schedule has not run them: their first moment lies within a day.
    let found = attempts(&api, "metadata").await;
    assert!(found.iter().all(|ended| is_refused(ended)), "{found:?}");

    let found = attempts(&api, "rebind").await;
    assert_eq!(found[0], "200 ok");
    assert!(
        is_refused(&found[1]) && found[1].contains("169.254.169.254"),
        "{found:?}"
    );
    assert_eq!(
        names.queries("rebind.test"),
        2,
        "asked once a connection: what was judged is what is connected to"
    );

    let found = attempts(&api, "back").await;
    assert!(is_refused(&found[0]), "{found:?}");
    assert_eq!(found[1], "200 ok");
    assert_eq!(names.queries("back.test"), 2);

    // Over the API, a name that leads inside leads nowhere.
    let service = json!({
        "name": "Inside", "type": "own", "baseUrl": format!("http://inside.test:{port}"),
        "monitoring": {"probe": GUEST, "interval": 86400, "settings": {"attempts": [{"url": format!("http://inside.test:{port}/")}]}},
    });
    api.post("/api/v1/services", &service).await.expect(201);
    let found = attempts(&api, "inside").await;
    assert!(is_refused(&found[0]), "{found:?}");
    assert_eq!(server.requests().len(), 2, "{:?}", server.requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_smuggled_into_a_request() {
    let server = RecordingServer::start().await;
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.plugin_put(GUEST, &components::guest(GUEST))
        .await
        .expect(200);
    let url = server.url();
    let with = |name: &str, value: &str| json!({"url": url, "headers": [[name, value]]});
    let refused = [
        with("host", "evil.example"),
        with("Host", "evil.example"),
        with("content-length", "5"),
        with("Content-Length", "0"),
        with("transfer-encoding", "chunked"),
        with("Transfer-Encoding", "identity, chunked"),
        with("connection", "x-evil"),
        with("keep-alive", "timeout=5"),
        with("te", "trailers"),
        with("trailer", "x-evil"),
        with("upgrade", "h2c"),
        with("http2-settings", "AAMAAABk"),
        with("expect", "100-continue"),
        with("proxy-authorization", "Basic ZXZpbA=="),
        with("proxy-connection", "keep-alive"),
        with("x-plain", "a\r\nx-evil: 1"),
        with("x-plain", "a\nx-evil: 1"),
        with("x-plain", "a\rx-evil: 1"),
        with("x-plain", "a\0x-evil: 1"),
        with("x-plain\r\nx-evil", "1"),
        with("x-plain: 1\r\nx-evil", "1"),
        with("x evil", "1"),
        with("", "1"),
        with(":authority", "evil.example"),
        json!({"url": url, "method": "GET / HTTP/1.1\r\nx-evil: 1\r\n\r\nGET"}),
        json!({"url": url, "method": "GET /evil HTTP/1.1"}),
        json!({"url": url, "method": "CONNECT"}),
        json!({"url": url, "method": ""}),
        json!({"url": format!("{url}/a HTTP/1.1\r\nx-evil: 1\r\n\r\nGET /b")}),
        json!({"url": format!("{url}/?q=a\r\nx-evil: 1")}),
        json!({"url": format!("{url}/#\r\nx-evil: 1")}),
    ];
    create(&api, "Refused", &url, &refused).await;
    for (attempt, ended) in refused.iter().zip(attempts(&api, "refused").await) {
        assert!(
            ended.starts_with("denied: ") || ended.starts_with("protocol: "),
            "{attempt} ended as {ended}"
        );
    }
    assert_eq!(
        server.requests(),
        Vec::<String>::new(),
        "nothing of them was sent"
    );

    // What is sent is one request, whatever is in its URL and its body.
    let sent = [
        json!({"url": format!("{url}/a%0d%0ax-evil:%201")}),
        json!({"url": format!("{url}/a HTTP/1.1")}),
        json!({"url": url, "method": "POST", "body": "0\r\n\r\nGET /evil HTTP/1.1\r\nx-evil: 1\r\n\r\n"}),
        json!({"url": url, "body": "GET /evil HTTP/1.1\r\nx-evil: 1\r\n\r\n"}),
    ];
    create(&api, "Sent", &url, &sent).await;
    for (attempt, ended) in sent.iter().zip(attempts(&api, "sent").await) {
        assert_eq!(ended, "200 ok", "{attempt}");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), sent.len(), "{requests:?}");
    for (attempt, request) in sent.iter().zip(&requests) {
        let (head, body) = request
            .split_once("\r\n\r\n")
            .expect("a request has a head");
        let lines: Vec<String> = head.split("\r\n").skip(1).map(str::to_lowercase).collect();
        assert!(
            lines
                .iter()
                .all(|line| !line.starts_with("x-evil") && !line.contains(['\r', '\n'])),
            "{request:?}"
        );
        let own = format!("host: {}", server.address());
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.starts_with("host:"))
                .collect::<Vec<_>>(),
            [&own],
            "{request:?}"
        );
        let length = format!(
            "content-length: {}",
            attempt["body"].as_str().unwrap_or_default().len()
        );
        let lengths: Vec<_> = lines
            .iter()
            .filter(|line| line.starts_with("content-length:"))
            .collect();
        assert!(
            lengths == [&length] || (lengths.is_empty() && body.is_empty()),
            "{request:?}"
        );
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("transfer-encoding")),
            "{request:?}"
        );
        assert_eq!(
            body,
            attempt["body"].as_str().unwrap_or_default(),
            "{request:?}"
        );
    }
}

//! Probes that speak protocols of their own over a stream, against real servers.

use extrack_tests::{
    Api, Authority, GRPC_KEY, GrpcServer, HangingServer, Mailbox, RedisServer, TargetServer,
    TestRuntime, WebSocketServer,
};
use serde_json::Value;
use tempfile::TempDir;

/// A service of the type that implies the probe.
fn service(slug: &str, base_url: &str, probe: &str, settings: &str) -> String {
    format!(
        "  - {{name: \"{slug}\", type: {probe}, baseUrl: \"{base_url}\", monitoring: {{interval: 86400, \
         timeout: 10000, settings: {{{settings}}}}}}}\n"
    )
}

/// A program that trusts the authority.
async fn started(authority: &Authority, services: &[String]) -> (TestRuntime, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.certificate()).unwrap();
    let runtime = TestRuntime::builder()
        .services(format!("services:\n{}", services.concat()))
        .env("SSL_CERT_FILE", roots.to_str().unwrap())
        .start()
        .await;
    (runtime, folder)
}

/// Checks that it ends so, with a text in the error; returns the observation.
async fn ends(api: &Api, slug: &str, status: &str, error_kind: &str, error: &str) -> Value {
    let found = api.check(slug).await;
    assert_eq!(found["status"], status, "{slug}: {found}");
    let kind = found["errorKind"].as_str().unwrap_or_default();
    assert_eq!(kind, error_kind, "{slug}: {found}");
    let text = found["error"].as_str().unwrap_or_default();
    assert!(
        text.contains(error) && text.is_empty() == error.is_empty(),
        "{slug}: `{error}` in {found}"
    );
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_server_is_judged_by_its_greeting_and_its_certificate() {
    let (authority, stranger) = (Authority::new("Trusted"), Authority::new("Stranger"));
    let good = Mailbox::start_tls(&authority.sign(&["localhost"], -10, 90)).await;
    let unknown = Mailbox::start_tls(&stranger.sign(&["localhost"], -10, 90)).await;
    let plain = Mailbox::start().await;
    let smtp = |slug: &str, port: u16, settings: &str| {
        service(slug, &format!("localhost:{port}"), "smtp", settings)
    };
    let services = [
        smtp("good", good.port(), "auth: [PLAIN]"),
        smtp("soon", good.port(), "warnDays: 365"),
        smtp("no-oauth", good.port(), "auth: [XOAUTH2]"),
        smtp("other-name", good.port(), "serverName: mx.example"),
        smtp("known", good.port(), "username: me, password: open sesame"),
        smtp(
            "not-known",
            good.port(),
            "username: me, password: open barley",
        ),
        smtp(
            "not-to-strangers",
            unknown.port(),
            "username: me, password: open sesame",
        ),
        smtp("unknown", unknown.port(), ""),
        smtp("unknown-taken", unknown.port(), "insecure: true"),
        smtp("without", plain.port(), ""),
        smtp("plain", plain.port(), "tls: none"),
    ];
    let (runtime, _roots) = started(&authority, &services).await;
    let api = runtime.api();
    let found = ends(&api, "good", "healthy", "", "").await;
    assert!(found["phases"]["tlsUs"].is_u64(), "{found}");
    assert!(found["phases"]["connectUs"].is_u64(), "{found}");
    assert_eq!(found["metrics"]["protocol"], "TLSv1.3", "{found}");
    assert_eq!(found["metrics"]["auth"], "LOGIN PLAIN", "{found}");
    let days = found["metrics"]["certificate_days_left"].as_i64().unwrap();
    assert!((89..=90).contains(&days), "{found}");
    for (slug, status, kind, error) in [
        ("soon", "degraded", "assertion", "wanted at least 365"),
        ("no-oauth", "unhealthy", "assertion", "wanted `XOAUTH2`"),
        ("other-name", "error", "tls", "not for `mx.example`"),
        ("known", "healthy", "", ""),
        (
            "not-known",
            "unhealthy",
            "assertion",
            "answer to AUTH is `535",
        ),
        ("not-to-strangers", "error", "tls", "nknown"),
        ("unknown", "error", "tls", "nknown"),
        ("unknown-taken", "healthy", "", ""),
        (
            "without",
            "unhealthy",
            "assertion",
            "does not offer STARTTLS",
        ),
        ("plain", "healthy", "", ""),
    ] {
        ends(&api, slug, status, kind, error).await;
    }
    assert!(good.mails().is_empty(), "no mail is sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_server_takes_a_password_and_answers_a_ping() {
    let authority = Authority::new("Trusted");
    let identity = authority.sign(&["localhost"], -10, 90);
    let open = RedisServer::start(&identity, None).await;
    let locked = RedisServer::start(&identity, Some("open sesame")).await;
    let stranger = Authority::new("Stranger").sign(&["localhost"], -10, 90);
    let unproven = RedisServer::start(&stranger, Some("open sesame")).await;
    let redis =
        |slug: &str, address: String, settings: &str| service(slug, &address, "redis", settings);
    let services = [
        redis("open", format!("localhost:{}", open.port()), ""),
        redis(
            "secure",
            format!("rediss://localhost:{}", open.tls_port()),
            "",
        ),
        redis(
            "by-address",
            format!("127.0.0.1:{}", open.tls_port()),
            "tls: true",
        ),
        redis("locked", format!("redis://localhost:{}", locked.port()), ""),
        redis(
            "known",
            format!("rediss://localhost:{}", locked.tls_port()),
            "username: default, password: open sesame",
        ),
        redis(
            "known-here",
            format!("localhost:{}", locked.port()),
            "password: open sesame",
        ),
        redis(
            "not-known",
            format!("localhost:{}", locked.port()),
            "password: open barley",
        ),
        redis(
            "by-name",
            format!("rediss://127.0.0.1:{}", locked.tls_port()),
            "password: open sesame, serverName: localhost",
        ),
        redis(
            "unproven",
            format!("rediss://localhost:{}", unproven.tls_port()),
            "password: open sesame, insecure: true",
        ),
    ];
    let (runtime, _roots) = started(&authority, &services).await;
    let api = runtime.api();
    for slug in ["known", "known-here", "by-name", "unproven"] {
        ends(&api, slug, "healthy", "", "").await;
    }
    let found = ends(&api, "open", "healthy", "", "").await;
    assert!(found["phases"]["tlsUs"].is_null(), "{found}");
    let found = ends(&api, "secure", "healthy", "", "").await;
    assert!(found["phases"]["tlsUs"].is_u64(), "{found}");
    assert!(
        found["metrics"]["certificate_days_left"].is_i64(),
        "{found}"
    );
    for (slug, status, kind, error) in [
        ("by-address", "error", "tls", "not for `127.0.0.1`"),
        ("locked", "unhealthy", "assertion", "NOAUTH"),
        ("not-known", "unhealthy", "assertion", "WRONGPASS"),
    ] {
        let found = api.check(slug).await;
        assert_eq!(found["status"], status, "{slug}: {found}");
        assert_eq!(found["errorKind"], kind, "{slug}: {found}");
        let text = found["error"].as_str().unwrap();
        assert!(text.contains(error), "{slug}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_is_opened_and_answered() {
    let authority = Authority::new("Trusted");
    let server = WebSocketServer::start().await;
    let proxied = format!(
        "location /live {{ proxy_pass http://{}; proxy_http_version 1.1; \
         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }}",
        server.address()
    );
    let identity = authority.sign(&["localhost"], -10, 90);
    let secure = TargetServer::start_tls_with(&identity, &proxied).await;
    let plain = format!("ws://{}", server.address());
    let web = TargetServer::start().await;
    let websocket =
        |slug: &str, url: &str, settings: &str| service(slug, url, "websocket", settings);
    let services = [
        websocket("ping", &plain, ""),
        websocket("greeting", &plain, "path: /live, expect: hello"),
        websocket("echo", &plain, "send: 'round trip', expect: trip"),
        websocket(
            "secure",
            &format!("wss://localhost:{}", secure.port()),
            "path: /live",
        ),
        websocket("closes", &plain, "path: /closes, expect: never"),
        websocket("forbidden", &plain, "path: /forbidden"),
        websocket("protocol", &plain, "protocols: [mqtt]"),
        websocket("web", &web.url(), "path: /health"),
    ];
    let (runtime, _roots) = started(&authority, &services).await;
    let api = runtime.api();
    let found = ends(&api, "ping", "healthy", "", "").await;
    assert_eq!(found["httpStatus"], 101, "{found}");
    ends(&api, "greeting", "healthy", "", "").await;
    ends(&api, "echo", "healthy", "", "").await;
    let found = ends(&api, "secure", "healthy", "", "").await;
    assert!(found["phases"]["tlsUs"].is_u64(), "{found}");
    assert!(
        found["metrics"]["certificate_days_left"].is_i64(),
        "{found}"
    );
    for (slug, error) in [
        ("closes", "server closed the WebSocket"),
        ("forbidden", "answer is `HTTP/1.1 403 Forbidden`"),
        ("protocol", "header `sec-websocket-protocol` is empty"),
        ("web", "answer is `HTTP/1.1 200 OK`"),
    ] {
        ends(&api, slug, "unhealthy", "assertion", error).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_machine_answers_echo_requests_or_the_remedy_is_in_the_error() {
    let settings = "count: 3, interval: 10ms, timeout: 5s";
    let services = [
        service("v4", "127.0.0.1", "ICMP", settings),
        service("v6", "[::1]", "ICMP", settings),
    ];
    let (runtime, _roots) = started(&Authority::new("Trusted"), &services).await;
    let api = runtime.api();
    for slug in ["v4", "v6"] {
        let found = api.check(slug).await;
        let error = found["error"].as_str().unwrap_or_default();
        match found["errorKind"].as_str() {
            None => {
                assert_eq!(found["status"], "healthy", "{found}");
                let metrics = &found["metrics"];
                assert_eq!(metrics["received"], 3, "{found}");
                assert_eq!(metrics["loss_percent"].as_f64(), Some(0.0), "{found}");
            }
            // Nothing to measure where the kernel lets this user send none, or has no such protocol.
            Some("denied") => assert!(error.contains("net.ipv4.ping_group_range"), "{found}"),
            Some("connect") if slug == "v6" => assert!(error.contains("`::1` failed"), "{found}"),
            Some(_) => panic!("{found}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_server_reports_its_health() {
    let authority = Authority::new("Trusted");
    let identity = authority.sign(&["localhost"], -10, 90);
    let plain = GrpcServer::start().await;
    let secure = GrpcServer::start_tls(&identity).await;
    let locked = GrpcServer::start_locked().await;
    let empty = GrpcServer::start_empty().await;
    let web = TargetServer::start().await;
    let silent = HangingServer::start().await;
    let grpc = |slug: &str, address: &str, settings: &str| service(slug, address, "grpc", settings);
    let at = |server: &GrpcServer| format!("http://{}", server.address());
    let (name, key) = GRPC_KEY;
    let services = [
        grpc("server", &at(&plain), ""),
        grpc("up", &format!("localhost:{}", plain.port()), "service: up"),
        grpc("down", &at(&plain), "service: down"),
        grpc("unknown", &at(&plain), "service: elsewhere"),
        grpc(
            "secure",
            &format!("grpcs://localhost:{}", secure.port()),
            "",
        ),
        grpc("by-address", &format!("https://{}", secure.address()), ""),
        grpc(
            "any",
            &format!("https://{}", secure.address()),
            "insecure: true",
        ),
        grpc("locked", &at(&locked), ""),
        grpc(
            "opened",
            &at(&locked),
            &format!("metadata: {{{name}: \"{key}\"}}"),
        ),
        grpc("empty", &at(&empty), ""),
        grpc("web", &web.url(), ""),
        grpc(
            "silent",
            &format!("http://{}", silent.address()),
            "deadline: 500ms",
        ),
    ];
    let (runtime, _roots) = started(&authority, &services).await;
    let api = runtime.api();
    let found = ends(&api, "server", "healthy", "", "").await;
    assert_eq!(found["httpStatus"], 200, "{found}");
    ends(&api, "up", "healthy", "", "").await;
    ends(&api, "opened", "healthy", "", "").await;
    ends(&api, "any", "healthy", "", "").await;
    let found = ends(&api, "secure", "healthy", "", "").await;
    let days = found["metrics"]["certificate_days_left"].as_i64().unwrap();
    assert!((89..=90).contains(&days), "{found}");
    for (slug, status, kind, error) in [
        (
            "down",
            "unhealthy",
            "assertion",
            "service `down` is NOT_SERVING, wanted SERVING",
        ),
        (
            "unknown",
            "unhealthy",
            "assertion",
            "does not know service `elsewhere` (NOT_FOUND",
        ),
        ("by-address", "error", "tls", "not for `127.0.0.1`"),
        (
            "locked",
            "unhealthy",
            "assertion",
            "UNAUTHENTICATED: who are you?",
        ),
        ("empty", "unhealthy", "assertion", "UNIMPLEMENTED"),
        ("web", "error", "protocol", ""),
        ("silent", "error", "timeout", "timed out"),
    ] {
        let found = api.check(slug).await;
        assert_eq!(found["status"], status, "{slug}: {found}");
        assert_eq!(found["errorKind"], kind, "{slug}: {found}");
        let text = found["error"].as_str().unwrap();
        assert!(text.contains(error), "{slug}: {found}");
    }
}

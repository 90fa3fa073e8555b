//! The HTTP API as a whole: closed by default, described, measured.

use std::collections::BTreeSet;

use extrack_tests::{Api, PATIENCE, TestRuntime, Vendor, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

/// Every route of the API with its methods, and what an issue or the design calls them.
const ROUTES: [(&str, &str); 20] = [
    ("GET", "/metrics"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/api/v1/services"),
    ("POST", "/api/v1/services"),
    ("GET", "/api/v1/services/{slug}"),
    ("PUT", "/api/v1/services/{slug}"),
    ("DELETE", "/api/v1/services/{slug}"),
    ("POST", "/api/v1/services/{slug}/check"),
    ("GET", "/api/v1/services/{slug}/observations"),
    ("GET", "/api/v1/alerts"),
    ("GET", "/api/v1/alerts/{id}"),
    ("GET", "/api/v1/notifications"),
    ("GET", "/api/v1/plugins"),
    ("GET", "/api/v1/plugins/{name}"),
    ("PUT", "/api/v1/plugins/{name}"),
    ("POST", "/api/v1/plugins/{name}/rollback"),
    ("POST", "/api/v1/sql"),
    // Not there at all: a client without a token can't find out.
    ("GET", "/api/v1/secrets"),
    ("GET", "/api/v2/services"),
    ("DELETE", "/"),
];

const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// Paths whose senders have no token: a plugin checks the signature of deliveries, and the address
/// of a heartbeat is its secret.
const WITHOUT_TOKEN: [&str; 4] = [
    "/webhooks/{service}",
    "/webhooks/{service}/{webhook}",
    "/ping/{uuid}",
    "/ping/{uuid}/{signal}",
];

fn filled(path: &str) -> String {
    path.replace("{slug}", "shop")
        .replace("{id}", "1")
        .replace("{name}", "http")
        .replace("{queryId}", "q1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_health_is_answered_without_a_token() {
    let runtime = TestRuntime::builder().start().await;
    let described = runtime.api().get("/api/v1/openapi.json").await.expect(200);
    // What is listed here, and whatever else the program lists.
    let mut routes: BTreeSet<(String, String)> = ROUTES
        .iter()
        .map(|(method, path)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    for (path, methods) in described["paths"].as_object().expect("OpenAPI has `paths`") {
        routes.extend(
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(|method| (method.to_uppercase(), path.clone())),
        );
    }
    let wrong = Api::new(runtime.url(), Some("not-the-token-0123456789abcdef"));
    for (method, path) in routes.iter().filter(|(_, path)| {
        !OPEN.contains(&path.as_str()) && !WITHOUT_TOKEN.contains(&path.as_str())
    }) {
        for (caller, what) in [
            (runtime.api().anonymous(), "no token"),
            (wrong.clone(), "a wrong token"),
        ] {
            let request = caller.request(method.parse::<Method>().unwrap(), &filled(path));
            let reply = caller
                .send(
                    request
                        .header("content-type", "application/json")
                        .body("{}"),
                )
                .await;
            // After some wrong tokens the next ones are not even looked at.
            if reply.status == 429 && what == "a wrong token" {
                reply.expect_problem(429);
                continue;
            }
            assert_eq!(
                reply.status, 401,
                "{method} {path} with {what}: {}",
                reply.text
            );
            assert!(
                reply.header("www-authenticate").starts_with("Bearer"),
                "{method} {path}"
            );
            reply.expect_problem(401);
        }
    }
    for path in OPEN {
        let health = runtime.api().anonymous().get(path).await.expect(200);
        assert_eq!(health, json!({"status": "ok"}), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_lists_every_route() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let document = api.get("/api/v1/openapi.json").await.expect(200);
    assert!(
        document["openapi"].as_str().unwrap().starts_with("3.1"),
        "{}",
        document["openapi"]
    );
    let known = ROUTES
        .iter()
        .filter(|(_, path)| !["/api/v1/secrets", "/api/v2/services", "/"].contains(path));
    for (method, path) in known
        .copied()
        .chain([("GET", "/healthz"), ("GET", "/readyz")])
    {
        let operation = &document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{method} {path} is not described");
        assert!(
            operation["summary"].is_string() || operation["description"].is_string(),
            "{method} {path} says nothing of itself"
        );
        assert!(operation["responses"].is_object(), "{method} {path}");
        if !OPEN.contains(&path) {
            let security = operation["security"]
                .as_array()
                .is_some_and(|security| !security.is_empty());
            assert!(
                security || document["security"].is_array(),
                "{method} {path} does not say that it needs a token"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_one_shape() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let json = |method: Method, path: &str, body: &'static str| {
        api.request(method, path)
            .header("content-type", "application/json")
            .body(body)
    };
    for (what, request, status) in [
        (
            "an unknown path",
            api.request(Method::GET, "/api/v1/nothing"),
            404,
        ),
        (
            "an unknown service",
            api.request(Method::GET, "/api/v1/services/nobody"),
            404,
        ),
        (
            "an unknown alert",
            api.request(Method::GET, "/api/v1/alerts/4711"),
            404,
        ),
        (
            "an id that is none",
            api.request(Method::GET, "/api/v1/alerts/first"),
            400,
        ),
        (
            "a state that is none",
            api.request(Method::GET, "/api/v1/alerts?state=angry"),
            400,
        ),
        (
            "a cursor that is none",
            api.request(Method::GET, "/api/v1/notifications?cursor=x"),
            400,
        ),
        (
            "a wrong method",
            api.request(Method::DELETE, "/api/v1/sql"),
            405,
        ),
        (
            "half a body",
            json(Method::POST, "/api/v1/services", "{\"name\": "),
            400,
        ),
        (
            "a list where an object belongs",
            json(Method::POST, "/api/v1/sql", "[]"),
            422,
        ),
        (
            "no JSON",
            api.request(Method::POST, "/api/v1/sql")
                .header("content-type", "text/plain")
                .body("SELECT 1"),
            415,
        ),
    ] {
        let reply = api.send(request).await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
        reply.expect_problem(status);
    }
    let huge = vec![b' '; 3 << 20];
    let refused = api
        .send(
            api.request(Method::POST, "/api/v1/services")
                .header("content-type", "application/json")
                .body(huge),
        )
        .await;
    refused.expect_problem(413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_carries_the_security_headers() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    for reply in [
        api.get("/").await,
        api.get("/login").await,
        api.get("/api/v1/services").await,
        api.get("/nowhere").await,
        api.anonymous().get("/api/v1/services").await,
        api.anonymous().get("/healthz").await,
    ] {
        let csp = reply.header("content-security-policy");
        assert!(
            csp.contains("default-src 'none'"),
            "{}: {csp}",
            reply.request
        );
        for unsafe_word in ["unsafe-inline", "unsafe-eval", "*", "http:", "https:"] {
            assert!(!csp.contains(unsafe_word), "{}: {csp}", reply.request);
        }
        assert!(
            csp.contains("frame-ancestors 'none'"),
            "{}: {csp}",
            reply.request
        );
        assert_eq!(
            reply.header("x-content-type-options"),
            "nosniff",
            "{}",
            reply.request
        );
        assert_eq!(
            reply.header("referrer-policy"),
            "no-referrer",
            "{}",
            reply.request
        );
        assert_eq!(reply.header("x-frame-options"), "DENY", "{}", reply.request);
        assert!(reply.header("server").is_empty(), "{}", reply.request);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_measures_itself() {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: Shop, baseUrl: \"{}\", monitoring: {{interval: 1}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    let metrics = wait_for(
        "the first observations to be counted",
        PATIENCE,
        async || {
            let metrics = api.metrics().await;
            let seen = metrics.lines().any(|line| {
                line.starts_with("extrack_observations_total") && line.contains("healthy")
            });
            if seen { Ok(metrics) } else { Err(metrics) }
        },
    )
    .await;
    for name in [
        "extrack_probe_start_lag_seconds",
        "extrack_plugin_runs_total",
        "extrack_http_requests_total",
    ] {
        assert!(metrics.contains(name), "no `{name}` in {metrics}");
    }
    for line in metrics
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observation_has_the_promised_shape() {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: Shop, baseUrl: \"{}\", monitoring: {{interval: 86400}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    let checked = api.check("shop").await;
    assert_eq!(checked["status"], "healthy");
    assert_eq!(checked["httpStatus"], 200);
    assert_eq!(
        [&checked["error"], &checked["errorKind"]],
        [&Value::Null, &Value::Null]
    );
    assert!(
        checked["latencyUs"]
            .as_u64()
            .is_some_and(|latency| latency > 0),
        "{checked}"
    );
    for phase in ["connectUs", "firstByteUs", "bodyUs"] {
        assert!(
            checked["phases"][phase].is_u64(),
            "no phase `{phase}` in {checked}"
        );
    }
    // Stored before it was answered.
    let page = api
        .get("/api/v1/services/shop/observations")
        .await
        .expect(200);
    assert_eq!(page, json!({"items": [checked], "next": null}));
    let checked = runtime.cli(["services", "check", "shop", "--json"]).await;
    assert_eq!(checked.code, Some(0), "{checked:?}");
    let checked: Value = serde_json::from_str(&checked.out).expect("--json prints JSON");
    assert_eq!(checked["status"], "healthy");
    vendor.set_status("/", 500);
    assert_eq!(
        runtime.cli(["services", "check", "shop"]).await.code,
        Some(1)
    );
    let listed = runtime.cli(["services", "list", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&listed.out).expect("--json prints JSON")[0]["slug"],
        "shop"
    );
    let shown = runtime.cli(["services", "show", "shop"]).await;
    assert!(shown.out.contains("unhealthy"), "{shown:?}");
    let refused = runtime
        .cli(["services", "list", "--token", "wrong-token-0123456789"])
        .await;
    assert_ne!(refused.code, Some(0));
    assert!(refused.err.contains("token"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_given_token_one_is_made_shown_once_and_kept_hashed() {
    let mut runtime = TestRuntime::builder().without_token().prepare();
    // A start that fails uses none up.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
    let address = taken.local_addr().expect("it is bound").to_string();
    let text = |path: std::path::PathBuf| {
        path.to_str()
            .expect("temporary folders have plain names")
            .to_owned()
    };
    let (config, data) = (text(runtime.config()), text(runtime.data()));
    let failed = runtime
        .cli([
            "serve", "--config", &config, "--data", &data, "--listen", &address,
        ])
        .await;
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.err.contains("can't listen on"), "{}", failed.err);
    runtime.start().await;
    let shown = wait_for("the token", PATIENCE, async || {
        let printed = runtime.printed();
        let line = printed.iter().find(|line| line.contains("token")).cloned();
        line.ok_or_else(|| format!("{printed:?}"))
    })
    .await;
    let token = shown
        .split_whitespace()
        .last()
        .expect("the line ends with the token")
        .to_owned();
    assert!(token.len() >= 32, "{shown}");
    let lists = async |url: &str| {
        Api::new(url, Some(&token))
            .get("/api/v1/services")
            .await
            .status
    };
    assert_eq!(lists(runtime.url()).await, 200);
    runtime.restart().await;
    assert_eq!(lists(runtime.url()).await, 200);
    let told = runtime
        .printed()
        .iter()
        .filter(|line| line.contains(&token))
        .count();
    assert_eq!(told, 1, "{:?}", runtime.printed());
    assert!(!runtime.logs().contains(&token));
    runtime.stop().await;
    assert_eq!(
        crate::secrets::files_with(&runtime.data(), &token),
        Vec::<String>::new()
    );
}

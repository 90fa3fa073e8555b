//! Where a probe gets to, and what goes along: its own service, what the operator named, and
//! nothing else.

use extrack_tests::{Api, Names, PATIENCE, RecordingServer, TestRuntime, components, wait_for};
use serde_json::{Value, json};

const GUEST: &str = "probe-attempts";
const TOKEN: &str = "b3arer-t0ken-of-the-shop";
const KEY: &str = "s3cret-key-of-the-settings";

fn says(found: &Value) -> &str {
    found["error"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_another_host_is_followed_where_the_operator_names_it() {
    let server = RecordingServer::start().await;
    let port = server.address().port();
    let service = |name: &str, to: &str, more: &str| {
        format!(
            "\n  - {{name: {name}, baseUrl: \"{}\", healthEndpoint: \"/to/{to}\", authentication: {{type: bearer, token: {TOKEN}}}, \
             monitoring: {{interval: 86400, timeout: 5000}}{more}}}",
            server.url()
        )
    };
    let other = format!("http://localhost:{port}/there");
    let metadata = "http://169.254.169.254/latest/meta-data/";
    let services = [
        service("plain", &other, ""),
        service("named", &other, ", hosts: [localhost]"),
        service("metadata", metadata, ", hosts: [169.254.169.254]"),
        service("same-host", &format!("http://127.0.0.1:{}/", port ^ 1), ""),
    ];
    let runtime = TestRuntime::builder()
        .services(format!("services:{}\n", services.concat()))
        .start()
        .await;
    let api = runtime.api();
    let denied = async |api: &Api| {
        let found = api.check("plain").await;
        assert_eq!(
            (&found["status"], &found["errorKind"]),
            (&json!("error"), &json!("denied")),
            "{found}"
        );
        for way in [
            format!("`hosts` of the service, as `localhost:{port}`"),
            "`plugins.http.grants.hosts` in plugins.yaml".to_owned(),
            format!("`extrack plugin grants http --allow-host localhost:{port}`"),
        ] {
            assert!(says(&found).contains(&way), "{way}: {found}");
        }
    };
    let followed = async |slug: &str| {
        let before = server.requests().len();
        let found = api.check(slug).await;
        assert_eq!(
            (&found["status"], &found["metrics"]["redirects"]),
            (&json!("healthy"), &json!(1)),
            "{found}"
        );
        let requests = server.requests();
        let [first, second] = &requests[before..] else {
            panic!("{requests:?}")
        };
        assert!(
            first.contains(TOKEN) && !second.contains(TOKEN),
            "the credential stays with its host: {requests:?}"
        );
        assert!(
            second.starts_with("GET /there ")
                && second.contains(&format!("host: localhost:{port}")),
            "{second}"
        );
    };
    denied(&api).await;
    followed("named").await;

    // Over the API, and taken back.
    let granted = runtime
        .cli(["plugin", "grants", "http", "--allow-host", "localhost"])
        .await;
    assert_eq!(granted.code, Some(0), "{granted:?}");
    followed("plain").await;
    let reset = runtime.cli(["plugin", "grants", "http", "--reset"]).await;
    assert_eq!(reset.code, Some(0), "{reset:?}");
    denied(&api).await;

    // In the file.
    std::fs::write(
        runtime.config().join("plugins.yaml"),
        "plugins: {http: {grants: {hosts: [localhost]}}}\n",
    )
    .unwrap();
    wait_for("the grant", PATIENCE, async || {
        let hosts = &api.get("/api/v1/plugins/http/grants").await.expect(200)["effective"]["hosts"];
        if *hosts == json!(["localhost"]) {
            Ok(())
        } else {
            Err(hosts.to_string())
        }
    })
    .await;
    followed("plain").await;

    let found = api.check("metadata").await;
    assert!(says(&found).contains("which is never allowed"), "{found}");
    let found = api.check("same-host").await;
    assert!(
        says(&found).contains("may not connect to `127.0.0.1:"),
        "another port of the own host: {found}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_side_door_lets_a_secret_out() {
    let (own, other) = (
        RecordingServer::start().await,
        RecordingServer::start().await,
    );
    let (url, other_port) = (own.url(), other.address().port());
    let elsewhere = format!("http://localhost:{other_port}");
    let key = json!([["x-key", "<key>"]]);
    let denied = [
        (
            "goes to the service's own host",
            json!({"url": elsewhere, "auth": "default"}),
        ),
        (
            "a secret of the settings does not go to",
            json!({"url": elsewhere, "headers": key}),
        ),
        (
            "a secret of the settings does not go to",
            json!({"url": format!("{elsewhere}/<key>")}),
        ),
        (
            "a secret of the settings does not go to",
            json!({"url": elsewhere, "method": "POST", "form": "<key>"}),
        ),
        (
            "does not go out `insecure`",
            json!({"url": url, "auth": "default", "insecure": true}),
        ),
        (
            "does not go out `insecure`",
            json!({"url": url, "headers": key, "insecure": true}),
        ),
        (
            "checked as `evil.example`",
            json!({"url": url, "headers": key, "serverName": "evil.example"}),
        ),
        ("may not connect to", json!({"url": other.url()})),
        (
            "may not connect to",
            json!({"tcp": other.address().to_string()}),
        ),
        (
            "may not connect to",
            json!({"udp": other.address().to_string()}),
        ),
    ];
    let allowed = [
        json!({"url": format!("{url}/own"), "headers": key, "auth": "default"}),
        json!({"url": format!("{url}/guess/{{{{secret:/key}}}}"), "headers": [["x-key", "{\"$secret\":\"/key\"}"]]}),
        json!({"url": format!("{elsewhere}/plain"), "insecure": true}),
        json!({"url": format!("{url}/to/{elsewhere}/redirected"), "headers": key, "auth": "default", "hops": 1}),
        json!({"url": format!("{url}/to/{elsewhere}\\@{}/slashed", own.address()), "headers": key, "auth": "default", "hops": 1}),
    ];
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.plugin_put(GUEST, &components::guest(GUEST))
        .await
        .expect(200);
    let attempts: Vec<&Value> = denied
        .iter()
        .map(|(_, attempt)| attempt)
        .chain(&allowed)
        .collect();
    let service = json!({
        "name": "Shop", "type": "own", "baseUrl": url, "private": true, "hosts": [format!("localhost:{other_port}")],
        "authentication": {"type": "bearer", "token": TOKEN},
        "monitoring": {"probe": GUEST, "interval": 86400, "timeout": 15000, "settings": {"key": KEY, "attempts": attempts}},
    });
    api.post("/api/v1/services", &service).await.expect(201);
    let found = api.check("shop").await;
    let ended: Vec<&str> = found["metrics"]
        .as_object()
        .unwrap()
        .values()
        .map(|end| end.as_str().unwrap())
        .collect();
    for ((why, attempt), end) in denied.iter().zip(&ended) {
        assert!(
            end.starts_with("denied: ") && end.contains(why),
            "{attempt} ended as {end}"
        );
    }
    for (attempt, end) in allowed.iter().zip(&ended[denied.len()..]) {
        assert_eq!(*end, "200 ok", "{attempt}");
    }
    let at_own = own.requests();
    assert!(
        at_own[0].contains(KEY) && at_own[0].contains(TOKEN),
        "{at_own:?}"
    );
    assert!(
        at_own[1].contains("x-key: {\"$secret\":\"/key\"}") && !at_own[1].contains(KEY),
        "a text names no secret: {at_own:?}"
    );
    let at_other = other.requests();
    assert_eq!(at_other.len(), 3, "{at_other:?}");
    for request in &at_other {
        assert!(
            !request.contains(KEY) && !request.contains(TOKEN),
            "{request}"
        );
    }
    assert!(!found.to_string().contains(KEY) && !runtime.logs().contains(KEY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_name_of_the_files_may_move_among_private_addresses() {
    let (server, names) = (RecordingServer::start().await, Names::start().await);
    let port = server.address().port();
    names.set("inner.test", &["127.0.0.1", "127.0.0.2"]);
    let services = format!(
        "services: [{{name: inner, baseUrl: \"http://inner.test:{port}\", monitoring: {{interval: 86400, timeout: 5000}}}}]\n"
    );
    let runtime = TestRuntime::builder()
        .names(&names)
        .services(services)
        .start()
        .await;
    let api = runtime.api();
    assert_eq!(api.check("inner").await["status"], "healthy");
    // Only the first of the two addresses listens.
    assert_eq!(api.check("inner").await["errorKind"], "connect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_among_the_headers_of_a_probe_is_kept_as_one() {
    let server = RecordingServer::start().await;
    let mut runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let service = json!({
        "name": "Shop", "baseUrl": server.url(), "private": true,
        "monitoring": {"interval": 86400, "timeout": 5000, "settings": {"headers": {"X-Api-Key": KEY, "Accept": "text/plain"}}},
    });
    let created = api.post("/api/v1/services", &service).await.expect(201);
    let warnings = created["warnings"].to_string();
    assert!(
        warnings.contains("/monitoring/settings/headers/X-Api-Key")
            && warnings.contains("credentials"),
        "{created}"
    );
    let headers = json!({"X-Api-Key": "***", "Accept": "text/plain"});
    let shown = api.get("/api/v1/services/shop").await.expect(200);
    assert_eq!(
        shown["monitoring"]["settings"]["headers"], headers,
        "{shown}"
    );
    assert_eq!(api.check("shop").await["status"], "healthy");
    let requests = server.requests();
    assert!(
        requests[0]
            .to_lowercase()
            .contains(&format!("x-api-key: {KEY}")),
        "{requests:?}"
    );
    runtime.stop().await;
    assert!(!runtime.logs().contains(KEY));
}

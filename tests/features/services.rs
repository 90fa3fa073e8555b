//! Services over the API: made, read, replaced, taken away, and never wrong.

use extrack_tests::{Authority, PATIENCE, TargetServer, TestRuntime, Vendor, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_made_read_replaced_and_deleted() {
    let nginx = TargetServer::start().await;
    let mut runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = json!({
        "name": "Shop API", "type": "REST", "baseUrl": nginx.url(), "healthEndpoint": "/health", "private": true,
        "monitoring": {"interval": 1, "timeout": 900}, "tags": ["shop", "eu"], "owner": "team-shop",
    });
    let created = api.post("/api/v1/services", &spec).await;
    assert_eq!(created.header("location"), "/api/v1/services/shop-api");
    let created = created.expect(201);
    assert_eq!(created["slug"], "shop-api");
    for key in [
        "name",
        "type",
        "baseUrl",
        "healthEndpoint",
        "monitoring",
        "tags",
        "owner",
    ] {
        assert_eq!(created[key], spec[key], "{key}");
    }
    // It is watched from now on.
    wait_for("its first status", PATIENCE, async || {
        match api.service("shop-api").await {
            service if service["status"] == "healthy" => Ok(()),
            service => Err(service.to_string()),
        }
    })
    .await;

    let again = api
        .post("/api/v1/services", &spec)
        .await
        .expect_problem(409);
    assert!(
        again["detail"].as_str().unwrap().contains("shop-api"),
        "{again}"
    );

    // A change that someone else's change came before is refused.
    let read = api.get("/api/v1/services/shop-api").await;
    let tag = read.header("etag").to_owned();
    let mut changed = spec.clone();
    changed["healthEndpoint"] = json!("/broken");
    let put = |tag: &str| {
        api.request(Method::PUT, "/api/v1/services/shop-api")
            .header("if-match", tag)
            .json(&changed)
    };
    let replaced = api.send(put(&tag)).await.expect(200);
    assert_eq!(replaced["healthEndpoint"], "/broken");
    api.send(put(&tag)).await.expect_problem(412);
    wait_for("the change to count", PATIENCE, async || {
        match api.service("shop-api").await {
            service if service["status"] == "unhealthy" => Ok(()),
            service => Err(service.to_string()),
        }
    })
    .await;

    runtime.restart().await;
    let api = runtime.api();
    assert_eq!(api.service("shop-api").await["healthEndpoint"], "/broken");

    assert_eq!(api.delete("/api/v1/services/shop-api").await.status, 204);
    api.get("/api/v1/services/shop-api")
        .await
        .expect_problem(404);
    api.delete("/api/v1/services/shop-api")
        .await
        .expect_problem(404);
    api.post("/api/v1/services/shop-api/check", &json!({}))
        .await
        .expect_problem(404);
    assert_eq!(api.list("/api/v1/services").await, Vec::<Value>::new());
    // What was measured stays.
    assert!(
        api.sql_count("SELECT count(*) FROM observations WHERE service = 'shop-api'")
            .await
            > 0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_of_a_service_comes_back_with_its_place() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    for (what, spec, pointers) in [
        ("an empty object", json!({}), vec!["/name", "/baseUrl"]),
        (
            "a wrong type",
            json!({"name": 3, "baseUrl": "https://a.example"}),
            vec!["/name"],
        ),
        (
            "no URL",
            json!({"name": "a", "baseUrl": "not a url"}),
            vec!["/baseUrl"],
        ),
        (
            "no scheme",
            json!({"name": "a", "type": "REST", "baseUrl": "a.example"}),
            vec!["/baseUrl"],
        ),
        (
            "a key nobody knows",
            json!({"name": "a", "baseUrl": "https://a.example", "colour": "red"}),
            vec!["/colour"],
        ),
        (
            "two faults far apart",
            json!({"name": "a", "baseUrl": "https://a.example", "monitoring": {"interval": "soon", "timeout": true}}),
            vec!["/monitoring/interval", "/monitoring/timeout"],
        ),
        (
            "a plugin nobody has",
            json!({"name": "a", "baseUrl": "https://a.example", "monitoring": {"probe": "htpp"}}),
            vec!["/monitoring/probe"],
        ),
        (
            "a setting the plugin does not know",
            json!({"name": "a", "baseUrl": "https://a.example", "monitoring": {"settings": {"pahts": "/"}}}),
            vec!["/monitoring/settings/pahts"],
        ),
        (
            "a rule without its threshold",
            json!({"name": "a", "baseUrl": "https://a.example", "alerts": [{"type": "availability", "window": "5m"}]}),
            vec!["/alerts/0/threshold"],
        ),
        (
            "a condition that does not parse",
            json!({"name": "a", "baseUrl": "https://a.example", "alerts": [{"name": "x", "condition": "status = 'unhealthy'"}]}),
            vec!["/alerts/0/condition"],
        ),
        (
            "a condition with an unknown name",
            json!({"name": "a", "baseUrl": "https://a.example", "alerts": [{"name": "x", "condition": "mood == 'bad'"}]}),
            vec!["/alerts/0/condition"],
        ),
        (
            "an interval of nothing",
            json!({"name": "a", "baseUrl": "https://a.example", "monitoring": {"interval": 0}}),
            vec!["/monitoring/interval"],
        ),
        (
            "a name without a letter",
            json!({"name": "!!", "baseUrl": "https://a.example"}),
            vec!["/name"],
        ),
    ] {
        let problem = api
            .post("/api/v1/services", &spec)
            .await
            .expect_problem(422);
        let mut found: Vec<&str> = problem["faults"]
            .as_array()
            .unwrap_or_else(|| panic!("{what}: {problem}"))
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        found.sort_unstable();
        let mut pointers = pointers;
        pointers.sort_unstable();
        assert_eq!(found, pointers, "{what}: {problem}");
    }
    api.send(
        api.request(Method::POST, "/api/v1/services")
            .header("content-type", "application/json")
            .body("{"),
    )
    .await
    .expect_problem(400);
    assert_eq!(api.list("/api/v1/services").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_from_a_file_is_changed_there() {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: Shop, baseUrl: \"{}\"}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    let spec = json!({"name": "Shop", "baseUrl": "https://shop.example"});
    for refused in [
        api.put("/api/v1/services/shop", &spec).await,
        api.delete("/api/v1/services/shop").await,
        api.post("/api/v1/services", &spec).await,
    ] {
        refused.expect_problem(409);
    }
    assert_eq!(api.service("shop").await["baseUrl"], vendor.url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_made_over_the_api_does_not_reach_loopback_unasked() {
    let vendor = Vendor::start().await;
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = |name: &str, private: bool| json!({"name": name, "baseUrl": vendor.url(), "private": private, "monitoring": {"interval": 86400}});
    api.post("/api/v1/services", &spec("Closed", false))
        .await
        .expect(201);
    api.post("/api/v1/services", &spec("Open", true))
        .await
        .expect(201);
    let closed = api.check("closed").await;
    assert_eq!(
        [&closed["status"], &closed["errorKind"]],
        ["error", "denied"]
    );
    assert!(
        closed["error"].as_str().unwrap().contains("private"),
        "says what would allow it: {closed}"
    );
    assert_eq!(vendor.hits("/"), 0);
    assert_eq!(api.check("open").await["status"], "healthy");
    // The addresses of machines' own secrets stay closed whatever is asked.
    let metadata = json!({"name": "Metadata", "baseUrl": "http://169.254.169.254", "private": true, "monitoring": {"interval": 86400}});
    api.post("/api/v1/services", &metadata).await.expect(201);
    let denied = api.check("metadata").await;
    assert_eq!(
        [&denied["status"], &denied["errorKind"]],
        ["error", "denied"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_in_pages() {
    let vendor = Vendor::start().await;
    let service = |index: usize| {
        format!(
            "\n  - {{name: s{index:02}, baseUrl: \"{}\", tags: [t{}], monitoring: {{interval: 86400}}}}",
            vendor.url(),
            index % 2
        )
    };
    let yaml = format!("services:{}\n", (0..25).map(service).collect::<String>());
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    let mut slugs = Vec::new();
    let (mut path, mut pages) = ("/api/v1/services?limit=10".to_owned(), 0);
    loop {
        let page = api.get(&path).await.expect(200);
        slugs.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|service| service["slug"].as_str().unwrap().to_owned()),
        );
        pages += 1;
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/services?limit=10&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(
        slugs,
        (0..25)
            .map(|index| format!("s{index:02}"))
            .collect::<Vec<_>>()
    );
    assert_eq!(api.list("/api/v1/services?tag=t1").await.len(), 12);

    for _ in 0..5 {
        api.check("s00").await;
    }
    let runs: Vec<i64> = api
        .list("/api/v1/services/s00/observations")
        .await
        .iter()
        .map(|run| run["runId"].as_i64().unwrap())
        .collect();
    assert_eq!(runs.len(), 5);
    assert!(runs.is_sorted_by(|newer, older| newer > older), "{runs:?}");
    let first = api
        .get("/api/v1/services/s00/observations?limit=2")
        .await
        .expect(200);
    let second = api
        .get(&format!(
            "/api/v1/services/s00/observations?limit=2&cursor={}",
            first["next"].as_str().unwrap()
        ))
        .await
        .expect(200);
    let pair = |page: &Value| {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|run| run["runId"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!([pair(&first), pair(&second)].concat(), runs[..4]);
    for bad in ["limit=0", "limit=1001", "limit=many", "colour=red"] {
        api.get(&format!("/api/v1/services?{bad}"))
            .await
            .expect_problem(400);
    }
}

/// A certificate that is not trusted, over the API: the service may be asked for, the answer is what it
/// is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_nobody_trusts_is_found_when_the_service_is_checked() {
    let identity = Authority::new("Stranger").sign(&["localhost"], -1, 90);
    let nginx = TargetServer::start_tls(&identity).await;
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let spec = json!({
        "name": "Shop", "baseUrl": format!("https://localhost:{}", nginx.port()), "healthEndpoint": "/health",
        "private": true, "monitoring": {"interval": 86400},
    });
    api.post("/api/v1/services", &spec).await.expect(201);
    let found = api.check("shop").await;
    assert_eq!(
        [&found["status"], &found["errorKind"]],
        ["error", "tls"],
        "{found}"
    );
}

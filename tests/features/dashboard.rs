//! The pages: for those who signed in, readable without JavaScript.

use extrack_tests::runtime::TOKEN;
use extrack_tests::{Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use reqwest::Method;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_needs_a_sign_in_and_then_shows_what_is_going_on() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/bad", 500);
    let services = format!(
        r#"
services:
  - {{name: "Good <b>API</b>", slug: good, baseUrl: "{0}", healthEndpoint: /good, monitoring: {{interval: 1}}}}
  - {{name: "Bad API", baseUrl: "{0}", healthEndpoint: /bad, monitoring: {{interval: 1}}}}
"#,
        vendor.url()
    );
    let alerts = format!(
        "alerts: [{{name: Service Down, condition: \"status == 'unhealthy'\", severity: critical, notifications: [{{channel: webhook, url: \"{}\"}}]}}]\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    let anonymous = api.anonymous();

    let browser = anonymous
        .request(Method::GET, "/")
        .header("accept", "text/html");
    let turned_away = anonymous.send(browser).await;
    assert!(
        (300..400).contains(&turned_away.status),
        "{}: {}",
        turned_away.status,
        turned_away.text
    );
    assert_eq!(turned_away.header("location"), "/login");
    let form = anonymous.get("/login").await.expect_text(200);
    assert!(
        form.contains("<form") && form.contains("name=\"token\""),
        "{form}"
    );

    let submit = |token: &str| {
        let body = format!("token={token}");
        anonymous
            .request(Method::POST, "/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    };
    let wrong = anonymous.send(submit("wrong")).await;
    assert_eq!(wrong.status, 401, "{}", wrong.text);
    assert!(wrong.header("set-cookie").is_empty());
    let right = anonymous.send(submit(TOKEN)).await;
    assert!(
        (300..400).contains(&right.status),
        "{}: {}",
        right.status,
        right.text
    );
    let cookie = right.header("set-cookie").to_owned();
    for attribute in ["HttpOnly", "SameSite"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains(TOKEN), "the cookie is not the token");
    let cookie = cookie.split(';').next().unwrap().to_owned();

    let page = wait_for(
        "the page to show both services and the alert",
        PATIENCE,
        async || {
            let page = anonymous
                .send(
                    anonymous
                        .request(Method::GET, "/")
                        .header("cookie", &cookie),
                )
                .await
                .expect_text(200);
            let seen = ["Bad API", "healthy", "unhealthy", "Service Down"]
                .iter()
                .all(|text| page.contains(text));
            if seen { Ok(page) } else { Err(page) }
        },
    )
    .await;
    assert!(
        page.contains("Good &lt;b&gt;API&lt;/b&gt;"),
        "names are text, not markup"
    );
    assert!(!page.contains("<b>API</b>"));
    for plugin in ["http", "condition", "webhook"] {
        assert!(page.contains(plugin), "no plugin `{plugin}`");
    }
    assert!(page.contains("<svg"), "a strip of recent runs");
    for inline in [" style=\"", "<style", " onclick=", "<script>"] {
        assert!(
            !page.contains(inline),
            "the content security policy forbids `{inline}`"
        );
    }
    // What the page asks for is there, without a sign-in.
    for attribute in ["href=\"/assets/", "src=\"/assets/"] {
        for part in page.split(attribute).skip(1) {
            let path = format!("/assets/{}", part.split('"').next().unwrap());
            assert_eq!(anonymous.get(&path).await.status, 200, "{path}");
        }
    }

    // Signed out, the cookie is of no use.
    let out = anonymous
        .request(Method::POST, "/logout")
        .header("cookie", &cookie)
        .header("origin", runtime.url());
    let out = anonymous.send(out).await;
    assert!(
        (300..400).contains(&out.status),
        "{}: {}",
        out.status,
        out.text
    );
    let after = anonymous
        .send(
            anonymous
                .request(Method::GET, "/")
                .header("cookie", &cookie)
                .header("accept", "text/html"),
        )
        .await;
    assert!((300..400).contains(&after.status), "{}", after.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_arrive_live() {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: Shop, baseUrl: \"{}\", monitoring: {{interval: 1}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    let mut stream = reqwest_stream(&api).await;
    let mut seen = String::new();
    tokio::time::timeout(PATIENCE, async {
        while !(seen.contains("data:") && seen.contains("Shop")) {
            let chunk = stream
                .chunk()
                .await
                .expect("the stream goes on")
                .expect("the stream does not end");
            seen.push_str(&String::from_utf8_lossy(&chunk));
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no change of the service arrived: {seen}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_services_page_shows_what_its_figures_are_counted_from() {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: \"Shop <API>\", slug: shop, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 86400}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    for status in [200, 200, 500] {
        vendor.set_status("/health", status);
        let back = api.submit(runtime.url(), "/services/shop/check", "").await;
        assert_eq!(back.status, 303, "{}", back.text);
        assert_eq!(back.header("location"), "/services/shop");
    }
    let runs = api
        .sql_count("SELECT count(*) FROM observations WHERE service = 'shop'")
        .await;
    let overview = api.get("/").await.expect_text(200);
    assert!(overview.contains("href=\"/services/shop\""), "{overview}");
    let page = api.get("/services/shop?range=24h").await.expect_text(200);
    let up = runs - 1;
    for text in [
        "Shop &lt;API&gt;".to_owned(),
        format!("Of {runs} runs that count, {up} found the service up"),
        "89 without measurements".to_owned(),
        "status is 500".to_owned(),
    ] {
        assert!(page.contains(&text), "no `{text}` in {page}");
    }
    for inline in [" style=\"", "<style", " onclick="] {
        assert!(!page.contains(inline), "`{inline}` in {page}");
    }
    // Each question behind a figure can be asked as it stands there.
    let questions: Vec<&str> = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|href| href.starts_with("/sql?"))
        .collect();
    assert_eq!(questions.len(), 8, "{page}");
    let (phases, heat) = (
        api.get("/services/shop?view=phases").await.expect_text(200),
        api.get("/services/shop?view=heat").await.expect_text(200),
    );
    assert!(phases.contains("mean of each phase"), "{phases}");
    let counted = format!("runs by hour of the day and latency: {up} in all");
    assert!(heat.contains(&counted), "{heat}");
    let of_views: Vec<&str> = [&phases, &heat]
        .into_iter()
        .flat_map(|page| page.split("href=\"").skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter(|href| href.starts_with("/sql?") && href.contains("GROUP"))
        .collect();
    assert!(!of_views.is_empty(), "{phases} {heat}");
    for question in questions.into_iter().chain(of_views) {
        let answer = api
            .get(&question.replace("&amp;", "&"))
            .await
            .expect_text(200);
        assert!(answer.contains("data to"), "{question}: {answer}");
    }
    let missing = api.get("/services/nobody").await;
    assert_eq!(missing.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_run_opens_with_its_calls_and_the_service_is_paused_and_silenced() {
    let vendor = Vendor::start().await;
    vendor.set_status("/health", 500);
    let yaml = format!(
        "services: [{{name: Shop, slug: shop, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 86400}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    let act = async |act: &str, fields: &str| {
        let path = format!("/services/shop/{act}");
        let done = api.submit(runtime.url(), &path, fields).await;
        assert_eq!(done.status, 303, "{}", done.text);
        assert_eq!(done.header("location"), "/services/shop");
    };
    act("check", "").await;
    vendor.set_status("/health", 200);
    act("check", "").await;
    let failed = api.get("/services/shop?runs=failed").await.expect_text(200);
    let links: Vec<String> = failed
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|href| href.ends_with("#run"))
        .map(|href| href.replace("&amp;", "&"))
        .collect();
    let all = api
        .sql_count(
            "SELECT count(*) FROM observations WHERE service = 'shop' AND status <> 'healthy'",
        )
        .await;
    assert_eq!(i64::try_from(links.len()).unwrap(), all, "{failed}");
    wait_for("the recording of the run", PATIENCE, async || {
        let run = api.get(&links[0]).await.expect_text(200);
        let seen = [
            "status is 500",
            "Recorded host calls",
            "extrack plugin replay ",
        ];
        if seen.iter().all(|text| run.contains(text)) {
            Ok(())
        } else {
            Err(run)
        }
    })
    .await;
    let gone = api.get("/services/shop?run=-7").await.expect_text(200);
    assert!(gone.contains("Run -7 is not kept"), "{gone}");

    act("pause", "for=&note=a+%3Cmigration%3E").await;
    let paused = api.get("/services/shop").await.expect_text(200);
    assert!(
        paused.contains("Paused until it is resumed") && paused.contains("a &lt;migration&gt;"),
        "{paused}"
    );
    act("resume", "").await;
    let resumed = api.get("/services/shop").await.expect_text(200);
    assert!(!resumed.contains("Paused until"), "{resumed}");
    act("silence", "for=2h&note=known").await;
    let silences = api.list("/api/v1/silences").await;
    assert_eq!(
        silences[0]["matchers"],
        serde_json::json!(["service=\"shop\""]),
        "{silences:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_answers_points_at_mistakes_and_needs_the_scope() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    let console = async |query: &str| {
        let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
        api.get(&format!("/sql?q={query}")).await.expect_text(200)
    };
    let page = console("SELECT 9007199254740993 AS big, '<i>' AS text FROM range(600)").await;
    for text in [
        "9007199254740993",
        "&lt;i&gt;",
        "500 rows",
        "and there are more",
        "/sql/download?format=csv",
    ] {
        assert!(page.contains(text), "no `{text}` in {page}");
    }
    let page = console("SELECT latencyms FROM observations").await;
    assert!(
        page.contains("<pre>") && page.contains("latency_ms"),
        "{page}"
    );
    let page = console("DELETE FROM observations").await;
    assert!(page.contains("role=\"alert\""), "{page}");
    let whole = api
        .get("/sql/download?format=csv&q=SELECT%20range%20AS%20n%20FROM%20range%28600%29")
        .await;
    assert!(
        whole.header("content-disposition").contains("answer.csv"),
        "{}",
        whole.text
    );
    assert_eq!(whole.expect_text(200).lines().count(), 601);
    let token = api
        .post(
            "/api/v1/tokens",
            &serde_json::json!({"name": "reader", "scopes": ["read"]}),
        )
        .await
        .expect(201);
    let reader = extrack_tests::Api::new(runtime.url(), token["token"].as_str());
    reader.get("/sql?q=SELECT%201").await.expect_problem(403);
    assert_eq!(reader.get("/services/nobody").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_acknowledged_and_silenced_on_its_page() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 500);
    let yaml = format!(
        "services: [{{name: Shop, slug: shop, baseUrl: \"{}\", healthEndpoint: /health, monitoring: {{interval: 1}}}}]\n",
        vendor.url()
    );
    let alerts = format!(
        "alerts: [{{name: Shop Down, condition: \"status == 'unhealthy'\", severity: critical, notifications: [{{channel: webhook, url: \"{}\"}}]}}]\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(yaml)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    let id = wait_for("the alert to fire", PATIENCE, async || {
        let open = api.list("/api/v1/alerts?state=firing").await;
        open.first()
            .and_then(|alert| alert["id"].as_i64())
            .ok_or_else(|| format!("{open:?}"))
    })
    .await;
    let page = api.get("/alerts").await.expect_text(200);
    assert!(
        page.contains("1 alert needs someone") && page.contains("Shop Down"),
        "{page}"
    );
    let act = async |act: &str, fields: &str| {
        let path = format!("/alerts/{id}/{act}");
        api.submit(runtime.url(), &path, fields).await
    };
    let done = act("acknowledge", "for=2h&note=vendor+%3Cknows%3E").await;
    assert_eq!(done.status, 303, "{}", done.text);
    let page = api.get(&format!("/alerts/{id}")).await.expect_text(200);
    for text in [
        "vendor &lt;knows&gt;",
        "Take the acknowledgement back",
        "this alert (1 open alert)",
        "webhook",
    ] {
        assert!(page.contains(text), "no `{text}` in {page}");
    }
    let again = act("acknowledge", "for=nonsense").await;
    assert_eq!(again.status, 400, "{}", again.text);
    assert!(again.text.contains("That was not done"), "{}", again.text);
    let done = act("silence", "for=2h&what=service&note=maintenance").await;
    assert_eq!(done.status, 303, "{}", done.text);
    let silences = api.list("/api/v1/silences").await;
    assert_eq!(
        silences[0]["matchers"],
        serde_json::json!(["service=\"shop\""]),
        "{silences:?}"
    );
    assert_eq!(act("resolve", "note=done").await.status, 303);
    assert_eq!(act("resolve", "").await.status, 409);
    let incidents = wait_for("the incident in SQL", PATIENCE, async || {
        let incidents = api.list("/api/v1/incidents?service=shop").await;
        if incidents.is_empty() {
            Err("none".to_owned())
        } else {
            Ok(incidents)
        }
    })
    .await;
    let incident = format!("/incidents/{}", incidents[0]["id"]);
    let page = api.get(&incident).await.expect_text(200);
    assert!(page.contains("What happened"), "{page}");
    let note = async |fields: &str| {
        let path = format!("{incident}/notes");
        api.submit(runtime.url(), &path, fields).await.status
    };
    assert_eq!(note("text=a+%3Cdisk%3E+was+full&public=yes").await, 303);
    assert_eq!(note("text=+").await, 422);
    let long = "x".repeat(64 * 1024 + 1);
    let path = format!("{incident}/notes");
    let text = format!("text={long}");
    let refused = api.submit(runtime.url(), &path, &text);
    let refused = refused.await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains(&long), "what was typed is lost");
    let page = api.get(&incident).await.expect_text(200);
    assert!(
        page.contains("a &lt;disk&gt; was full") && page.contains("<b>public</b>"),
        "{page}"
    );
    let notes = api.list(&format!("/api/v1{incident}/notes")).await;
    assert_eq!(
        (notes.len(), &notes[0]["public"]),
        (1, &serde_json::json!(true))
    );
    let subject = format!("/api/v1/audit?subject=incident:{}", incidents[0]["id"]);
    let audit = api.list(&subject).await;
    assert_eq!(audit[0]["action"], "incident.note", "{audit:?}");
    let delete = format!("{incident}/notes/{}/delete", notes[0]["id"]);
    let form = api.request(Method::POST, &delete);
    let deleted = api.send(form.header("origin", runtime.url())).await;
    assert_eq!(deleted.status, 303, "{}", deleted.text);
    assert!(
        api.list(&format!("/api/v1{incident}/notes"))
            .await
            .is_empty()
    );
    let gone = format!("/api/v1{incident}/notes/{}", notes[0]["id"]);
    api.delete(&gone).await.expect_problem(404);
    let audit = api.list(&subject).await;
    assert_eq!(audit[0]["action"], "incident.note-delete", "{audit:?}");
    api.post(
        "/api/v1/incidents/999999/notes",
        &serde_json::json!({"text": "of none"}),
    )
    .await
    .expect_problem(404);
    assert!(
        api.get("/usage")
            .await
            .expect_text(200)
            .contains("No call was counted yet")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pasted_url_is_watched_and_its_failure_acknowledged_and_silenced_in_the_first_room() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 500);
    let alerts = format!(
        "alerts: [{{name: Shop Down, condition: \"status == 'unhealthy'\", severity: critical, notifications: [{{channel: webhook, url: \"{}\"}}]}}]\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .alerts(alerts)
        .env("HEALTH_CHECK_INTERVAL", "1")
        .start()
        .await;
    let api = runtime.api();
    let page = api.get("/").await.expect_text(200);
    assert!(page.contains("Nothing is watched yet"), "{page}");
    let submit = async |api: &extrack_tests::Api, path: &str, fields: &[(&str, &str)]| {
        let fields = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        api.submit(runtime.url(), path, &fields).await
    };
    let health = format!("{}/health", vendor.url());
    let wrong = submit(&api, "/new", &[("url", "no url at all")]).await;
    assert_eq!(wrong.status, 422, "{}", wrong.text);
    assert!(wrong.text.contains("no url at all"), "{}", wrong.text);
    let done = submit(&api, "/new", &[("url", health.as_str()), ("private", "on")]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let slug = done
        .header("location")
        .strip_prefix("/services/")
        .expect("the page of the service")
        .to_owned();

    // It fails, and the list of what needs attention has a button for its alert.
    let (page, id) = wait_for("the alert on the page", PATIENCE, async || {
        let page = api.get("/").await.expect_text(200);
        let id = page
            .split("formaction=\"/attention/")
            .nth(1)
            .and_then(|rest| rest.split('/').next()?.parse::<i64>().ok());
        match id {
            Some(id) => Ok((page, id)),
            None => Err(page),
        }
    })
    .await;
    for text in [
        "1 of 1 service needs attention".to_owned(),
        "Shop Down".to_owned(),
        format!("href=\"/services/{slug}\""),
        format!("id=\"service-{slug}\""),
    ] {
        assert!(page.contains(&text), "no `{text}` in {page}");
    }
    let token = api
        .post(
            "/api/v1/tokens",
            &serde_json::json!({"name": "reader", "scopes": ["read"]}),
        )
        .await
        .expect(201);
    let reader = extrack_tests::Api::new(runtime.url(), token["token"].as_str());
    let acknowledge = format!("/attention/{id}/acknowledge");
    let denied = submit(&reader, &acknowledge, &[]).await;
    assert_eq!(denied.status, 403, "{}", denied.text);

    let done = submit(&api, &acknowledge, &[("back", "/?q=status:unhealthy")]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(done.header("location"), "/?q=status:unhealthy");
    let page = api.get(done.header("location")).await.expect_text(200);
    assert!(page.contains(", acknowledged by "), "{page}");
    let silence = format!("/attention/{id}/silence");
    let done = submit(&api, &silence, &[("for", "2h"), ("back", "//evil.example")]).await;
    assert_eq!(done.status, 303, "{}", done.text);
    assert_eq!(done.header("location"), "/");
    let silences = api.list("/api/v1/silences").await;
    assert_eq!(
        silences[0]["matchers"],
        serde_json::json!(["alertname=\"Shop Down\"", format!("service=\"{slug}\"")]),
        "{silences:?}"
    );
}

async fn reqwest_stream(api: &extrack_tests::Api) -> reqwest::Response {
    let response = api
        .request(Method::GET, "/events")
        .header("accept", "text/event-stream")
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/event-stream")
    );
    response
}

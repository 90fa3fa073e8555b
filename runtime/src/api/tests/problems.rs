//! Every error is a problem (RFC 9457), shows how to fix it, and nothing internal.

use axum::http::header::CONTENT_TYPE;
use serde_json::json;

use super::world::DIGEST;
use super::*;
use crate::store::control::AuditFilter;

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, name: &str, part: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{}",
        answer.body
    );
    let problem = answer.json();
    assert_eq!(
        problem["type"],
        format!("urn:problem-type:extrack:{name}"),
        "{problem}"
    );
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string());
    assert!(
        problem["detail"].as_str().unwrap().contains(part),
        "{problem}"
    );
}

#[tokio::test]
async fn what_is_not_there() {
    let router = router(&world().await);
    for (path, name, part) in [
        (
            "/api/v1/services/nope",
            "service-not-found",
            "there is no service `nope`",
        ),
        (
            "/api/v1/services/nope/observations",
            "service-not-found",
            "`nope`",
        ),
        (
            "/api/v1/alerts/99",
            "alert-not-found",
            "there is no alert `99`",
        ),
        (
            "/api/v1/plugins/nope",
            "plugin-not-found",
            "there is no plugin `nope`",
        ),
        (
            "/api/v1/nope",
            "path-not-found",
            "nothing at `/api/v1/nope`",
        ),
    ] {
        assert_problem(&get(&router, path).await, 404, name, part);
    }
}

#[tokio::test]
async fn parameters_that_make_no_sense() {
    let router = router(&world().await);
    for (path, part) in [
        ("/api/v1/services?limit=0", "from 1 to 1000"),
        (
            "/api/v1/services?status=fine",
            "`healthy`, `unknown`, `degraded`, `unhealthy`, `error`",
        ),
        ("/api/v1/alerts?cursor=abc", "`abc` is not a cursor"),
        ("/api/v1/services?cursor=AAAA", "`AAAA` is not a cursor"),
        ("/api/v1/services?cursor=%00", "is not a cursor"),
        ("/api/v1/rules?cursor=AAAA", "is not a cursor"),
        ("/api/v1/plugins?cursor=AAAA", "is not a cursor"),
        (
            "/api/v1/plugins/http/versions?cursor=AAAA",
            "is not a cursor",
        ),
        ("/api/v1/channels?cursor=%00", "is not a cursor"),
        ("/api/v1/escalations?cursor=%00", "is not a cursor"),
        ("/api/v1/maintenance?cursor=AAAA", "is not a cursor"),
        ("/api/v1/silences?cursor=AAAA", "is not a cursor"),
        ("/api/v1/tokens?cursor=AAAA", "is not a cursor"),
        ("/api/v1/alerts?state=open", "`pending`, `firing`"),
        (
            "/api/v1/notifications?state=sent",
            "`waiting`, `delivered`, `dead`",
        ),
    ] {
        assert_problem(&get(&router, path).await, 400, "bad-parameter", part);
    }
    assert_problem(
        &get(&router, "/api/v1/services?limt=5").await,
        400,
        "bad-request",
        "limt",
    );
    assert_problem(
        &get(&router, "/api/v1/services?limit=many").await,
        400,
        "bad-request",
        "limit",
    );
    assert_problem(
        &get(&router, "/api/v1/alerts/abc").await,
        400,
        "bad-request",
        "abc",
    );
}

#[tokio::test]
async fn bodies_that_make_no_sense() {
    let router = router(&world().await);
    let post = |path: &str, body: &'static str, content_type: &str| {
        as_admin(Method::POST, path)
            .header(CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .unwrap()
    };
    let answer = send(
        &router,
        post("/api/v1/services", "{\"name\": ", "application/json"),
    )
    .await;
    assert_problem(&answer, 400, "bad-request", "EOF while parsing");
    let answer = send(&router, post("/api/v1/services", "[]", "application/json")).await;
    assert_problem(&answer, 422, "invalid-body", "expected a map");
    let answer = send(
        &router,
        post("/api/v1/services", "name: x", "application/yaml"),
    )
    .await;
    assert_problem(&answer, 415, "unsupported-media-type", "application/json");
    let answer = send(
        &router,
        post("/api/v1/sql", "{\"qery\": \"x\"}", "application/json"),
    )
    .await;
    assert_problem(&answer, 422, "invalid-body", "qery");

    let answer = send_json(
        &router,
        Method::POST,
        "/api/v1/services",
        json!({"baseUrl": "https://x.org"}),
    )
    .await;
    assert_problem(&answer, 422, "invalid-service", "`/name`: is missing");
    let message = "is missing (Name for people, e.g. `Payment Gateway API`)";
    assert_eq!(
        answer.json()["faults"],
        json!([{"pointer": "/name", "message": message}])
    );
}

#[tokio::test]
async fn methods_and_sizes() {
    let router = router(&world().await);
    let answer = send_json(&router, Method::PATCH, "/api/v1/services", json!({})).await;
    assert_problem(&answer, 405, "method-not-allowed", "`Allow`");
    assert_eq!(answer.header("allow"), Some("GET,HEAD,POST"));

    let large = json!({"name": "x".repeat(2 * 1024 * 1024)});
    assert_problem(
        &send_json(&router, Method::POST, "/api/v1/services", large).await,
        413,
        "too-large",
        "limit",
    );
    let component = |size: usize| {
        as_admin(Method::PUT, "/api/v1/plugins/mine")
            .body(vec![0; size].into())
            .unwrap()
    };
    let answer = send(&router, component(2 * 1024 * 1024)).await;
    assert_problem(
        &answer,
        422,
        "plugin-refused",
        "not a WebAssembly component (at step `compile`",
    );
    assert_problem(
        &send(&router, component(64 * 1024 * 1024 + 1)).await,
        413,
        "too-large",
        "limit",
    );
}

#[tokio::test]
async fn changes_that_may_not_be() {
    let router = router(&world().await);
    let spec = json!({"name": "Mail", "baseUrl": "https://mail.example.com"});
    for (method, path, status, name, part) in [
        (
            Method::PUT,
            "/api/v1/services/mail",
            409,
            "owned-by-file",
            "change it there",
        ),
        (
            Method::DELETE,
            "/api/v1/services/mail",
            409,
            "owned-by-file",
            "change it there",
        ),
        (
            Method::POST,
            "/api/v1/services",
            409,
            "service-exists",
            "already a service `mail`",
        ),
        (
            Method::DELETE,
            "/api/v1/services/nope",
            404,
            "service-not-found",
            "`nope`",
        ),
        (
            Method::POST,
            "/api/v1/services/nope/check",
            404,
            "service-not-found",
            "`nope`",
        ),
        (
            Method::POST,
            "/api/v1/services/mail/check?probe=x",
            404,
            "probe-not-found",
            "no probe `x`; it has http",
        ),
        (
            Method::POST,
            "/api/v1/plugins/slack/rollback",
            409,
            "no-previous-version",
            "no earlier version",
        ),
        (
            Method::POST,
            "/api/v1/plugins/nope/rollback",
            404,
            "plugin-not-found",
            "`nope`",
        ),
    ] {
        assert_problem(
            &send_json(&router, method, path, spec.clone()).await,
            status,
            name,
            part,
        );
    }
}

#[tokio::test]
async fn queries() {
    let router = router(&world().await);
    for (query, name, part) in [
        ("drop table observations", "query-refused", ""),
        ("selec", "query-invalid", "syntax error"),
        (
            "select * from nothing",
            "query-refused",
            "no table `nothing`",
        ),
        (
            "select nothing from observations",
            "query-invalid",
            "nothing",
        ),
    ] {
        let answer = send_json(
            &router,
            Method::POST,
            "/api/v1/sql",
            json!({ "query": query }),
        )
        .await;
        assert_problem(&answer, 422, name, part);
    }
}

#[tokio::test]
async fn our_own_faults_say_nothing_internal() {
    let router = router(&world().await);
    let answer = send_json(
        &router,
        Method::POST,
        "/api/v1/services/mail/check?probe=broken",
        json!({}),
    )
    .await;
    assert_problem(&answer, 500, "internal", "the log of `extrack`");
    assert!(!answer.body.contains("secret"), "{}", answer.body);
}

#[tokio::test]
async fn a_panic_harms_one_request() {
    let router = router(&world().await);
    let answer = send_json(
        &router,
        Method::POST,
        "/api/v1/services/mail/check?probe=panics",
        json!({}),
    )
    .await;
    assert_problem(&answer, 500, "internal", "the log of `extrack`");
    assert!(!answer.body.contains("told to"));
    assert_eq!(
        get(&router, "/api/v1/services").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn too_much_at_once_is_refused_at_once() {
    let settings = ApiSettings {
        max_in_flight: 0,
        ..ApiSettings::default()
    };
    let router = crate::api::router(world().await.state(settings, Live::new()));
    let answer = get(&router, "/api/v1/services").await;
    assert_problem(&answer, 503, "busy", "come again");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let router = router(&world().await);
    for path in [
        "/",
        "/healthz",
        "/login",
        "/assets/app.css",
        "/api/v1/services",
        "/nothing",
        "/api/v1/alerts/99",
    ] {
        let answer = get(&router, path).await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self';"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
        assert_eq!(
            answer.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
        assert_eq!(
            answer.header("referrer-policy"),
            Some("no-referrer"),
            "{path}"
        );
        assert_eq!(answer.header("strict-transport-security"), None);
        let cached = path.starts_with("/assets/");
        assert_eq!(
            answer.header("cache-control") == Some("no-store"),
            !cached,
            "{path}"
        );
    }
    let settings = ApiSettings {
        public_url: Some("https://watch.example.com".parse().unwrap()),
        ..ApiSettings::default()
    };
    let router = crate::api::router(world().await.state(settings, Live::new()));
    assert!(
        get(&router, "/")
            .await
            .header("strict-transport-security")
            .is_some()
    );
}

#[tokio::test]
async fn grants_are_said_changed_and_taken_back() {
    let world = world().await;
    let router = router(&world);
    let path = "/api/v1/plugins/http/grants";
    let found = get(&router, path).await.json();
    assert_eq!(
        (&found["origin"], &found["policy"]),
        (&json!("default"), &json!({"grants": {}, "budget": {}}))
    );
    assert_eq!(
        (&found["budget"]["memory"], &found["effective"]["methods"]),
        (&json!("64MiB"), &json!(null))
    );

    let said = json!({"grants": {"hosts": ["api.example.com"]}, "budget": {"memory": "32MiB"}});
    let found = send_json(&router, Method::PUT, path, said.clone())
        .await
        .json();
    assert_eq!((&found["origin"], &found["policy"]), (&json!("api"), &said));
    let stored = world.control.plugin_policy_list().await.unwrap();
    assert_eq!(
        (
            stored[0].name.as_str(),
            &stored[0].policy,
            stored[0].updated_by.as_str()
        ),
        ("http", &said, "admin")
    );
    let audited = world
        .control
        .audit_list(&AuditFilter::default(), 10)
        .await
        .unwrap();
    assert_eq!(
        (audited[0].action.as_str(), &audited[0].detail),
        ("plugin.grant", &said)
    );

    let wrong = json!({"grants": {"hosts": ["a b"]}, "budget": {"cpu": 0}});
    let answer = send_json(&router, Method::PUT, path, wrong).await;
    assert_problem(&answer, 422, "invalid-grants", "2 faults");
    assert_eq!(answer.json()["faults"][1]["pointer"], "/budget/cpu");
    let answer = send_json(
        &router,
        Method::PUT,
        "/api/v1/plugins/slack/grants",
        json!({}),
    )
    .await;
    assert_problem(&answer, 409, "owned-by-file", "plugins.yaml");
    let answer = send_json(
        &router,
        Method::PUT,
        "/api/v1/plugins/nope/grants",
        json!({}),
    )
    .await;
    assert_problem(&answer, 404, "plugin-not-found", "`nope`");

    let request = as_admin(Method::DELETE, path).body(Body::empty()).unwrap();
    assert_eq!(send(&router, request).await.json()["origin"], "default");
    assert!(world.control.plugin_policy_list().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_component_is_checked_without_being_installed() {
    let router = router(&world().await);
    let check = |body: &'static [u8]| {
        as_admin(Method::POST, "/api/v1/plugins/check")
            .body(Body::from(body))
            .unwrap()
    };
    assert_eq!(
        send(&router, check(b"\0asm")).await.json()["accepted"],
        true
    );
    let found = send(&router, check(b"text")).await.json();
    assert_eq!(
        (&found["accepted"], &found["steps"][0]["outcome"]),
        (&json!(false), &json!("failed"))
    );
}

#[tokio::test]
async fn configuration_files_are_accepted_as_they_were_looked_at_or_not_at_all() {
    let world = world().await;
    let router = router(&world);
    let held = get(&router, "/api/v1/config").await.json();
    assert_eq!(
        (&held["status"], &held["digest"]),
        (&json!("held"), &json!(DIGEST))
    );
    let stale = send_json(
        &router,
        Method::POST,
        "/api/v1/config/accept?digest=other",
        json!({}),
    )
    .await;
    assert_problem(&stale, 409, "configuration-changed", DIGEST);
    let noted = AuditFilter {
        kind: Some("config".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(world.control.audit_list(&noted, 10).await.unwrap(), []);
    let path = format!("/api/v1/config/accept?digest={DIGEST}");
    let accepted = send_json(&router, Method::POST, &path, json!({})).await;
    assert_eq!(
        (accepted.status.as_u16(), &accepted.json()["status"]),
        (200, &json!("in use"))
    );
    let audit = world.control.audit_list(&noted, 10).await.unwrap();
    assert_eq!(
        (audit[0].action.as_str(), &audit[0].detail["digest"]),
        ("config.accept", &json!(DIGEST))
    );
}

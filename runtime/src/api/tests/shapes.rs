//! The shapes that scripts rely on.

use axum::http::header::CONTENT_TYPE;
use insta::assert_json_snapshot;
use serde_json::json;

use super::*;

#[tokio::test]
async fn services() {
    let router = router(&world().await);
    let answer = get(&router, "/api/v1/services").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_json_snapshot!("services", without_times(answer.json()));
    let answer = get(&router, "/api/v1/services/shop-api").await;
    assert_eq!(answer.header("etag"), Some("\"1\""));
    assert_json_snapshot!("service", without_times(answer.json()));
}

/// Replaces the moments at which services of the API were written.
fn without_times(mut answer: Value) -> Value {
    for pointer in ["", "/items/0", "/items/1"] {
        for key in ["createdAt", "updatedAt"] {
            if let Some(time) = answer.pointer_mut(&format!("{pointer}/{key}"))
                && !time.is_null()
            {
                let written: jiff::Timestamp = time.as_str().unwrap().parse().unwrap();
                assert!(written.as_second() > 1_700_000_000);
                *time = json!("when it was written");
            }
        }
    }
    answer
}

#[tokio::test]
async fn lists_go_on_at_their_cursor() {
    let router = router(&world().await);
    let first = get(&router, "/api/v1/services?limit=1").await.json();
    assert_eq!(
        (&first["items"][0]["slug"], &first["next"]),
        (&json!("mail"), &json!("mail"))
    );
    let second = get(&router, "/api/v1/services?limit=1&cursor=mail")
        .await
        .json();
    assert_eq!(
        (&second["items"][0]["slug"], &second["next"]),
        (&json!("shop-api"), &Value::Null)
    );

    let runs = get(&router, "/api/v1/services/shop-api/observations?limit=2")
        .await
        .json();
    assert_eq!(
        (runs["items"].as_array().unwrap().len(), &runs["next"]),
        (2, &json!("2"))
    );
    let rest = get(
        &router,
        "/api/v1/services/shop-api/observations?limit=2&cursor=2",
    )
    .await
    .json();
    assert_eq!(
        (&rest["items"][0]["runId"], &rest["next"]),
        (&json!(1), &Value::Null)
    );
}

#[tokio::test]
async fn lists_are_filtered() {
    let router = router(&world().await);
    for (path, wanted) in [
        ("/api/v1/services?status=error", 1),
        ("/api/v1/services?status=healthy", 0),
        ("/api/v1/services?tag=x", 0),
        ("/api/v1/alerts?state=firing", 1),
        ("/api/v1/alerts?state=resolved&service=mail", 1),
        ("/api/v1/alerts?state=pending", 0),
        ("/api/v1/notifications?state=waiting&alert=2", 1),
        ("/api/v1/notifications?state=dead", 0),
        (
            "/api/v1/recordings?service=shop-api&plugin=http&outcome=ok&status=unhealthy",
            1,
        ),
        ("/api/v1/recordings?service=mail", 0),
        ("/api/v1/recordings?outcome=trap", 0),
        ("/api/v1/recordings?cursor=7", 0),
    ] {
        let answer = get(&router, path).await.json();
        assert_eq!(answer["items"].as_array().unwrap().len(), wanted, "{path}");
    }
}

#[tokio::test]
async fn recordings() {
    let router = router(&world().await);
    assert_json_snapshot!(
        "recordings",
        get(&router, "/api/v1/recordings").await.json()
    );
    let file = get(&router, "/api/v1/recordings/7").await;
    assert_eq!(file.status, StatusCode::OK);
    assert_eq!(file.header("content-type"), Some("application/json"));
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"recording-7.json\"")
    );
    assert_eq!(file.body, super::world::RECORDING);
    let missing = get(&router, "/api/v1/recordings/8").await;
    assert_eq!(
        (missing.status, &missing.json()["title"]),
        (StatusCode::NOT_FOUND, &json!("Recording not found"))
    );
}

#[tokio::test]
async fn observations() {
    let router = router(&world().await);
    assert_json_snapshot!(
        "observations",
        get(&router, "/api/v1/services/shop-api/observations?limit=2")
            .await
            .json()
    );
    let answer = send_json(
        &router,
        Method::POST,
        "/api/v1/services/shop-api/check",
        json!({}),
    )
    .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_json_snapshot!("check", answer.json());
}

#[tokio::test]
async fn alerts_and_notifications() {
    let router = router(&world().await);
    assert_json_snapshot!("alerts", get(&router, "/api/v1/alerts").await.json());
    assert_json_snapshot!("alert", get(&router, "/api/v1/alerts/2").await.json());
    assert_json_snapshot!(
        "notifications",
        get(&router, "/api/v1/notifications").await.json()
    );
}

#[tokio::test]
async fn plugins() {
    let router = router(&world().await);
    assert_json_snapshot!("plugins", get(&router, "/api/v1/plugins").await.json());
    assert_eq!(
        get(&router, "/api/v1/plugins/slack").await.json()["kind"],
        "notifier"
    );
    let component = as_admin(Method::PUT, "/api/v1/plugins/mine")
        .body(Body::from(&b"\0asm\x0d\0\x01\0"[..]))
        .unwrap();
    let answer = send(&router, component).await;
    assert_eq!(
        (answer.status, &answer.json()["version"]),
        (StatusCode::OK, &json!("0.2.0"))
    );
    let answer = send_json(
        &router,
        Method::POST,
        "/api/v1/plugins/http/rollback",
        json!({}),
    )
    .await;
    assert_eq!(
        (answer.status, &answer.json()["version"]),
        (StatusCode::OK, &json!("0.1.0"))
    );
}

#[tokio::test]
async fn versions_and_candidates_of_a_plugin() {
    let world = world().await;
    let router = router(&world);
    assert_json_snapshot!(
        "versions",
        get(&router, "/api/v1/plugins/http/versions").await.json()
    );
    assert_eq!(
        get(&router, "/api/v1/plugins/none/versions").await.status,
        StatusCode::NOT_FOUND
    );
    let component = get(
        &router,
        &format!(
            "/api/v1/plugins/http/versions/{}/component",
            "9f86d081884c7d65".repeat(4)
        ),
    )
    .await;
    assert_eq!(component.header("content-type"), Some("application/wasm"));
    assert!(
        component
            .header("content-disposition")
            .unwrap()
            .starts_with("attachment; filename=\"http-9f86")
    );
    let answer = get(&router, "/api/v1/plugins/http/versions/00/component").await;
    assert_eq!(
        (answer.status, &answer.json()["type"]),
        (
            StatusCode::NOT_FOUND,
            &json!("urn:problem-type:extrack:version-not-found")
        )
    );

    world.compared(101, Status::Healthy, Status::Healthy).await;
    world
        .compared(103, Status::Healthy, Status::Unhealthy)
        .await;
    world.compared(105, Status::Error, Status::Error).await;
    assert_json_snapshot!(
        "shadow",
        get(&router, "/api/v1/plugins/http/shadow").await.json()
    );
    assert_eq!(
        get(&router, "/api/v1/plugins/slack/shadow").await.status,
        StatusCode::NOT_FOUND
    );
    for (method, path, status) in [
        (
            Method::POST,
            "/api/v1/plugins/http/rollback?to=0.1.0",
            StatusCode::OK,
        ),
        (
            Method::POST,
            "/api/v1/plugins/http/rollback?to=9.9.9",
            StatusCode::NOT_FOUND,
        ),
        (
            Method::POST,
            "/api/v1/plugins/http/rollback?two=0.1.0",
            StatusCode::BAD_REQUEST,
        ),
        (Method::PUT, "/api/v1/plugins/http/shadow", StatusCode::OK),
        (
            Method::PUT,
            "/api/v1/plugins/slack/shadow",
            StatusCode::CONFLICT,
        ),
        (Method::POST, "/api/v1/plugins/http/promote", StatusCode::OK),
        (
            Method::POST,
            "/api/v1/plugins/slack/promote",
            StatusCode::NOT_FOUND,
        ),
        (Method::POST, "/api/v1/plugins/http/discard", StatusCode::OK),
        (
            Method::POST,
            "/api/v1/plugins/slack/discard",
            StatusCode::NOT_FOUND,
        ),
        (Method::DELETE, "/api/v1/plugins/http", StatusCode::CONFLICT),
        (Method::DELETE, "/api/v1/plugins/slack", StatusCode::OK),
        (
            Method::DELETE,
            "/api/v1/plugins/none",
            StatusCode::NOT_FOUND,
        ),
    ] {
        let component = if method == Method::PUT { "\0asm" } else { "" };
        let answer = send(
            &router,
            as_admin(method.clone(), path)
                .body(Body::from(component))
                .unwrap(),
        )
        .await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
    }
    let empty = send(
        &router,
        as_admin(Method::PUT, "/api/v1/plugins/http/shadow")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST, "{}", empty.body);
}

#[tokio::test]
async fn the_audit_log_is_read_by_subject_and_actor() {
    let world = world().await;
    let router = router(&world);
    let detail = json!({"from": "aa", "to": "bb"});
    for (actor, action, subject) in [
        ("ci", "plugin.install", "http"),
        ("ci", "service.create", "http"),
        ("eve", "plugin.rollback", "slack"),
    ] {
        world
            .control
            .audit_append(actor, action, subject, &detail)
            .await
            .unwrap();
    }
    for (query, wanted) in [
        ("", vec!["plugin:slack", "service:http", "plugin:http"]),
        ("?subject=plugin:http", vec!["plugin:http"]),
        ("?subject=plugin:", vec!["plugin:slack", "plugin:http"]),
        ("?actor=ci", vec!["service:http", "plugin:http"]),
        ("?actor=eve&subject=plugin:http", vec![]),
    ] {
        let answer = get(&router, &format!("/api/v1/audit{query}")).await.json();
        let subjects: Vec<&str> = answer["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["subject"].as_str().unwrap())
            .collect();
        assert_eq!(subjects, wanted, "{query}");
    }
    let first = get(&router, "/api/v1/audit?limit=1").await.json();
    assert_eq!(
        (&first["items"][0]["detail"], &first["items"][0]["action"]),
        (&detail, &json!("plugin.rollback"))
    );
    let next = format!(
        "/api/v1/audit?limit=1&cursor={}",
        first["next"].as_str().unwrap()
    );
    assert_eq!(
        get(&router, &next).await.json()["items"][0]["action"],
        "service.create"
    );
    assert_eq!(
        get(&router, "/api/v1/audit?subject=http").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn sql() {
    let router = router(&world().await);
    let query = "select service, status, count(*) as runs, null as \"a,b\" from observations group by all order by status";
    let answer = send_json(
        &router,
        Method::POST,
        "/api/v1/sql",
        json!({ "query": query }),
    )
    .await;
    assert_json_snapshot!("sql", answer.json(), {
        ".queryId" => "[id]",
        ".dataTo" => "[moment]",
    });
    let answer = send_json(
        &router,
        Method::POST,
        "/api/v1/sql",
        json!({"query": query, "format": "csv"}),
    )
    .await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    assert_eq!(answer.header("extrack-truncated"), Some("false"));
    assert_eq!(
        answer.body,
        "service,status,runs,\"a,b\"\r\nshop-api,error,1,\r\nshop-api,healthy,2,\r\n"
    );
}

#[tokio::test]
async fn a_service_lives_and_dies_over_the_api() {
    let router = router(&world().await);
    let spec = json!({"name": "Öffi Plan", "baseUrl": "https://oeffi.example.com"});
    let created = send_json(&router, Method::POST, "/api/v1/services", spec.clone()).await;
    assert_eq!(created.status, StatusCode::CREATED);
    assert_eq!(
        created.header("location"),
        Some("/api/v1/services/%C3%B6ffi-plan")
    );
    assert_eq!(created.header("etag"), Some("\"1\""));
    let path = created.header("location").unwrap().to_owned();
    assert_eq!(get(&router, &path).await.json()["slug"], "öffi-plan");

    let put = |revision: &'static str| {
        let request = as_admin(Method::PUT, &path)
            .header(CONTENT_TYPE, "application/json")
            .header("if-match", revision);
        request.body(spec.to_string().into()).unwrap()
    };
    assert_eq!(
        send(&router, put("\"1\"")).await.header("etag"),
        Some("\"2\"")
    );
    assert_eq!(
        send(&router, put("\"1\"")).await.status,
        StatusCode::PRECONDITION_FAILED
    );
    let deleted = send_json(&router, Method::DELETE, &path, json!({})).await;
    assert_eq!(
        (deleted.status, deleted.body.as_str()),
        (StatusCode::NO_CONTENT, "")
    );
    assert_eq!(get(&router, &path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn health_readiness_and_metrics() {
    let world = world().await;
    let router = router(&world);
    let open = |path: &str| request(Method::GET, path).body(Body::empty()).unwrap();
    assert_eq!(
        send(&router, open("/healthz")).await.json(),
        json!({"status": "ok"})
    );
    assert_eq!(send(&router, open("/readyz")).await.status, StatusCode::OK);
    world
        .unready
        .lock()
        .unwrap()
        .push("the scheduler is not running".to_owned());
    let answer = send(&router, open("/readyz")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.json(),
        json!({"status": "not ready", "reasons": ["the scheduler is not running"]})
    );
    let answer = get(&router, "/metrics").await;
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(answer.body.contains("extrack_up 1"));
}

#[tokio::test]
async fn the_api_describes_itself() {
    let router = router(&world().await);
    let api = get(&router, "/api/v1/openapi.json").await.json();
    assert_eq!(api["openapi"], "3.1.0");
    let text = api.to_string();
    for schema in text
        .split("\"#/components/schemas/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
    {
        assert!(
            api["components"]["schemas"][schema].is_object(),
            "`{schema}` is described"
        );
    }
    assert_json_snapshot!("openapi", api);
}

#[tokio::test]
async fn silences_go_on_at_their_cursor() {
    let router = router(&world().await);
    for _ in 0..5 {
        let spec = json!({"matchers": "service=mail", "duration": "1h"});
        assert_eq!(
            send_json(&router, Method::POST, "/api/v1/silences", spec)
                .await
                .status,
            StatusCode::CREATED
        );
    }
    let (mut found, mut path) = (Vec::new(), "/api/v1/silences?limit=2".to_owned());
    loop {
        let page = get(&router, &path).await.json();
        found.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|silence| silence["id"].as_i64().unwrap()),
        );
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/silences?limit=2&cursor={next}");
    }
    assert_eq!(found, [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn lists_in_memory_page_too() {
    let router = router(&world().await);
    let first = get(&router, "/api/v1/plugins?limit=1").await.json();
    assert_eq!(first["items"][0]["name"], "http");
    let rest = get(
        &router,
        &format!(
            "/api/v1/plugins?limit=1&cursor={}",
            first["next"].as_str().unwrap()
        ),
    )
    .await
    .json();
    assert_eq!(
        (&rest["items"][0]["name"], &rest["next"]),
        (&json!("slack"), &json!(null))
    );
}

#[tokio::test]
async fn a_service_is_not_sent_again_while_its_tag_holds() {
    let router = router(&world().await);
    let path = "/api/v1/services/shop-api";
    let tag = get(&router, path).await.header("etag").unwrap().to_owned();
    for (known, status) in [
        (tag.clone(), StatusCode::NOT_MODIFIED),
        (format!("\"99\", W/{tag}"), StatusCode::NOT_MODIFIED),
        ("*".to_owned(), StatusCode::NOT_MODIFIED),
        ("\"99\"".to_owned(), StatusCode::OK),
    ] {
        let request = as_admin(Method::GET, path)
            .header("if-none-match", &known)
            .body(Body::empty())
            .unwrap();
        let answer = send(&router, request).await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (status, Some(tag.as_str())),
            "{known}"
        );
        assert_eq!(answer.body.is_empty(), status == StatusCode::NOT_MODIFIED);
    }
}

#[tokio::test]
async fn an_alert_is_acknowledged_without_a_body() {
    let router = router(&world().await);
    let request = as_admin(Method::POST, "/api/v1/alerts/2/acknowledge")
        .body(Body::empty())
        .unwrap();
    let answer = send(&router, request).await;
    assert_eq!(
        (answer.status, &answer.json()["state"]),
        (StatusCode::OK, &json!("acknowledged")),
        "{}",
        answer.body
    );
}

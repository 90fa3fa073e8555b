//! Silences, maintenance windows and the preview of routes over the API.

use serde_json::json;

use super::*;

async fn post_json(router: &Router, path: &str, body: &Value) -> Answer {
    send_json(router, Method::POST, path, body.clone()).await
}

#[tokio::test]
async fn a_silence_is_made_shown_previewed_and_ended() {
    let world = world().await;
    let router = router(&world);
    let spec = json!({"matchers": ["service=shop-api", "severity=~\"crit.*\""], "duration": "2h", "comment": "moving"});
    let made = post_json(&router, "/api/v1/silences", &spec).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let made = made.json();
    assert_eq!(
        (made["author"].as_str(), made["state"].as_str()),
        (Some("admin"), Some("active"))
    );
    assert_eq!(
        made["matchers"],
        json!(["service=\"shop-api\"", "severity=~\"crit.*\""])
    );
    let path = format!("/api/v1/silences/{}", made["id"]);
    assert_eq!(get(&router, &path).await.json(), made);
    assert_eq!(
        get(&router, "/api/v1/silences").await.json()["items"],
        json!([made])
    );

    let preview = post_json(
        &router,
        "/api/v1/silences/preview",
        &json!({"matchers": "service=shop-api"}),
    )
    .await
    .json();
    let muted: Vec<&Value> = preview["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| &alert["service"])
        .collect();
    assert!(
        !muted.is_empty() && muted.iter().all(|slug| **slug == "shop-api"),
        "{preview}"
    );

    let ended = as_admin(Method::DELETE, &path);
    let ended = send(&router, ended.body(Body::empty()).unwrap()).await;
    assert_eq!(ended.json()["state"], "expired");
    assert_eq!(
        get(&router, "/api/v1/silences").await.json()["items"],
        json!([])
    );
    assert_eq!(
        get(&router, "/api/v1/silences?ended=true").await.json()["items"][0]["id"],
        made["id"]
    );
    let actions: Vec<Value> = get(&router, "/api/v1/audit").await.json()["items"]
        .as_array()
        .unwrap()
        .clone();
    let actions: Vec<&str> = actions
        .iter()
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["silence.expire", "silence.create"]);
}

#[tokio::test]
async fn what_is_wrong_with_a_silence_or_a_window_is_said_with_its_place() {
    let world = world().await;
    let router = router(&world);
    for (path, spec, places) in [
        (
            "silences",
            json!({"matchers": [], "duration": "2h"}),
            vec!["/matchers"],
        ),
        (
            "silences",
            json!({"matchers": ["service"]}),
            vec!["/matchers/0", "/endsAt"],
        ),
        (
            "silences",
            json!({"matchers": "a=b", "endsAt": "2001-01-01T00:00:00Z"}),
            vec!["/endsAt"],
        ),
        (
            "silences",
            json!({"matchers": "a=b", "duration": "500d"}),
            vec!["/duration"],
        ),
        (
            "silences",
            json!({"matchers": "a=b", "startsAt": "now", "duration": "1h"}),
            vec!["/startsAt"],
        ),
        (
            "maintenance",
            json!({"name": "w", "cron": "0 2 * * *"}),
            vec!["/duration"],
        ),
        (
            "maintenance",
            json!({"name": " ", "start": "x", "end": "y"}),
            vec!["/name", "/start", "/end"],
        ),
        ("routes/preview", json!({}), vec![""]),
        (
            "routes/preview",
            json!({"alert": "None", "service": "shop-api", "labels": {"a": "b"}}),
            vec![""],
        ),
    ] {
        let answer = post_json(&router, &format!("/api/v1/{path}"), &spec).await;
        assert_eq!(
            answer.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path} {spec}"
        );
        let faults = answer.json()["faults"].as_array().unwrap().clone();
        let found: Vec<&str> = faults
            .iter()
            .map(|fault| fault["pointer"].as_str().unwrap())
            .collect();
        assert_eq!(found, places, "{spec}: {faults:?}");
    }
    assert_eq!(
        get(&router, "/api/v1/silences/99").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_window_is_made_once_replaced_and_taken_away() {
    let world = world().await;
    let router = router(&world);
    let spec = json!({"name": "weekly move", "match": "service=db", "cron": "0 2 * * SUN", "duration": "2h",
        "timezone": "Europe/Berlin"});
    let made = post_json(&router, "/api/v1/maintenance", &spec).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(
        post_json(&router, "/api/v1/maintenance", &spec)
            .await
            .status,
        StatusCode::CONFLICT
    );
    let listed = get(&router, "/api/v1/maintenance").await.json()["items"][0].clone();
    assert_eq!(
        (
            listed["origin"].as_str(),
            listed["duration"].as_str(),
            listed["timezone"].as_str()
        ),
        (Some("api"), Some("2h"), Some("Europe/Berlin"))
    );
    assert!(listed["opensAt"].is_string());
    let path = "/api/v1/maintenance/weekly%20move";
    let replaced = json!({"name": "weekly move", "cron": "0 3 * * SUN", "duration": "3h"});
    let answer = send_json(&router, Method::PUT, path, replaced.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let listed = get(&router, "/api/v1/maintenance").await.json()["items"].clone();
    assert_eq!(listed, json!([answer.json()]));
    assert_eq!(listed[0]["duration"], "3h");
    assert_eq!(listed[0]["match"], json!([]), "nothing of before is left");
    let elsewhere = "/api/v1/maintenance/another";
    let answer = send_json(&router, Method::PUT, elsewhere, replaced.clone()).await;
    assert_eq!(answer.json()["faults"][0]["pointer"], "/name");
    let mut another = replaced;
    another["name"] = json!("another");
    let answer = send_json(&router, Method::PUT, elsewhere, another).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let gone = || {
        let request = as_admin(Method::DELETE, path);
        request.body(Body::empty()).unwrap()
    };
    assert_eq!(send(&router, gone()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(send(&router, gone()).await.status, StatusCode::NOT_FOUND);
}

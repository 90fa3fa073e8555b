//! Backtests over HTTP: requests, rejections, and progress.

use serde_json::json;

use super::world::READER;
use super::*;

async fn ask(router: &Router, body: Value) -> Answer {
    send_json(router, Method::POST, "/api/v1/rules/backtest", body).await
}

#[tokio::test]
async fn answers_with_a_report() {
    let router = router(&world().await);
    let report = ask(&router, json!({"rule": "Service Down", "since": "7d"}))
        .await
        .json();
    assert_eq!(
        (
            &report["fired"],
            &report["firingMs"],
            &report["reallyFound"]
        ),
        (&1.into(), &2_500.into(), &1.into())
    );
    assert_eq!(report["messages"], json!({"ops": 2}));
    assert_eq!(report["evaluationsPerSecond"], 10_000);
    let alert = &report["services"][0]["alerts"][0];
    assert_eq!(
        (&alert["resolvedAt"], &alert["matched"]),
        (&"1970-01-01T00:00:03.500Z".into(), &true.into())
    );
}

#[tokio::test]
async fn refuses_what_makes_no_sense() {
    let router = router(&world().await);
    for (body, status, part) in [
        (json!({"rule": "Nope"}), 404, "no rule is named `Nope`"),
        (json!({"rule": {"type": "x"}}), 422, "/rule/type"),
        (
            json!({"rule": "Service Down", "since": "soon"}),
            400,
            "neither a duration",
        ),
        (
            json!({"rule": "Service Down", "since": "1h", "until": "2h"}),
            400,
            "has to be before",
        ),
        (
            json!({"rule": "Service Down", "component": "*"}),
            400,
            "not base64",
        ),
    ] {
        let answer = ask(&router, body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        assert!(answer.body.contains(part), "{}", answer.body);
    }
}

#[tokio::test]
async fn tells_its_progress_in_lines() {
    let router = router(&world().await);
    let lines = async |rule: &str| -> Vec<Value> {
        let request = request(Method::POST, "/api/v1/rules/backtest")
            .header(AUTHORIZATION, format!("Bearer {ADMIN}"))
            .header(CONTENT_TYPE, "application/json")
            .header("accept", "application/x-ndjson");
        let answer = send(
            &router,
            request
                .body(json!({"rule": rule}).to_string().into())
                .unwrap(),
        )
        .await;
        assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
        answer
            .body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let found = lines("Service Down").await;
    assert_eq!(
        found[0],
        json!({"progress": {"observations": 5, "ofObservations": 10}})
    );
    assert_eq!(found[1]["report"]["fired"], 1);
    assert_eq!(found.len(), 2);
    let refused = lines("Nope").await;
    assert!(
        refused[0]["error"]
            .as_str()
            .unwrap()
            .starts_with("no rule is named `Nope`"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_reader_that_stalls_or_leaves_does_not_keep_the_place_of_a_backtest() {
    let world = world().await;
    let router = router(&world);
    let running = async |count: usize| {
        let reached = async {
            while Arc::strong_count(&world.endless_backtests) != count + 1 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), reached)
            .await
            .expect("backtests start and end");
    };
    let request = as_admin(Method::POST, "/api/v1/rules/backtest")
        .header(CONTENT_TYPE, "application/json")
        .header("accept", "application/x-ndjson");
    let request = request
        .body(Body::from(json!({"rule": "Endless"}).to_string()))
        .unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    // The work goes on although no line has been read.
    running(1).await;
    drop(answer);
    running(0).await;
}

#[tokio::test]
async fn advice_on_a_rule_is_for_those_who_may_write() {
    let router = router(&world().await);
    for (token, wanted) in [
        (READER, StatusCode::FORBIDDEN),
        // No such alert fired.
        (ADMIN, StatusCode::BAD_REQUEST),
    ] {
        let path = "/api/v1/analytics/noise?advise=shop-api/Nope";
        let request = request(Method::GET, path).header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, wanted, "{}", answer.body);
    }
}

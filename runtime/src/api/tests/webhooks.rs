//! The one door that stands open: what a stranger finds there.

use axum::body::Bytes;
use axum::extract::ConnectInfo;
use insta::assert_json_snapshot;

use super::*;

const PATH: &str = "/webhooks/shop-api/told";

fn delivery(path: &str, body: impl Into<Body>) -> Request<Body> {
    request(Method::POST, path).body(body.into()).unwrap()
}

#[tokio::test]
async fn each_outcome_has_its_status_and_says_nothing_of_the_inside() {
    let router = router(&world().await);
    for (path, body, status) in [
        (PATH, "fine", StatusCode::OK),
        (PATH, "stranger", StatusCode::UNAUTHORIZED),
        (PATH, "malformed", StatusCode::BAD_REQUEST),
        (PATH, "broken", StatusCode::SERVICE_UNAVAILABLE),
        (PATH, "not stored", StatusCode::SERVICE_UNAVAILABLE),
        ("/webhooks/shop-api/other", "fine", StatusCode::NOT_FOUND),
        ("/webhooks/other/told", "fine", StatusCode::NOT_FOUND),
    ] {
        let answer = send(&router, delivery(path, body)).await;
        assert_eq!(answer.status, status, "{path} {body}");
        assert!(!answer.body.contains("/var/secret"), "{}", answer.body);
        assert_eq!(
            answer.header("retry-after").is_some(),
            status == StatusCode::SERVICE_UNAVAILABLE,
            "{body}"
        );
    }
    let unknown_service = send(&router, delivery("/webhooks/other/told", "x")).await;
    let unknown_webhook = send(&router, delivery("/webhooks/shop-api/other", "x")).await;
    assert_eq!(
        unknown_service.body, unknown_webhook.body,
        "which of the two it is stays inside"
    );
    assert_json_snapshot!(
        "webhook",
        send(&router, delivery(PATH, "fine")).await.json()
    );
}

#[tokio::test]
async fn a_challenge_is_answered_as_text_that_no_browser_runs() {
    let router = router(&world().await);
    let answer = send(&router, delivery(PATH, "challenge")).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (StatusCode::OK, "<b>3eZb</b>")
    );
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn the_plugin_gets_the_request_without_cookies() {
    let router = router(&world().await);
    let request = request(Method::PUT, "/webhooks/shop-api/told/a%2Fb/?x=1&y")
        .header("cookie", "extrack_session=s");
    let answer = send(
        &router,
        request.header("X-One", "1").body("echo".into()).unwrap(),
    )
    .await;
    assert_eq!(answer.body, r#"PUT /a%2Fb/ x=1&y [("x-one", "1")]"#);
    for method in [Method::DELETE, Method::PATCH] {
        let answer = send(&router, as_admin(method, PATH).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn bodies_and_headers_are_bounded() {
    let router = router(&world().await);
    let most = vec![b'a'; 1024 * 1024];
    assert_eq!(
        send(&router, delivery(PATH, most.clone())).await.status,
        StatusCode::OK
    );
    let more = [most.as_slice(), b"a"].concat();
    assert_eq!(
        send(&router, delivery(PATH, more.clone())).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    // Without a length, piece by piece.
    let pieces = futures::stream::iter(
        more.chunks(60_000)
            .map(|piece| Ok::<_, std::io::Error>(Bytes::copy_from_slice(piece)))
            .collect::<Vec<_>>(),
    );
    assert_eq!(
        send(&router, delivery(PATH, Body::from_stream(pieces)))
            .await
            .status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let long = request(Method::POST, PATH)
        .header("x-long", "a".repeat(33 * 1024))
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        send(&router, long).await.status,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
    let mut many = request(Method::POST, PATH);
    for number in 0..101 {
        many = many.header(format!("x-{number}"), "1");
    }
    assert_eq!(
        send(&router, many.body(Body::empty()).unwrap())
            .await
            .status,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
    );
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let router = router(&world().await);
    tokio::time::pause();
    let body = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    assert_eq!(
        send(&router, delivery(PATH, body)).await.status,
        StatusCode::REQUEST_TIMEOUT
    );
}

#[tokio::test]
async fn a_flood_is_turned_away_and_others_are_not() {
    let router = router(&world().await);
    let from = |address: &str, path: &str| {
        let mut request = delivery(path, "fine");
        let address: std::net::SocketAddr = format!("{address}:1234").parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(address));
        request
    };
    // Buckets fill up again as time passes, so a slow machine sends more before it is refused.
    let mut refused = None;
    for _ in 0..50_000 {
        let answer = send(&router, from("10.0.0.1", "/webhooks/shop-api/none")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("one address is limited");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        send(&router, from("10.0.0.2", PATH)).await.status,
        StatusCode::OK
    );
    let mut taken = 1;
    for number in 0..50_000 {
        let address = format!("10.1.{}.{}", number % 50, number / 400 % 250);
        match send(&router, from(&address, PATH)).await.status {
            StatusCode::OK => taken += 1,
            status => {
                assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
                assert!(
                    taken >= 300,
                    "{taken} deliveries to one webhook, from many addresses"
                );
                return;
            }
        }
    }
    panic!("{taken} deliveries to one webhook, and none was refused");
}

#[tokio::test]
async fn events_are_listed() {
    let world = world().await;
    let router = router(&world);
    for (id, service, kind) in [
        (1, "shop-api", "deploy"),
        (2, "shop-api", "rollback"),
        (3, "gone", "deploy"),
    ] {
        let event = Event {
            id,
            ts_ms: world.now,
            received_ms: world.now + 20,
            service: service.to_owned(),
            webhook: "told".to_owned(),
            plugin: "generic".to_owned(),
            plugin_version: "0.1.0".to_owned(),
            run_id: 100 + id,
            event_id: Some(format!("evt_{id}")),
            kind: kind.to_owned(),
            summary: format!("{kind} {id}"),
            payload: r#"{"a":1}"#.to_owned(),
            attributes: vec![Metric {
                name: "live".to_owned(),
                value: MetricValue::Boolean(true),
            }],
        };
        world
            .deps()
            .results
            .event_append_durable(vec![event], Vec::new())
            .await
            .unwrap();
    }
    let ids = async |path: &str| {
        let page = get(&router, path).await.json();
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("/api/v1/events").await, [3, 2, 1]);
    assert_eq!(
        ids("/api/v1/events?service=shop-api&kind=deploy").await,
        [1]
    );
    assert_eq!(ids("/api/v1/events?webhook=other").await, [0; 0]);
    assert_eq!(ids("/api/v1/services/shop-api/events").await, [2, 1]);
    assert_eq!(
        ids("/api/v1/services/shop-api/events?kind=rollback").await,
        [2]
    );
    let page = get(&router, "/api/v1/services/shop-api/events?limit=1")
        .await
        .json();
    assert_json_snapshot!("events", page);
    assert_eq!(
        ids("/api/v1/services/shop-api/events?limit=1&cursor=2").await,
        [1]
    );
    assert_eq!(
        get(&router, "/api/v1/services/none/events").await.status,
        StatusCode::NOT_FOUND
    );
}

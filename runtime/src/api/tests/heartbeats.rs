//! The pings of jobs: open to who knows the id, and bounded.

use super::world::HEARTBEAT_ID;
use super::*;

fn ping(method: Method, end: &str, body: impl Into<Body>) -> Request<Body> {
    let path = format!("/ping/{HEARTBEAT_ID}{end}");
    request(method, &path).body(body.into()).unwrap()
}

fn fail(exit_status: Option<u8>) -> Signal {
    Signal::Fail { exit_status }
}

#[tokio::test]
async fn a_ping_needs_its_id_and_nothing_else() {
    let world = world().await;
    let router = router(&world);
    for (method, end, signal) in [
        (Method::GET, "", Signal::Success),
        (Method::HEAD, "", Signal::Success),
        (Method::POST, "", Signal::Success),
        (Method::POST, "/start", Signal::Start),
        (Method::HEAD, "/fail", fail(None)),
        (Method::GET, "/0", Signal::Success),
        (Method::GET, "/17", fail(Some(17))),
    ] {
        let answer = send(&router, ping(method.clone(), end, "")).await;
        let text = if method == Method::HEAD { "" } else { "OK\n" };
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (StatusCode::OK, text),
            "{method} {end}"
        );
        let taken = world.pings.lock().unwrap().pop().unwrap();
        assert_eq!((taken.signal, taken.message), (signal, None), "{end}");
    }
    for end in ["/256", "/started", "/start/x", "/"] {
        let answer = send(&router, ping(Method::GET, end, "")).await;
        assert_ne!(answer.status, StatusCode::OK, "{end}");
    }
    let other = format!("/ping/{}", HEARTBEAT_ID.replace('5', "6"));
    for path in [other.as_str(), "/ping/x", "/ping/x/start"] {
        let answer = get(&router, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.body.contains(HEARTBEAT_ID), "{}", answer.body);
    }
    assert!(world.pings.lock().unwrap().is_empty());
}

#[tokio::test]
async fn of_a_body_the_beginning_is_kept_and_none_is_too_long() {
    let world = world().await;
    let router = router(&world);
    for (length, wanted) in [(3, 3), (20_000, Ping::MAX_MESSAGE_BYTES)] {
        let body = "a".repeat(length);
        let answer = send(&router, ping(Method::POST, "/1", body)).await;
        assert_eq!(answer.status, StatusCode::OK);
        let taken = world.pings.lock().unwrap().pop().unwrap();
        assert_eq!(taken.message.unwrap().len(), wanted);
    }
    let body = vec![b'a'; 2 << 20];
    let answer = send(&router, ping(Method::POST, "/1", body)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let taken = world.pings.lock().unwrap().pop().unwrap();
    assert!(taken.message.unwrap().contains("left out"));
}

#[tokio::test]
async fn a_ping_that_could_not_be_kept_is_not_confirmed() {
    let router = router(&world().await);
    let answer = send(&router, ping(Method::POST, "", "not kept")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn too_many_pings_are_refused() {
    let router = router(&world().await);
    for taken in 0..50_000 {
        let answer = send(&router, ping(Method::HEAD, "", "")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(taken >= 300, "{taken}");
            assert!(answer.header("retry-after").is_some());
            return;
        }
        assert_eq!(answer.status, StatusCode::OK);
    }
    panic!("none was refused");
}

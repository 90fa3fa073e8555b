//! Status pages and badges: open to everybody, and about what is public alone.

use serde_json::json;

use super::*;
use crate::spec::PublicPageSpec;

/// One public service and one that is not, with trouble and an incident each.
async fn two_services() -> Arc<World> {
    let world = World::at(now_ms()).await;
    let spec = |name: &str, public: bool| {
        let spec = json!({
            "name": name, "public": public, "tags": ["web"], "healthEndpoint": "/planted-path",
            "baseUrl": "https://planted-host.example", "monitoring": {"interval": 60, "timeout": 5000},
        });
        serde_json::from_value(spec).unwrap()
    };
    world
        .files_change(|entries| {
            entries.services = vec![(0, spec("Search", true)), (1, spec("Vault Core", false))];
        })
        .await;
    let mut incidents = Vec::new();
    for (id, service) in [(1, "search"), (2, "vault-core")] {
        world
            .observe_and_store(world.observation(service, "http", id, Status::Error))
            .await;
        incidents.push(Incident {
            id,
            facts: IncidentFacts {
                service: service.to_owned(),
                source: IncidentSource::Ours,
                reference: format!("r{id}"),
                kind: IncidentKind::Outage,
                cause: "connection refused by 203.0.113.7:443".to_owned(),
                error_kind: Some("connect".to_owned()),
                probe: Some("planted-probe".to_owned()),
                started_ms: world.now - 60_000,
                ended_ms: None,
                outcome: None,
                runs: 1,
                reopened: 0,
                decided_ms: world.now,
            },
            alert: None,
            change_id: id,
            changed_ms: world.now,
        });
    }
    let results = world.deps().results;
    results.incident_append(incidents).await.unwrap();
    world
}

async fn visit(router: &Router, path: &str) -> Answer {
    let request = request(Method::GET, path).header("accept", "text/html");
    send(router, request.body(Body::empty()).unwrap()).await
}

/// Visits until the pages have their history, which is read beside the requests.
async fn until_history(router: &Router) {
    let read = async {
        loop {
            let page = visit(router, "/status/services.json").await;
            if page.json()["historyTo"].is_string() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), read)
        .await
        .expect("the history is read");
}

#[tokio::test]
async fn anybody_sees_what_is_public_and_nothing_else() {
    let router = router(&two_services().await);
    until_history(&router).await;
    for (path, wanted) in [
        ("/status", "it could not be reached"),
        ("/status/services", "Search"),
        ("/status/services.json", "\"status\":\"down\""),
        (
            "/status/services/feed.atom",
            "Search: it could not be reached",
        ),
        ("/badge/search/status.svg", "down"),
        ("/badge/search/status.json", "\"message\":\"down\""),
        ("/badge/search/uptime.svg", "uptime 30d"),
        ("/badge/search/uptime.json?span=90d", "uptime 90d"),
        ("/badge/search/p95.svg", "p95 24h"),
    ] {
        let answer = visit(&router, path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        assert!(answer.body.contains(wanted), "{path}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        for planted in ["ault", "planted", "203.0.113.7", "refused", "https:"] {
            assert!(!answer.body.contains(planted), "{path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn what_is_private_answers_as_what_does_not_exist() {
    let router = router(&two_services().await);
    for (private, absent) in [
        ("/badge/vault-core/status.svg", "/badge/nothing/status.svg"),
        ("/badge/vault-core/p95.json", "/badge/search/cost.json"),
        ("/status/vault-core", "/status/nothing"),
        ("/status/vault-core.json", "/status/nothing.json"),
        ("/status/vault-core/feed.atom", "/status/nothing/feed.atom"),
    ] {
        let (one, other) = (visit(&router, private).await, visit(&router, absent).await);
        assert_eq!(one.status, StatusCode::NOT_FOUND, "{private}");
        assert_eq!(
            (one.status, &one.body, &one.headers),
            (other.status, &other.body, &other.headers),
            "{private}"
        );
    }
    let wrong = visit(&router, "/badge/search/uptime.svg?span=1y").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn without_a_public_service_there_is_no_page() {
    let world = world().await;
    let router = router(&world);
    for path in ["/status", "/status/services", "/badge/mail/status.svg"] {
        let answer = visit(&router, path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    let files = get(&router, "/api/v1/status-pages/files").await;
    assert_eq!(files.json(), json!({"files": []}));
}

#[tokio::test]
async fn a_visitor_who_has_a_page_gets_no_second_copy() {
    let router = router(&two_services().await);
    let first = visit(&router, "/badge/search/status.svg").await;
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!(
        first.header("cross-origin-resource-policy"),
        Some("cross-origin"),
        "pages of others may show it"
    );
    let again = request(Method::GET, "/badge/search/status.svg").header("if-none-match", &tag);
    let again = send(&router, again.body(Body::empty()).unwrap()).await;
    assert_eq!(
        (again.status, again.body.as_str()),
        (StatusCode::NOT_MODIFIED, "")
    );
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    assert_eq!(again.header("cache-control"), Some("public, max-age=60"));
}

#[tokio::test]
async fn the_zone_of_one_visitor_is_not_that_of_all() {
    let router = router(&two_services().await);
    let in_new_york = |request: axum::http::request::Builder| {
        request.header("cookie", "extrack_zone=America/New_York")
    };
    let first = in_new_york(request(Method::GET, "/status/services"));
    let first = send(&router, first.body(Body::empty()).unwrap()).await;
    let files = in_new_york(as_admin(Method::GET, "/api/v1/status-pages/files"));
    let files = send(&router, files.body(Body::empty()).unwrap()).await;
    for answer in [first, files] {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body.contains(" UTC</time>"), "{}", answer.body);
        for zone in [" EST<", " EDT<"] {
            assert!(!answer.body.contains(zone), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn pages_are_sent_compressed_to_those_who_accept_it_and_known_again() {
    let router = router(&two_services().await);
    until_history(&router).await;
    let plain = visit(&router, "/status/services").await;
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("vary"), Some("accept-encoding"));
    let accepting = || {
        let request = request(Method::GET, "/status/services");
        request.header("accept-encoding", "gzip, br")
    };
    let asked = accepting().body(Body::empty()).unwrap();
    let packed = router.clone().oneshot(asked).await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert_eq!(packed.headers()["vary"], "accept-encoding");
    let tag = packed.headers()["etag"].clone();
    assert_ne!(Some(tag.to_str().unwrap()), plain.header("etag"));
    let bytes = axum::body::to_bytes(packed.into_body(), usize::MAX).await;
    let mut text = String::new();
    let bytes = bytes.unwrap();
    let mut decoder = flate2::read::GzDecoder::new(bytes.as_ref());
    std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    assert!(text.contains("Search"), "{text}");
    let again = accepting().header("if-none-match", tag);
    let again = send(&router, again.body(Body::empty()).unwrap()).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn visitors_who_wait_take_few_places_and_those_with_pages_none() {
    let world = two_services().await;
    let settings = ApiSettings {
        max_in_flight: 4,
        ..ApiSettings::default()
    };
    let state = world.state(settings, Live::new());
    let router = super::super::router(state.clone());
    let place = state.status_pages.waiting.try_acquire().unwrap();
    let refused = visit(&router, "/status").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.header("retry-after").is_some());
    drop(place);
    assert_eq!(visit(&router, "/status").await.status, StatusCode::OK);
    let _place = state.status_pages.waiting.try_acquire().unwrap();
    assert_eq!(visit(&router, "/status").await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_of_the_configuration_take_the_place_of_the_one_of_all() {
    let world = two_services().await;
    let router = router(&world);
    assert_eq!(
        visit(&router, "/status/services").await.status,
        StatusCode::OK
    );
    let page = |name: &str, slug: &str| -> PublicPageSpec {
        serde_json::from_value(json!({
            "name": name, "title": "Our page", "groups": [{"title": "One", "services": [slug]}]
        }))
        .unwrap()
    };
    world
        .files_change(|entries| {
            entries.status_pages = vec![
                (0, page("empty", "vault-core")),
                (1, page("ours", "search")),
            ];
        })
        .await;
    for (path, status) in [
        ("/status", StatusCode::OK),
        ("/status/ours", StatusCode::OK),
        ("/status/empty", StatusCode::NOT_FOUND),
        ("/status/services", StatusCode::NOT_FOUND),
        ("/badge/search/status.svg", StatusCode::OK),
    ] {
        assert_eq!(visit(&router, path).await.status, status, "{path}");
    }
    let files = get(&router, "/api/v1/status-pages/files?page=ours").await;
    let files = files.json();
    let files = files["files"].as_array().unwrap();
    let paths: Vec<&str> = files
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    for path in [
        "index.html",
        "app.css",
        "ours.html",
        "ours.atom",
        "ours.json",
        "badge/search/uptime.svg",
    ] {
        assert!(paths.contains(&path), "{path}: {paths:?}");
    }
    let unknown = get(&router, "/api/v1/status-pages/files?page=empty").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn one_visitor_can_not_take_all_the_time() {
    let router = router(&two_services().await);
    let mut answers = Vec::new();
    for _ in 0..5_000 {
        let answer = visit(&router, "/badge/nothing/status.svg").await;
        let is_last = answer.status == StatusCode::TOO_MANY_REQUESTS;
        answers.push(answer);
        if is_last {
            break;
        }
    }
    let last = answers.last().unwrap();
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.header("retry-after").is_some());
    assert!(answers.len() > 500, "{}", answers.len());
}

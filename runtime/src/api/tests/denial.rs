//! Deny by default, over every route there is.

use axum::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};

use super::world::READER;
use super::*;
use crate::api::router::routes;
use crate::api::{Scope, token_hash};
use crate::store::control::SilenceDraft;

const METHODS: [Method; 6] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];

/// A path of that route.
fn concrete(route: &str) -> String {
    let digest = "9f86d081884c7d65".repeat(4);
    let route = route
        .replace("/notifications/{id}", "/notifications/1")
        .replace("{service}", "shop-api")
        .replace("{webhook}", "told")
        .replace("{*rest}", "rest");
    let route = route.replace("{slug}", "shop-api").replace("{id}", "2").replace("{name}", "http");
    route.replace("{file}", "app.css").replace("{runId}", "7").replace("{digest}", &digest)
}

#[test]
fn only_these_are_open() {
    let routes = routes();
    let mut open: Vec<_> = routes.paths.iter().filter(|(_, scope)| scope.is_none()).map(|(path, _)| *path).collect();
    open.sort_unstable();
    assert_eq!(
        open,
        [
            "/assets/{file}",
            "/healthz",
            "/login",
            "/readyz",
            "/webhooks/{service}/{webhook}",
            "/webhooks/{service}/{webhook}/{*rest}"
        ]
    );
}

#[tokio::test]
async fn every_other_route_denies_without_a_token() {
    let router = router(&world().await);
    let routes = routes();
    let closed = routes.paths.iter().filter(|(_, scope)| scope.is_some()).map(|(path, _)| *path);
    for path in closed.chain(["/nothing", "/api/v1/nothing", "/assets", "/api/v1/../services"]) {
        for method in METHODS {
            for (header, value) in
                [("accept", "*/*"), ("authorization", "Bearer wrong"), ("cookie", "extrack_session=wrong")]
            {
                let request = request(method.clone(), &concrete(path)).header(header, value);
                let answer = send(&router, request.body(Body::empty()).unwrap()).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path} with {header}");
                if method != Method::HEAD {
                    assert_eq!(answer.json()["status"], 401);
                }
            }
        }
    }
}

#[tokio::test]
async fn every_documented_operation_denies_without_a_token() {
    let router = router(&world().await);
    let api = get(&router, "/api/v1/openapi.json").await.json();
    let paths = api["paths"].as_object().unwrap();
    assert!(paths.len() >= 12, "{}", paths.len());
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = send(&router, request(method.clone(), &concrete(path)).body(Body::empty()).unwrap()).await;
            let open = matches!(path.as_str(), "/healthz" | "/readyz" | "/webhooks/{service}/{webhook}");
            assert_eq!(answer.status == StatusCode::UNAUTHORIZED, !open, "{method} {path}");
            assert_eq!(operation["security"].is_array(), !open, "{method} {path} says what it needs");
        }
    }
}

#[tokio::test]
async fn a_reader_may_only_read() {
    let world = world().await;
    for _ in 0..2 {
        let matchers = vec![Matcher::parse("service=mail").unwrap()];
        let (author, comment) = ("admin".to_owned(), String::new());
        let draft = SilenceDraft { matchers, starts_ms: 0, ends_ms: 1, author, comment };
        world.control.silence_insert(draft, 0).await.unwrap();
    }
    let router = router(&world);
    for (path, scope) in routes().paths {
        let Some(scope) = scope else { continue };
        let wanted = if [
            "/check",
            "/acknowledge",
            "/unacknowledge",
            "/resolve",
            "/rollback",
            "/promote",
            "/discard",
            "/pull",
            "/sql",
            "/resend",
            "/backtest",
        ]
        .iter()
        .any(|end| path.ends_with(end))
        {
            Some(Method::POST)
        } else if path == "/logout" || path == "/events" || path.ends_with("/preview") {
            None
        } else {
            Some(if scope == Scope::Read { Method::GET } else { Method::PUT })
        };
        let Some(method) = wanted else { continue };
        let request = request(method.clone(), &concrete(path)).header("authorization", format!("Bearer {READER}"));
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        match scope {
            Scope::Read => assert_eq!(answer.status, StatusCode::OK, "{method} {path}"),
            // A path that does not take the method says so to those who may use the path.
            _ => assert!(
                matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED),
                "{method} {path}: {}",
                answer.status
            ),
        }
    }
}

async fn sign_in(router: &Router, token: &str) -> Answer {
    let request = request(Method::POST, "/login").header("content-type", "application/x-www-form-urlencoded");
    send(router, request.body(format!("token={token}").into()).unwrap()).await
}

#[tokio::test]
async fn a_session_is_a_cookie_that_ends_with_signing_out() {
    let world = world().await;
    let router = router(&world);
    let answer = sign_in(&router, ADMIN).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, Some("/")));
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();

    let page = || request(Method::GET, "/").header(COOKIE, cookie).body(Body::empty()).unwrap();
    assert_eq!(send(&router, page()).await.status, StatusCode::OK);

    let logout = |origin: &'static str| {
        let request = request(Method::POST, "/logout").header(COOKIE, cookie).header(HOST, "x.org");
        request.header(ORIGIN, origin).body(Body::empty()).unwrap()
    };
    assert_eq!(send(&router, logout("http://evil.org")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(send(&router, logout("http://x.org")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(send(&router, page()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_with_its_time_or_its_token() {
    let world = world().await;
    let router = router(&world);
    let token = world.control.token_find(&token_hash(ADMIN)).await.unwrap().unwrap();
    let page = |id: &str| {
        request(Method::GET, "/").header(COOKIE, format!("extrack_session={id}")).body(Body::empty()).unwrap()
    };
    world.control.session_insert(&token_hash("over"), token.id, now_ms() - 1).await.unwrap();
    assert_eq!(send(&router, page("over")).await.status, StatusCode::UNAUTHORIZED);
    world.control.session_insert(&token_hash("good"), token.id, now_ms() + 60_000).await.unwrap();
    assert_eq!(send(&router, page("good")).await.status, StatusCode::OK);
    world.control.token_delete(token.id).await.unwrap();
    assert_eq!(send(&router, page("good")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn changes_by_cookie_have_to_come_from_our_pages() {
    let router = router(&world().await);
    let answer = sign_in(&router, ADMIN).await;
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    for (site, wanted) in [
        (Some("same-origin"), StatusCode::OK),
        (Some("cross-site"), StatusCode::FORBIDDEN),
        (None, StatusCode::FORBIDDEN),
    ] {
        let mut request = request(Method::POST, "/api/v1/services/shop-api/check").header(COOKIE, &cookie);
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        assert_eq!(send(&router, request.body(Body::empty()).unwrap()).await.status, wanted, "{site:?}");
    }
}

#[tokio::test]
async fn failed_sign_ins_are_slowed_down() {
    let router = router(&world().await);
    for _ in 0..10 {
        assert_eq!(sign_in(&router, "guess").await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = sign_in(&router, ADMIN).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.header("retry-after").is_some());
}

#[tokio::test]
async fn a_browser_is_sent_to_sign_in_and_back() {
    let router = router(&world().await);
    let page = request(Method::GET, "/?status=error").header("accept", "text/html,*/*").body(Body::empty()).unwrap();
    let answer = send(&router, page).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.header("location"), Some("/login?next=%2F%3Fstatus%3Derror"));
}

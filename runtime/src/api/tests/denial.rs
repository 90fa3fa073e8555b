//! Deny by default, over every route there is.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};

use serde_json::json;

use super::world::{HEARTBEAT_ID, READER};
use super::*;
use crate::api::routes::routes;
use crate::api::{Scope, token_hash};
use crate::store::control::{SilenceDraft, TokenOrigin};

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::PATCH,
];

/// A path of that route.
fn concrete(route: &str) -> String {
    let digest = "9f86d081884c7d65".repeat(4);
    let route = route
        .replace("/notifications/{id}", "/notifications/1")
        .replace("{service}", "shop-api")
        .replace("{webhook}", "told")
        .replace("{*rest}", "rest")
        .replace("{uuid}", HEARTBEAT_ID)
        .replace("{signal}", "start")
        .replace("{deliveryId}", "2")
        .replace("{slug}", "shop-api")
        .replace("{id}", "2")
        .replace("{name}", "http");
    route
        .replace("{file}", "app.css")
        .replace("{page}", "services")
        .replace("{runId}", "7")
        .replace("{run}", "2")
        .replace("{note}", "1")
        .replace("{queryId}", "q1")
        .replace("{digest}", &digest)
}

#[test]
fn only_these_are_open() {
    let routes = routes();
    let mut open: Vec<_> = routes
        .paths
        .iter()
        .filter(|(_, scope)| scope.is_none())
        .map(|(path, _)| *path)
        .collect();
    open.sort_unstable();
    open.dedup();
    assert_eq!(
        open,
        [
            "/assets/{file}",
            "/badge/{slug}/{file}",
            "/healthz",
            "/login",
            "/ping/{uuid}",
            "/ping/{uuid}/{signal}",
            "/readyz",
            "/status",
            "/status/{page}",
            "/status/{page}/feed.atom",
            "/webhooks/{service}",
            "/webhooks/{service}/{webhook}",
            "/webhooks/{service}/{webhook}/{*rest}"
        ]
    );
}

#[tokio::test]
async fn every_other_route_denies_without_a_token() {
    let router = router(&world().await);
    let routes = routes();
    let closed = routes
        .paths
        .iter()
        .filter(|(_, scope)| scope.is_some())
        .map(|(path, _)| *path);
    let mut count = 0_u32;
    for path in closed.chain([
        "/nothing",
        "/api/v1/nothing",
        "/assets",
        "/api/v1/../services",
    ]) {
        for method in METHODS {
            for (header, value) in [
                ("accept", "*/*"),
                ("authorization", "Bearer wrong"),
                ("cookie", "extrack_session=wrong"),
            ] {
                // From another address each time: wrong tokens are counted.
                count += 1;
                let [_, a, b, c] = u32::to_be_bytes(count);
                let request = from(request(method.clone(), &concrete(path)), [10, a, b, c])
                    .header(header, value);
                let answer = send(&router, request.body(Body::empty()).unwrap()).await;
                assert_eq!(
                    answer.status,
                    StatusCode::UNAUTHORIZED,
                    "{method} {path} with {header}"
                );
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
            let answer = send(
                &router,
                request(method.clone(), &concrete(path))
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
            let open = matches!(
                path.as_str(),
                "/healthz"
                    | "/readyz"
                    | "/webhooks/{service}"
                    | "/webhooks/{service}/{webhook}"
                    | "/ping/{uuid}"
                    | "/ping/{uuid}/{signal}"
            );
            assert_eq!(
                answer.status == StatusCode::UNAUTHORIZED,
                !open,
                "{method} {path}"
            );
            assert_eq!(
                operation["security"].is_array(),
                !open,
                "{method} {path} says what it needs"
            );
        }
    }
}

#[tokio::test]
async fn a_reader_may_only_read() {
    let world = world().await;
    for _ in 0..2 {
        let matchers = vec![Matcher::parse("service=mail").unwrap()];
        let (author, comment) = ("admin".to_owned(), String::new());
        let draft = SilenceDraft {
            matchers,
            starts_ms: 0,
            ends_ms: 1,
            author,
            comment,
        };
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
            "/replay",
            "/rotate",
        ]
        .iter()
        .any(|end| path.ends_with(end))
        {
            Some(Method::POST)
        } else if ["/logout", "/events", "/preferences"].contains(&path)
            || path.ends_with("/preview")
        {
            None
        } else {
            Some(if scope == Scope::Read {
                Method::GET
            } else {
                Method::PUT
            })
        };
        let Some(method) = wanted else { continue };
        let request = request(method.clone(), &concrete(path))
            .header("authorization", format!("Bearer {READER}"));
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        match scope {
            // There is none, which only those learn who may read it.
            Scope::Read
                if ["/incidents/{id}", "/reports/{name}"]
                    .iter()
                    .any(|none| path.contains(none)) =>
            {
                assert!(
                    matches!(
                        answer.status,
                        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST
                    ),
                    "{method} {path}: {}",
                    answer.status
                );
            }
            Scope::Read => assert_eq!(answer.status, StatusCode::OK, "{method} {path}"),
            // A path that does not take the method answers so to those who may use the path.
            _ => assert!(
                matches!(
                    answer.status,
                    StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED
                ),
                "{method} {path}: {}",
                answer.status
            ),
        }
    }
}

async fn sign_in(router: &Router, token: &str) -> Answer {
    let request =
        request(Method::POST, "/login").header("content-type", "application/x-www-form-urlencoded");
    send(
        router,
        request.body(format!("token={token}").into()).unwrap(),
    )
    .await
}

#[tokio::test]
async fn a_session_is_a_cookie_that_ends_with_signing_out() {
    let world = world().await;
    let router = router(&world);
    let answer = sign_in(&router, ADMIN).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::SEE_OTHER, Some("/"))
    );
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();

    let page = || {
        request(Method::GET, "/")
            .header(COOKIE, cookie)
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(send(&router, page()).await.status, StatusCode::OK);

    let logout = |origin: &'static str| {
        let request = request(Method::POST, "/logout")
            .header(COOKIE, cookie)
            .header(HOST, "x.org");
        request.header(ORIGIN, origin).body(Body::empty()).unwrap()
    };
    assert_eq!(
        send(&router, logout("http://evil.org")).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        send(&router, logout("http://x.org")).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(send(&router, page()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_session_ends_with_its_time_or_its_token() {
    let world = world().await;
    let router = router(&world);
    let token = world
        .control
        .token_find(&token_hash(ADMIN), now_ms())
        .await
        .unwrap()
        .unwrap();
    let page = |id: &str| {
        request(Method::GET, "/")
            .header(COOKIE, format!("extrack_session={id}"))
            .body(Body::empty())
            .unwrap()
    };
    world
        .control
        .session_insert(&token_hash("over"), token.id, now_ms() - 1)
        .await
        .unwrap();
    assert_eq!(
        send(&router, page("over")).await.status,
        StatusCode::UNAUTHORIZED
    );
    world
        .control
        .session_insert(&token_hash("good"), token.id, now_ms() + 60_000)
        .await
        .unwrap();
    assert_eq!(send(&router, page("good")).await.status, StatusCode::OK);
    world
        .control
        .token_delete_others(TokenOrigin::Api, None)
        .await
        .unwrap();
    assert_eq!(
        send(&router, page("good")).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn changes_by_cookie_have_to_come_from_our_pages() {
    let router = router(&world().await);
    let answer = sign_in(&router, ADMIN).await;
    let cookie = answer.headers[SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    for (site, wanted) in [
        (Some("same-origin"), StatusCode::OK),
        (Some("cross-site"), StatusCode::FORBIDDEN),
        (None, StatusCode::FORBIDDEN),
    ] {
        let mut request =
            request(Method::POST, "/api/v1/services/shop-api/check").header(COOKIE, &cookie);
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        assert_eq!(
            send(&router, request.body(Body::empty()).unwrap())
                .await
                .status,
            wanted,
            "{site:?}"
        );
    }
}

#[tokio::test]
async fn failed_sign_ins_are_slowed_down() {
    let router = router(&world().await);
    for _ in 0..10 {
        assert_eq!(
            sign_in(&router, "guess").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    let answer = sign_in(&router, "guess").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.header("retry-after").is_some());
    let answer = sign_in(&router, ADMIN).await;
    assert_eq!(
        answer.status,
        StatusCode::SEE_OTHER,
        "a right token is good, whoever guesses from the same address"
    );
}

#[tokio::test]
async fn requests_without_a_token_are_no_guesses_and_get_401_however_many_they_are() {
    let router = router(&world().await);
    for number in 0..30 {
        let ask = from(request(Method::GET, "/api/v1/services"), [192, 0, 2, 1]);
        let ask = match number % 3 {
            0 => ask,
            1 => ask.header("authorization", "Basic dXNlcjpwYXNz"),
            _ => ask.header("authorization", "Bearer "),
        };
        let answer = send(&router, ask.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "request {number}");
        let answer = sign_in(&router, "").await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "form {number}");
    }
    assert_eq!(
        sign_in(&router, "guess").await.status,
        StatusCode::UNAUTHORIZED,
        "a first guess is not one too many"
    );
}

fn from(request: axum::http::request::Builder, peer: [u8; 4]) -> axum::http::request::Builder {
    request.extension(ConnectInfo(SocketAddr::from((peer, 4711))))
}

#[tokio::test]
async fn wrong_tokens_are_slowed_down_by_address_and_right_ones_are_not() {
    let world = world().await;
    let settings = ApiSettings {
        trusted_proxies: TrustedProxies::parse("10.0.0.0/8").unwrap(),
        ..ApiSettings::default()
    };
    let router = crate::api::router(world.state(settings, Live::new()));
    let ask = async |token: &str, peer: [u8; 4], forwarded: &str| {
        let request = from(request(Method::GET, "/api/v1/services"), peer);
        let request = request
            .header("authorization", format!("Bearer {token}"))
            .header("x-forwarded-for", forwarded);
        send(&router, request.body(Body::empty()).unwrap()).await
    };
    for number in 0..10 {
        let token = format!("guess-{number}");
        assert_eq!(
            ask(&token, [192, 0, 2, 1], "198.51.100.1").await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    // Another header each time is of no use to a stranger.
    let answer = ask("guess-x", [192, 0, 2, 1], "198.51.100.2").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        answer.json()["type"],
        "urn:problem-type:extrack:too-many-guesses"
    );
    assert!(answer.header("retry-after").is_some());
    assert_eq!(ask(ADMIN, [192, 0, 2, 1], "").await.status, StatusCode::OK);
    assert_eq!(
        ask("guess", [192, 0, 2, 2], "").await.status,
        StatusCode::UNAUTHORIZED,
        "others are not harmed"
    );
    // Behind a trusted proxy, each client is its own.
    for number in 0..11 {
        ask(&format!("guess-{number}"), [10, 0, 0, 1], "198.51.100.7").await;
    }
    assert_eq!(
        ask("guess", [10, 0, 0, 1], "198.51.100.7").await.status,
        StatusCode::TOO_MANY_REQUESTS
    );
    assert_eq!(
        ask("guess", [10, 0, 0, 1], "198.51.100.8").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn tokens_are_made_with_scopes_listed_and_revoked() {
    let router = router(&world().await);
    let spec = json!({"name": "ci", "scopes": ["deploy", "read"], "expiresIn": "90d"});
    let made = send_json(&router, Method::POST, "/api/v1/tokens", spec.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let made = made.json();
    let token = made["token"].as_str().unwrap().to_owned();
    assert_eq!(
        (&made["scopes"], &made["createdBy"]),
        (&json!(["read", "deploy"]), &json!("admin"))
    );
    assert_eq!(
        send_json(&router, Method::POST, "/api/v1/tokens", spec)
            .await
            .status,
        StatusCode::CONFLICT
    );

    let ask = async |method: Method, path: &str| {
        let request = request(method, path).header("authorization", format!("Bearer {token}"));
        send(&router, request.body(Body::empty()).unwrap())
            .await
            .status
    };
    assert_eq!(ask(Method::GET, "/api/v1/services").await, StatusCode::OK);
    assert_eq!(
        ask(Method::POST, "/api/v1/plugins/slack/rollback").await,
        StatusCode::CONFLICT,
        "it may deploy"
    );
    assert_eq!(
        ask(Method::GET, "/api/v1/tokens").await,
        StatusCode::FORBIDDEN
    );

    let list = get(&router, "/api/v1/tokens?limit=2").await;
    assert!(!list.body.contains(&token));
    let first = list.json();
    assert_eq!(
        (first["items"].as_array().unwrap().len(), &first["next"]),
        (2, &json!("2"))
    );
    let rest = get(&router, "/api/v1/tokens?limit=2&cursor=2").await.json();
    assert_eq!(
        (&rest["items"][0]["name"], &rest["next"]),
        (&json!("ci"), &json!(null))
    );
    assert!(rest["items"][0]["lastUsedAt"].is_string());

    let path = format!("/api/v1/tokens/{}", made["id"]);
    let revoked = send(
        &router,
        as_admin(Method::DELETE, &path).body(Body::empty()).unwrap(),
    )
    .await;
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(
        ask(Method::GET, "/api/v1/services").await,
        StatusCode::UNAUTHORIZED
    );
    let last = send(
        &router,
        as_admin(Method::DELETE, "/api/v1/tokens/1")
            .body(Body::empty())
            .unwrap(),
    )
    .await;
    assert_eq!(
        (last.status, &last.json()["type"]),
        (
            StatusCode::CONFLICT,
            &json!("urn:problem-type:extrack:token-needed")
        )
    );
    let audited = get(&router, "/api/v1/audit?subject=token:").await.json();
    assert_eq!(audited["items"][1]["subject"], "token:ci");

    for (spec, pointer) in [
        (json!({"name": "", "scopes": ["read"]}), "/name"),
        (json!({"name": "x", "scopes": []}), "/scopes"),
        (json!({"name": "x", "scopes": ["root"]}), "/scopes/0"),
        (
            json!({"name": "x", "scopes": ["read"], "expiresIn": "soon"}),
            "/expiresIn",
        ),
        (
            json!({"name": "x", "scopes": ["read"], "expiresAt": "2020-01-01T00:00:00Z"}),
            "/expiresAt",
        ),
    ] {
        let answer = send_json(&router, Method::POST, "/api/v1/tokens", spec).await;
        assert_eq!(
            (answer.status, &answer.json()["faults"][0]["pointer"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(pointer))
        );
    }
}

#[tokio::test]
async fn health_is_answered_whatever_else_is_busy() {
    let settings = ApiSettings {
        max_in_flight: 0,
        ..ApiSettings::default()
    };
    let router = crate::api::router(world().await.state(settings, Live::new()));
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(&router, path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(
        get(&router, "/login").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test]
async fn a_browser_is_sent_to_sign_in_and_back() {
    let router = router(&world().await);
    let page = request(Method::GET, "/?status=error")
        .header("accept", "text/html,*/*")
        .body(Body::empty())
        .unwrap();
    let answer = send(&router, page).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(
        answer.header("location"),
        Some("/login?next=%2F%3Fstatus%3Derror")
    );
}

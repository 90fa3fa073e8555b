//! Probes that ask more than one question: several steps, a query, a registry, a limit; against one
//! server that refuses what is not as it should be.

use std::net::SocketAddr;

use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use extrack_tests::{Api, TestRuntime};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// Ends in ten days and a bit.
fn registration() -> Value {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("the clock is set");
    // Senders write moments as numbers, too.
    let expires = now.as_secs() + 10 * 86_400 + 3_600;
    json!({
        "objectClassName": "domain", "ldhName": "shop.example", "status": ["active"],
        "events": [{"eventAction": "expiration", "eventDate": expires}],
    })
}

async fn login(body: Json<Value>) -> Response {
    if body.0 != json!({"user": "probe"}) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let headers = [("set-cookie", "session=s1; Path=/; HttpOnly")];
    (headers, Json(json!({"token": "t\"0k", "order": {"id": 7}}))).into_response()
}

async fn order(headers: HeaderMap) -> Response {
    let has = |name: &str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    if has("cookie", "session=s1") && has("authorization", "Bearer t\"0k") {
        Json(json!({"state": "open"})).into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

async fn graphql(Json(body): Json<Value>) -> Json<Value> {
    if body["query"]
        .as_str()
        .is_some_and(|query| query.contains("broken"))
    {
        return Json(json!({"errors": [{"message": "no field `broken`"}]}));
    }
    Json(json!({"data": {"shop": {"id": body["variables"]["id"]}}}))
}

async fn limit() -> impl IntoResponse {
    let headers = [
        ("x-ratelimit-limit", "100"),
        ("x-ratelimit-remaining", "5"),
        ("x-ratelimit-reset", "600"),
    ];
    (headers, "{}")
}

async fn start() -> (SocketAddr, AbortOnDropHandle<()>) {
    let router = Router::new()
        .route("/login", post(login))
        .route("/orders/7", get(order))
        .route("/graphql", post(graphql))
        .route(
            "/domain/shop.example",
            get(async || Redirect::temporary("/registry/shop.example")),
        )
        .route("/registry/shop.example", get(async || Json(registration())))
        .route("/limit", get(limit));
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port can be opened");
    let address = listener.local_addr().expect("an open port has an address");
    let server = tokio::spawn(async move {
        axum::serve(listener, router)
            .await
            .expect("serving goes on until it is dropped");
    });
    (address, AbortOnDropHandle::new(server))
}

async fn look(api: &Api, probe: &str, status: &str, says: &str) -> Value {
    let found = api.check_probe("shop", probe).await;
    assert_eq!(found["status"], status, "{probe}: {found}");
    let said = found["error"].as_str().unwrap_or_default();
    assert!(said.contains(says), "{probe}: `{says}` in {found}");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_queries_registries_and_limits_are_asked_for_what_they_know() {
    let (address, _server) = start().await;
    let login = "{name: log in, path: /login, method: POST, headers: {Content-Type: application/json}, \
                 body: '{\"user\": \"probe\"}', extract: {token: {jsonpath: $.token}, id: {regex: '\"id\":([0-9]+)'}}}";
    let bearer = "variableHeaders: {Authorization: 'Bearer {{token}}'}";
    let open = "assertions: [{jsonpath: $.state, equals: open}]";
    let services = format!(
        "services:
  - name: Shop
    baseUrl: http://{address}
    healthEndpoint: /login
    monitoring: {{interval: 86400, timeout: 5000, expectedStatus: 405}}
    probes:
      - {{plugin: http, name: steps, interval: 86400, settings: {{steps: [{login}, {{path: '/orders/{{{{id}}}}', {bearer}, {open}}}]}}}}
      - {{plugin: http, name: refused, interval: 86400, settings: {{steps: [{login}, {{name: read, path: '/orders/{{{{id}}}}'}}]}}}}
      - {{plugin: graphql, interval: 86400, settings: {{path: /graphql, query: 'query($id: ID) {{ shop(id: $id) {{ id }} }}', variables: {{id: s7}}, assertions: [{{jsonpath: $.data.shop.id, equals: s7}}]}}}}
      - {{plugin: graphql, name: broken, interval: 86400, settings: {{path: /graphql, query: '{{ broken }}'}}}}
      - {{plugin: domain, interval: 86400, settings: {{name: shop.example, server: 'http://{address}'}}}}
      - {{plugin: rate-limit, interval: 86400, settings: {{path: /limit}}}}
"
    );
    let runtime = TestRuntime::builder().services(services).start().await;
    let api = runtime.api();
    look(&api, "steps", "healthy", "").await;
    let refused = look(&api, "refused", "unhealthy", "step 2 `read`: status is 401").await;
    assert_eq!(refused["httpStatus"], 401);
    look(&api, "graphql", "healthy", "").await;
    look(&api, "broken", "unhealthy", "errors: no field `broken`").await;
    look(&api, "domain", "degraded", "ends in 10 days").await;
    look(
        &api,
        "rate-limit",
        "degraded",
        "limit `default` has 5.0 % left, 5 of 100",
    )
    .await;
}

//! The face from outside: requests against the whole router, with a small world behind it.

mod backtest;
mod channels;
mod dashboard;
mod denial;
mod forms;
mod frame;
mod heartbeats;
mod left_clients;
mod problems;
mod reach;
mod reports;
mod rooms;
mod shapes;
mod silences;
mod status;
mod webhooks;
mod world;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::{ApiSettings, Live};
use crate::domain::*;
use crate::store::control::AlertDraft;
use world::{ADMIN, World};

/// A service in trouble and one that waits, an open alert and a resolved one, two plugins.
async fn world() -> Arc<World> {
    let world = World::empty().await;
    world
        .service_add("Shop API", "https://shop.example.com")
        .await;
    world
        .file_service_add("Mail", "https://mail.example.com")
        .await;
    for (run_id, status) in [
        (1, Status::Healthy),
        (2, Status::Healthy),
        (3, Status::Error),
    ] {
        world
            .observe_and_store(world.observation("shop-api", "http", run_id, status))
            .await;
    }
    world
        .alert(
            world.draft("mail", Severity::Warning, AlertState::Resolved),
            None,
            false,
        )
        .await;
    let pending = world.draft("shop-api", Severity::Critical, AlertState::Pending);
    let id = world.alert(pending.clone(), None, false).await.id;
    let firing = AlertDraft {
        id: Some(id),
        ..world.draft("shop-api", Severity::Critical, AlertState::Firing)
    };
    world.alert(firing, Some(AlertState::Pending), true).await;
    world.attempt(1).await;
    world
        .plugins
        .lock()
        .unwrap()
        .push(world.plugin(PluginKind::Probe, "http"));
    world
        .plugins
        .lock()
        .unwrap()
        .push(world.plugin(PluginKind::Notifier, "slack"));
    world
}

fn router(world: &Arc<World>) -> Router {
    super::router(world.state(ApiSettings::default(), Live::new()))
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|_| panic!("{}: {}", self.status, self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

fn as_admin(method: Method, path: &str) -> axum::http::request::Builder {
    request(method, path).header(AUTHORIZATION, format!("Bearer {ADMIN}"))
}

async fn get(router: &Router, path: &str) -> Answer {
    send(
        router,
        as_admin(Method::GET, path).body(Body::empty()).unwrap(),
    )
    .await
}

async fn send_json(router: &Router, method: Method, path: &str, body: Value) -> Answer {
    let request = as_admin(method, path).header(CONTENT_TYPE, "application/json");
    send(router, request.body(body.to_string().into()).unwrap()).await
}

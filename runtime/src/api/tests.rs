//! The face from outside: requests against the whole router, with a small world behind it.

mod dashboard;
mod denial;
mod problems;
mod shapes;
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
use world::{ADMIN, World};

/// Services in every state, alerts, plugins.
fn world() -> Arc<World> {
    let world = World::empty();
    world.service_add("Shop API", "REST", "https://shop.example.com", Origin::Api);
    world.service_add("Mail", "SMTP", "https://mail.example.com", Origin::File);
    world.observe(world.observation("shop-api", "http", 1, Status::Healthy));
    world.observe(world.observation("shop-api", "http", 2, Status::Healthy));
    world.observe(world.observation("shop-api", "http", 3, Status::Error));
    let alert = world.alert(5, "shop-api", Severity::Critical, AlertState::Firing);
    world.notifications.lock().unwrap().push(world.notification(11, alert.clone(), NotificationState::Waiting));
    world.alerts.lock().unwrap().push(world.alert(4, "mail", Severity::Warning, AlertState::Resolved));
    world.alerts.lock().unwrap().push(alert);
    world.plugins.lock().unwrap().push(world.plugin(PluginKind::Probe, "http"));
    world.plugins.lock().unwrap().push(world.plugin(PluginKind::Notifier, "slack"));
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
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{}: {}", self.status, self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(path)
}

fn as_admin(method: Method, path: &str) -> axum::http::request::Builder {
    request(method, path).header(AUTHORIZATION, format!("Bearer {ADMIN}"))
}

async fn get(router: &Router, path: &str) -> Answer {
    send(router, as_admin(Method::GET, path).body(Body::empty()).unwrap()).await
}

async fn send_json(router: &Router, method: Method, path: &str, body: Value) -> Answer {
    let request = as_admin(method, path).header(CONTENT_TYPE, "application/json");
    send(router, request.body(body.to_string().into()).unwrap()).await
}

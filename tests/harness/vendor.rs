//! A vendor whose mood the test decides, by path, and who counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::LOOPBACK;

/// Server whose paths answer 200 at once until a test changes that.
pub struct Vendor {
    address: SocketAddr,
    behaviour: Behaviour,
    _server: AbortOnDropHandle<()>,
}

type Behaviour = Arc<Mutex<HashMap<String, Path>>>;

#[derive(Debug, Clone)]
struct Path {
    status: u16,
    delay: Duration,
    headers: Vec<(&'static str, String)>,
    body: String,
    hits: u64,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            status: 200,
            delay: Duration::ZERO,
            headers: Vec::new(),
            body: "the vendor's answer\n".to_owned(),
            hits: 0,
        }
    }
}

impl Vendor {
    pub async fn start() -> Self {
        let behaviour = Behaviour::default();
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("an open port has an address");
        let router = Router::new().fallback(answer).with_state(behaviour.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving goes on until it is dropped");
        });
        Self {
            address,
            behaviour,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set_status(&self, path: &str, status: u16) {
        self.with(path, |path| path.status = status);
    }

    pub fn set_delay(&self, path: &str, delay: Duration) {
        self.with(path, |path| path.delay = delay);
    }

    /// Takes the place of those before.
    pub fn set_headers(&self, path: &str, headers: &[(&'static str, &str)]) {
        let headers = headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect();
        self.with(path, |path| path.headers = headers);
    }

    pub fn set_body(&self, path: &str, body: impl Into<String>) {
        let body = body.into();
        self.with(path, |path| path.body = body);
    }

    /// Answers given in full.
    pub fn hits(&self, path: &str) -> u64 {
        self.with(path, |path| path.hits)
    }

    fn with<T>(&self, path: &str, change: impl FnOnce(&mut Path) -> T) -> T {
        change(lock(&self.behaviour).entry(path.to_owned()).or_default())
    }
}

async fn answer(State(behaviour): State<Behaviour>, uri: Uri) -> impl IntoResponse {
    let mood = lock(&behaviour)
        .entry(uri.path().to_owned())
        .or_default()
        .clone();
    tokio::time::sleep(mood.delay).await;
    lock(&behaviour)
        .entry(uri.path().to_owned())
        .or_default()
        .hits += 1;
    let headers: HeaderMap = mood
        .headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                value.parse().expect("tests set real headers"),
            )
        })
        .collect();
    (
        StatusCode::from_u16(mood.status).expect("tests set real statuses"),
        headers,
        mood.body,
    )
}

fn lock(behaviour: &Behaviour) -> std::sync::MutexGuard<'_, HashMap<String, Path>> {
    behaviour.lock().unwrap_or_else(PoisonError::into_inner)
}

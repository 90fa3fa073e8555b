//! Where webhook and chat messages arrive: keeps what it accepted, and can be down in more than one
//! way.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::free_address;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Up,
    /// Answers 503 to everything.
    Failing,
    /// No server listens.
    Refusing,
    /// Takes what comes, and never answers.
    Silent,
}

/// One message that was accepted.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
    /// Body as it came, for signatures.
    pub raw: Bytes,
}

pub struct Inbox {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    server: Option<AbortOnDropHandle<()>>,
}

struct Shared {
    mood: Mood,
    received: Vec<Received>,
    refused: u64,
}

impl Inbox {
    pub async fn start() -> Self {
        let shared = Shared {
            mood: Mood::Up,
            received: Vec::new(),
            refused: 0,
        };
        let mut inbox = Self {
            address: free_address(),
            shared: Arc::new(Mutex::new(shared)),
            server: None,
        };
        inbox.listen().await;
        inbox
    }

    /// An address that ends in this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub async fn set_mood(&mut self, mood: Mood) {
        lock(&self.shared).mood = mood;
        if mood == Mood::Refusing {
            if let Some(server) = self.server.take() {
                // Ended only when its task is, and the port is free no sooner.
                server.abort();
                let _ = server.await;
            }
        } else if self.server.is_none() {
            self.listen().await;
        }
    }

    async fn listen(&mut self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port is ours");
        let router = Router::new()
            .fallback(accept)
            .with_state(self.shared.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving goes on until it is dropped");
        });
        self.server = Some(AbortOnDropHandle::new(server));
    }

    /// Returns what was accepted at this path so far.
    pub fn received(&self, path: &str) -> Vec<Received> {
        lock(&self.shared)
            .received
            .iter()
            .filter(|message| message.path == path)
            .cloned()
            .collect()
    }

    pub fn all(&self) -> Vec<Received> {
        lock(&self.shared).received.clone()
    }

    /// Messages turned away while it was failing.
    pub fn refused(&self) -> u64 {
        lock(&self.shared).refused
    }
}

async fn accept(
    State(shared): State<Arc<Mutex<Shared>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    if !keep(&mut lock(&shared), &uri, headers, body) {
        return (StatusCode::SERVICE_UNAVAILABLE, "come back later\n");
    }
    let mood = lock(&shared).mood;
    if mood == Mood::Silent {
        // Ends with its connection.
        std::future::pending::<()>().await;
    }
    (StatusCode::OK, "ok")
}

/// False: it is turned away.
fn keep(shared: &mut Shared, uri: &Uri, headers: HeaderMap, raw: Bytes) -> bool {
    if !matches!(shared.mood, Mood::Up | Mood::Silent) {
        shared.refused += 1;
        return false;
    }
    let body = serde_json::from_slice(&raw)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&raw).into_owned()));
    shared.received.push(Received {
        path: uri.path().to_owned(),
        headers,
        body,
        raw,
    });
    true
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

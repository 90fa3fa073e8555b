//! A vendor that wants to know who asks, gives out tokens, and echoes what it is sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::LOOPBACK;

/// Client id and secret for which `/token` gives out a token, as a form.
pub const CLIENT: (&str, &str) = ("extrack", "cl1ent-s3cret");

/// The beginning of every token.
pub const TOKEN_START: &str = "acc3ss-t0ken-";

/// `/health` is for the last token only, `/never` for none; `/echo` and every other path answers with all it was sent.
pub struct Guarded {
    address: SocketAddr,
    counts: Arc<Counts>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Counts {
    tokens: AtomicU64,
    refused: AtomicU64,
    smuggled: AtomicU64,
}

impl Guarded {
    pub async fn start() -> Self {
        let counts = Arc::<Counts>::default();
        let listener = TcpListener::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = listener.local_addr().expect("an open port has an address");
        let router = Router::new()
            .route("/token", post(token))
            .route("/health", any(health))
            .route("/smuggled", any(smuggled))
            .route("/never", any(async || StatusCode::UNAUTHORIZED))
            .fallback(echo)
            .with_state(counts.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, router)
                .await
                .expect("serving goes on until it is dropped");
        });
        Self {
            address,
            counts,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Tokens given out.
    pub fn tokens(&self) -> u64 {
        self.counts.tokens.load(Ordering::SeqCst)
    }

    /// Requests to `/health` with another token than the last, or with none.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::SeqCst)
    }

    /// Requests to `/smuggled`.
    pub fn smuggled(&self) -> u64 {
        self.counts.smuggled.load(Ordering::SeqCst)
    }

    /// Makes the last token as good as any other text.
    pub fn forget_tokens(&self) {
        self.counts.tokens.fetch_add(1, Ordering::SeqCst);
    }
}

async fn token(State(counts): State<Arc<Counts>>, form: String) -> Response {
    let wanted = format!("client_id={}&client_secret={}", CLIENT.0, CLIENT.1);
    if !form.contains("grant_type=client_credentials") || !form.contains(&wanted) {
        let text =
            format!(r#"{{"error": "invalid_client", "error_description": "you sent {form}"}}"#);
        return (StatusCode::UNAUTHORIZED, text).into_response();
    }
    let count = counts.tokens.fetch_add(1, Ordering::SeqCst) + 1;
    format!(
        r#"{{"access_token": "{TOKEN_START}{count}", "token_type": "Bearer", "expires_in": 3600}}"#
    )
    .into_response()
}

async fn health(State(counts): State<Arc<Counts>>, headers: HeaderMap) -> StatusCode {
    let wanted = format!(
        "Bearer {TOKEN_START}{}",
        counts.tokens.load(Ordering::SeqCst)
    );
    if headers
        .get("authorization")
        .is_some_and(|value| value == wanted.as_str())
    {
        return StatusCode::OK;
    }
    counts.refused.fetch_add(1, Ordering::SeqCst);
    StatusCode::UNAUTHORIZED
}

async fn smuggled(State(counts): State<Arc<Counts>>) -> &'static str {
    counts.smuggled.fetch_add(1, Ordering::SeqCst);
    "got through"
}

async fn echo(uri: Uri, headers: HeaderMap) -> Response {
    let sent = headers
        .iter()
        .map(|(name, value)| format!(" {name}={}", value.to_str().unwrap_or_default()));
    let sent = format!("echo of {uri}{}", sent.collect::<String>());
    (
        StatusCode::FOUND,
        [
            ("x-echo", sent.clone()),
            ("location", format!("/again{uri}")),
        ],
        sent,
    )
        .into_response()
}

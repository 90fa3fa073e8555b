//! A simulated vendor on loopback: real servers on real sockets, with the behaviour of real vendors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Where the vendor's services listen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vendor {
    pub http: SocketAddr,
    pub tls: SocketAddr,
}

/// The certificate ends so soon that the `tls` probe warns.
const CERTIFICATE_DAYS: i64 = 6;

/// The failing API fails for this long, then works for as long again.
const PHASE: Duration = Duration::from_secs(40);

/// Calls the limited API grants in a minute.
const QUOTA: u32 = 60;

struct Behaviour {
    started: Instant,
    calls: AtomicU32,
    window: AtomicU32,
}

impl Vendor {
    /// Serves until the shutdown, on the ports of `before` if they are free.
    pub(super) async fn start(before: Option<Self>, shutdown: CancellationToken) -> Result<Self> {
        let behaviour = Arc::new(Behaviour {
            started: Instant::now(),
            calls: AtomicU32::new(0),
            window: AtomicU32::new(0),
        });
        let router = Router::new()
            .route("/catalog/health", get(healthy))
            .route("/search/health", get(slow))
            .route("/payments/health", get(failing))
            .route("/geo/health", get(limited))
            .route("/inbox", post(inbox))
            .with_state(behaviour);
        let listener = bind(before.map(|before| before.http)).await?;
        let http = listener.local_addr()?;
        let stop = shutdown.clone();
        tokio::spawn(async move {
            let served = axum::serve(listener, router)
                .with_graceful_shutdown(stop.cancelled_owned())
                .await;
            if let Err(error) = served {
                tracing::error!(%error, "the simulated vendor stopped");
            }
        });

        let listener = bind(before.map(|before| before.tls)).await?;
        let tls = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(Arc::new(expiring()?));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    accepted = listener.accept() => {
                        let Ok((stream, _)) = accepted else { continue };
                        let acceptor = acceptor.clone();
                        tokio::spawn(tokio::time::timeout(Duration::from_secs(5), async move {
                            if let Ok(mut stream) = acceptor.accept(stream).await {
                                // The other side has seen the certificate; how it hangs up does not matter.
                                let _ = stream.shutdown().await;
                            }
                        }));
                    }
                }
            }
        });
        Ok(Self { http, tls })
    }
}

async fn bind(before: Option<SocketAddr>) -> Result<TcpListener> {
    if let Some(before) = before
        && let Ok(listener) = TcpListener::bind(before).await
    {
        return Ok(listener);
    }
    TcpListener::bind("127.0.0.1:0")
        .await
        .context("opening a port for the simulated vendor")
}

/// A certificate of its own making for `localhost`.
fn expiring() -> Result<rustls::ServerConfig> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let now = jiff::Timestamp::now().as_second();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "partner.example");
    // rcgen takes days.
    let midnight = |unix_seconds: i64| -> Result<_> {
        let date = jiff::Timestamp::from_second(unix_seconds)?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        Ok(rcgen::date_time_ymd(
            date.year().into(),
            date.month() as u8,
            date.day() as u8,
        ))
    };
    params.not_before = midnight(now - 84 * 86_400)?;
    params.not_after = midnight(now + (CERTIFICATE_DAYS + 1) * 86_400)?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?)
}

async fn healthy() -> Json<Value> {
    Json(json!({ "ok": true, "items": 1_204 }))
}

async fn slow() -> Json<Value> {
    tokio::time::sleep(Duration::from_millis(450)).await;
    Json(json!({ "ok": true }))
}

async fn failing(State(behaviour): State<Arc<Behaviour>>) -> impl IntoResponse {
    let bad = (behaviour.started.elapsed().as_secs() / PHASE.as_secs()) % 2 == 1;
    if bad {
        let body = json!({ "ok": false, "error": "the card network does not answer" });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body));
    }
    (StatusCode::OK, Json(json!({ "ok": true })))
}

async fn limited(State(behaviour): State<Arc<Behaviour>>) -> impl IntoResponse {
    let elapsed = behaviour.started.elapsed().as_secs() as u32;
    if behaviour.window.swap(elapsed / 60, Ordering::Relaxed) != elapsed / 60 {
        behaviour.calls.store(0, Ordering::Relaxed);
    }
    let used = behaviour.calls.fetch_add(1, Ordering::Relaxed) + 1;
    let left = QUOTA.saturating_sub(used);
    let headers = [
        ("ratelimit-policy", format!("\"minute\";q={QUOTA};w=60")),
        (
            "ratelimit",
            format!("\"minute\";r={left};t={}", 60 - elapsed % 60),
        ),
        ("x-ratelimit-remaining", left.to_string()),
    ];
    let headers = headers.map(|(name, value)| (HeaderName::from_static(name), value));
    let status = if used > QUOTA {
        StatusCode::TOO_MANY_REQUESTS
    } else {
        StatusCode::OK
    };
    (
        status,
        headers,
        Json(json!({ "ok": status.is_success(), "place": "Berlin" })),
    )
}

/// Receives the demo's alerts, in place of a person.
async fn inbox(Json(message): Json<Value>) -> StatusCode {
    let alert = &message["alerts"][0];
    tracing::info!(
        target: "extrack::demo",
        status = message["status"].as_str(), alert = alert["labels"]["alertname"].as_str(),
        service = alert["labels"]["service"].as_str(), "the demo's webhook received a message"
    );
    StatusCode::NO_CONTENT
}

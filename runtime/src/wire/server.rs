//! Accepts connections, within their number, and ends them: when the server stops, and when their
//! token is revoked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::cancel::Cancels;
use super::context::Context;
use super::error::WireError;
use super::startup;
use super::tables;
use super::tls::TlsFiles;
use crate::api::ApiState;

/// Connections that are signed in. Two queries run at a time; most of these wait for their people.
const MAX_SESSIONS: usize = 64;
/// Connections on their way there, and those that cancel.
const MAX_STARTING: usize = 64;
/// Pause after a failed accept, which mostly means that descriptors have run out for a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time that sessions have to say goodbye when the server stops.
const GOODBYE: Duration = Duration::from_secs(2);

/// Where to listen, and how to encrypt.
#[derive(Debug, Clone)]
pub struct WireOptions {
    pub listen: SocketAddr,
    pub tls: Option<TlsFiles>,
}

/// A port that is open, and not served yet.
pub struct WireListener {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl WireListener {
    /// Opens the port. Passwords are not taken unencrypted from other machines.
    pub async fn bind(options: &WireOptions) -> Result<Self> {
        let address = options.listen;
        if options.tls.is_none() && !address.ip().is_loopback() {
            bail!(
                "passwords would reach `{address}` unencrypted; give `--pg-tls-cert` and `--pg-tls-key`, or listen on \
                 127.0.0.1 with `--pg-listen`"
            );
        }
        let tls = options.tls.as_ref().map(TlsFiles::acceptor).transpose()?;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("can't listen on `{address}`; `--pg-listen` names another address")
        })?;
        Ok(Self { listener, tls })
    }

    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until the stop. The names that can be asked of are those of the start.
    pub async fn serve(self, state: ApiState, stop: CancellationToken) -> Result<()> {
        let schema = state.deps.results.query_schema().await?;
        let version = format!("16.0 (extrack {})", env!("CARGO_PKG_VERSION"));
        let found = tables::of(&schema);
        let (results, label) = (state.deps.results.clone(), version.clone());
        let catalog =
            tokio::task::spawn_blocking(move || results.catalog(&label, &tables::types(), &found));
        let context = Arc::new(Context {
            catalog: catalog.await??,
            cancels: Cancels::default(),
            views: tables::names(&schema),
            column_types: tables::column_types(&schema),
            tls: self.tls,
            version,
            state,
        });
        accept(self.listener, &context, stop).await;
        Ok(())
    }
}

async fn accept(listener: TcpListener, context: &Arc<Context>, stop: CancellationToken) {
    let sessions = Arc::new(Semaphore::new(MAX_SESSIONS));
    let starting = Arc::new(Semaphore::new(MAX_STARTING));
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = running.join_next(), if !running.is_empty() => {
                report_panic(ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match Arc::clone(&starting).try_acquire_owned() {
                Ok(place) => {
                    let context = Arc::clone(context);
                    let sessions = Arc::clone(&sessions);
                    let closing = stop.child_token();
                    running.spawn(serve(context, stream, peer, place, sessions, closing));
                }
                // A closed connection is an answer that costs nothing.
                Err(_) => refused("starting"),
            },
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let goodbye = async {
        while let Some(ended) = running.join_next().await {
            report_panic(ended);
        }
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

async fn serve(
    context: Arc<Context>,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    sessions: Arc<Semaphore>,
    closing: CancellationToken,
) {
    let address = peer.ip().to_canonical();
    let Some((session, token)) = startup::start(&context, stream, address, &closing).await else {
        return;
    };
    drop(place);
    let Ok(_held) = sessions.try_acquire_owned() else {
        refused("full");
        let message = format!("there are {MAX_SESSIONS} connections already");
        let error = WireError::fatal("53300", message);
        session
            .refuse(&error.with_hint("close those that idle"))
            .await;
        return;
    };
    let gauge = metrics::gauge!("extrack_pg_connections");
    gauge.increment(1.0);
    let revoked = async {
        context.state.sql_signed_out(&token).await;
        closing.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = session.run() => {}
        () = revoked => {}
    }
    gauge.decrement(1.0);
}

fn refused(reason: &'static str) {
    metrics::counter!("extrack_pg_connections_refused_total", "reason" => reason).increment(1);
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "serving a connection of the PostgreSQL protocol panicked");
    }
}

//! Serves the router over HTTP/1.1 and HTTP/2 within a fixed number of connections. Idle, slow and
//! stalled connections are closed, so that file descriptors remain for probes, messages and the
//! stores; at the limit the idle ones make room for new ones.

mod activity;
mod answer;
mod connection;
mod connections;
mod frames;
mod http2;
mod stream;

use std::io;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use connections::Connections;

/// Pause after a failed accept, which mostly means that descriptors have run out for a moment.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts and serves connections until `stop`, then lets requests in progress finish.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    stop: CancellationToken,
) {
    let connections = Connections::new(max_connections);
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
            Ok((stream, peer)) => {
                let Some(held) = connections.open(peer.ip()) else {
                    // Everybody is being served: a closed connection is an answer that costs
                    // nothing.
                    metrics::counter!("extrack_http_connections_closed_total", "reason" => "full")
                        .increment(1);
                    continue;
                };
                running.spawn(connection::run(
                    stream,
                    peer,
                    router.clone(),
                    held,
                    stop.clone(),
                ));
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                connections.make_room();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while let Some(ended) = running.join_next().await {
        report_panic(ended);
    }
}

/// The peer gave up before it was accepted.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "serving a connection panicked");
    }
}

#[cfg(test)]
mod tests;

//! One query from its sending to its end: Ctrl-C cancels it, and a terminal shows how long it runs.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::RngCore;
use reqwest::Response;
use serde::Serialize;

use crate::cli::client::Client;

/// Queries that take longer show it.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Sends a query and hands its answer to `take`.
pub(super) async fn ask(
    client: &Client,
    path: &str,
    request: &impl Serialize,
    take: impl AsyncFnOnce(Response) -> Result<()>,
) -> Result<()> {
    let mut id = [0; 12];
    rand::rng().fill_bytes(&mut id);
    let id = hex::encode(id);
    let work = async {
        let response = {
            let mut response = std::pin::pin!(client.ask(path, &id, request));
            let elapsed = Elapsed::start();
            loop {
                tokio::select! {
                    response = &mut response => break response?,
                    () = elapsed.tick() => {}
                }
            }
        };
        take(response).await
    };
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            // It may have ended just now.
            let _ = client.delete_quietly(&format!("/sql/{id}")).await;
            bail!("the query was cancelled");
        }
    }
}

/// The time so far, on a terminal; the line is cleared at the end.
struct Elapsed {
    began: Instant,
    is_shown: bool,
}

impl Elapsed {
    fn start() -> Self {
        Self {
            began: Instant::now(),
            is_shown: std::io::stderr().is_terminal(),
        }
    }

    async fn tick(&self) {
        tokio::time::sleep(SHOWN_AFTER).await;
        if self.is_shown {
            let elapsed = self.began.elapsed().as_secs();
            let _ = write!(std::io::stderr(), "\r{elapsed} s, Ctrl-C cancels");
        }
    }
}

impl Drop for Elapsed {
    fn drop(&mut self) {
        if self.is_shown && self.began.elapsed() > SHOWN_AFTER {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

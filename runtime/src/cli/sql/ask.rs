//! One query from its sending to its end: Ctrl-C cancels it, and a terminal shows how long it runs.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::RngCore;
use reqwest::Response;

/// Queries that take longer show it.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Sends a query under an id of its own and hands its answer to `take`. `cancel` ends the query with
/// that id.
pub(super) async fn ask(
    send: impl AsyncFnOnce(&str) -> Result<Response>,
    cancel: impl AsyncFnOnce(&str),
    take: impl AsyncFnOnce(Response) -> Result<()>,
) -> Result<()> {
    let mut id = [0; 12];
    rand::rng().fill_bytes(&mut id);
    let id = hex::encode(id);
    let work = async {
        let response = {
            let mut response = std::pin::pin!(send(&id));
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
            cancel(&id).await;
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

//! One query from its sending to its end: Ctrl-C cancels it, and a terminal shows how long it runs
//! and how far it is.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::RngCore;
use reqwest::Response;

/// Queries that take longer show it.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Sends a query under an id of its own and hands its answer to `take`. `percent` returns how far the
/// query with that id is, `cancel` ends it.
pub(super) async fn ask(
    send: impl AsyncFnOnce(&str) -> Result<Response>,
    percent: impl AsyncFn(&str) -> Option<u8>,
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
                    () = elapsed.tick(async || percent(&id).await) => {}
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

/// The time so far and how much is done, on a terminal; the line is cleared at the end.
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

    async fn tick(&self, percent: impl AsyncFn() -> Option<u8>) {
        tokio::time::sleep(SHOWN_AFTER).await;
        if self.is_shown {
            let text = shown(self.began.elapsed(), percent().await);
            let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
        }
    }
}

fn shown(elapsed: Duration, percent: Option<u8>) -> String {
    let elapsed = elapsed.as_secs();
    match percent {
        Some(percent) => format!("{elapsed} s, {percent} %, Ctrl-C cancels"),
        None => format!("{elapsed} s, Ctrl-C cancels"),
    }
}

impl Drop for Elapsed {
    fn drop(&mut self) {
        if self.is_shown && self.began.elapsed() > SHOWN_AFTER {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_is_done_is_shown_where_it_is_known() {
        let elapsed = Duration::from_millis(3_999);
        assert_eq!(shown(elapsed, Some(45)), "3 s, 45 %, Ctrl-C cancels");
        assert_eq!(shown(elapsed, None), "3 s, Ctrl-C cancels");
    }
}

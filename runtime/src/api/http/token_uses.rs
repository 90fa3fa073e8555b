//! Last uses of tokens: noted in memory, and stored now and then, so that a request waits for no
//! write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{UnixMillis, now_ms};
use crate::store::ControlStore;

/// Interval between writes: a crash loses what is newer.
const PAUSE: Duration = Duration::from_secs(60);

/// Bounded by the number of tokens.
#[derive(Default)]
pub(crate) struct TokenUses(Mutex<HashMap<i64, UnixMillis>>);

impl TokenUses {
    pub(crate) fn note(&self, token: i64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token, now_ms());
    }

    /// Returns the last use, if it is not stored yet.
    pub(crate) fn of(&self, token: i64) -> Option<UnixMillis> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&token)
            .copied()
    }

    pub(crate) async fn run(&self, control: &ControlStore, stop: &CancellationToken) {
        loop {
            let is_over = tokio::time::timeout(PAUSE, stop.cancelled()).await.is_ok();
            let noted = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if !noted.is_empty()
                && let Err(error) = control.token_used(&noted).await
            {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::warn!(
                    error,
                    "when tokens were last used could not be written down"
                );
            }
            if is_over {
                return;
            }
        }
    }
}

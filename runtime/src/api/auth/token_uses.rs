//! When tokens were last used: noted in memory, and written down now and then, so that a request
//! waits for no write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::domain::{UnixMillis, now_ms};
use crate::store::ControlStore;

/// What a crash may forget.
const PAUSE: Duration = Duration::from_secs(60);

/// Bounded by the number of tokens.
#[derive(Default)]
pub(in crate::api) struct TokenUses(Mutex<HashMap<i64, UnixMillis>>);

impl TokenUses {
    pub(in crate::api) fn note(&self, token: i64) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token, now_ms());
    }

    /// What is not written down yet.
    pub(in crate::api) fn of(&self, token: i64) -> Option<UnixMillis> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&token)
            .copied()
    }

    pub(in crate::api) async fn run(&self, control: &ControlStore, stop: &CancellationToken) {
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

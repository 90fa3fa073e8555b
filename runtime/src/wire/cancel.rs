//! Statements that run, by the numbers with which another connection cancels them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::RngCore;
use tokio_util::sync::CancellationToken;

type Key = (u32, u32);

/// The connections; bounded by their number.
#[derive(Clone, Default)]
pub(super) struct Cancels(Arc<Mutex<HashMap<Key, CancellationToken>>>);

/// A connection's place in the list, which it leaves when this is dropped.
pub(super) struct CancelKey {
    cancels: Cancels,
    pub(super) pid: u32,
    pub(super) secret: u32,
}

impl Cancels {
    /// Adds a connection under numbers that can't be guessed.
    pub(super) fn register(&self) -> CancelKey {
        let mut random = rand::rng();
        let mut list = self.list();
        loop {
            // Clients show the first one as a signed number.
            let key = (random.next_u32() >> 1, random.next_u32());
            if list.keys().all(|(pid, _)| *pid != key.0) {
                list.insert(key, CancellationToken::new());
                return CancelKey {
                    cancels: self.clone(),
                    pid: key.0,
                    secret: key.1,
                };
            }
        }
    }

    /// Cancels the statement of a connection. Nobody learns whether there is one.
    pub(super) fn cancel(&self, pid: u32, secret: u32) {
        if let Some(token) = self.list().get(&(pid, secret)) {
            token.cancel();
        }
    }

    fn list(&self) -> MutexGuard<'_, HashMap<Key, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CancelKey {
    /// A statement runs, which this token ends.
    pub(super) fn runs(&self, token: &CancellationToken) {
        let mut list = self.cancels.list();
        list.insert((self.pid, self.secret), token.clone());
    }
}

impl Drop for CancelKey {
    fn drop(&mut self) {
        self.cancels.list().remove(&(self.pid, self.secret));
    }
}

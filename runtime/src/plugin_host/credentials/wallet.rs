//! What runs share: access tokens until they end, and client certificates that were read. Nothing of it is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::oauth::{Login, Token};
use crate::net::{ClientIdentity, NetError};

/// Of each; over it all are dropped, which costs one request or one reading each.
const MOST: usize = 10_000;

/// A token endpoint that failed is left alone this long: all runs that wait for its token get the same answer.
const PAUSE: Duration = Duration::from_secs(1);

pub(in crate::plugin_host) type Key = [u8; 32];

#[derive(Default)]
pub(in crate::plugin_host) struct Wallet {
    tokens: Mutex<HashMap<Key, Arc<Slot>>>,
    identities: Mutex<HashMap<Key, ClientIdentity>>,
}

/// Whoever holds it asks for the token; the others wait for theirs.
#[derive(Default)]
struct Slot {
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
enum State {
    #[default]
    Empty,
    Good(Arc<Token>),
    Failed {
        error: NetError,
        until: Instant,
    },
}

/// A token, and whether it was asked for just now.
pub(in crate::plugin_host) struct Got {
    pub(in crate::plugin_host) token: Arc<Token>,
    pub(in crate::plugin_host) is_new: bool,
}

impl Wallet {
    /// One request for a token at a time and login. `refused` is a token that the service did not take.
    pub(in crate::plugin_host) async fn token(
        &self,
        login: &Login<'_>,
        refused: Option<&Token>,
        deadline: Instant,
    ) -> Result<Got, NetError> {
        let slot = entry(&self.tokens, login.key(), Arc::<Slot>::default);
        let mut state = tokio::time::timeout_at(deadline, slot.state.lock())
            .await
            .map_err(|_| NetError::Timeout(format!("{} waited for others to get its token", login.shown())))?;
        match &*state {
            State::Good(token) if token.is_good() && refused.is_none_or(|refused| refused.value() != token.value()) => {
                return Ok(Got { token: token.clone(), is_new: false });
            }
            State::Failed { error, until } if Instant::now() < *until => return Err(error.clone()),
            _ => {}
        }
        match login.ask(deadline).await {
            Ok(token) => {
                let token = Arc::new(token);
                *state = State::Good(token.clone());
                Ok(Got { token, is_new: true })
            }
            Err(error) => {
                // A run that was short of time says nothing about the next one's.
                *state = match &error {
                    NetError::Timeout(_) => State::Empty,
                    error => State::Failed { error: error.clone(), until: Instant::now() + PAUSE },
                };
                Err(error)
            }
        }
    }

    /// Read once, for as long as it stays the same.
    pub(in crate::plugin_host) fn identity(
        &self,
        certificate: &str,
        key: &SecretString,
    ) -> Result<ClientIdentity, String> {
        let hash = Sha256::new_with_prefix(certificate.len().to_le_bytes())
            .chain_update(certificate)
            .chain_update(key.expose_secret())
            .finalize()
            .into();
        if let Some(identity) = lock(&self.identities).get(&hash) {
            return Ok(identity.clone());
        }
        let identity = ClientIdentity::from_pem(certificate, key.expose_secret())?;
        Ok(entry(&self.identities, hash, || identity))
    }
}

fn entry<T: Clone>(map: &Mutex<HashMap<Key, T>>, key: Key, make: impl FnOnce() -> T) -> T {
    let mut map = lock(map);
    if map.len() >= MOST && !map.contains_key(&key) {
        map.clear();
    }
    map.entry(key).or_insert_with(make).clone()
}

fn lock<T>(map: &Mutex<HashMap<Key, T>>) -> std::sync::MutexGuard<'_, HashMap<Key, T>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

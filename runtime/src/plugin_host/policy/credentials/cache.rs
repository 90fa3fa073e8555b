//! Credentials that runs share: access tokens until they end, and client certificates that were
//! read. Nothing of it is stored.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::oauth::{Login, Token};
use crate::net::{ClientIdentity, NetError};

/// Most entries of each kind; over it all are dropped, which costs one request or one reading each.
const MOST: usize = 10_000;

/// A token endpoint that failed is left alone this long: all runs that wait for its token get the
/// same answer.
const PAUSE: Duration = Duration::from_secs(1);

/// A token younger than this that the service never took is not renewed: another one would be taken
/// no more.
const YOUNG: Duration = Duration::from_secs(30);

/// The most that renewals wait, each twice as long as the one before, when the service takes none
/// of the new tokens.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

pub(in crate::plugin_host) type Key = [u8; 32];

#[derive(Default)]
pub(in crate::plugin_host) struct CredentialCache {
    tokens: Mutex<HashMap<Key, Arc<Slot>>>,
    identities: Mutex<HashMap<Key, ClientIdentity>>,
}

/// The run that holds it asks for the token; the others wait for theirs.
#[derive(Default)]
struct Slot {
    entry: tokio::sync::Mutex<Entry>,
}

#[derive(Default)]
struct Entry {
    state: State,
    /// Renewals in a row that changed nothing: the service answered 401 to the new token, too.
    useless: u32,
    /// No token is renewed before.
    renew_from: Option<Instant>,
    /// Outcome of the last renewal is not known yet.
    is_on_trial: bool,
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

impl CredentialCache {
    /// The token of a login. One request for a token at a time and login.
    pub(in crate::plugin_host) async fn token(
        &self,
        login: &Login<'_>,
        deadline: Instant,
    ) -> Result<Arc<Token>, NetError> {
        let slot = self.slot(login);
        let mut entry = slot.enter(login, deadline).await?;
        match &entry.state {
            State::Good(token) if token.is_good() => Ok(token.clone()),
            _ => entry.ask(login, deadline).await,
        }
    }

    /// Another token in the place of one that the service refused; none while there is no point in
    /// asking for one. What becomes of it is reported by [`Self::judge`].
    pub(in crate::plugin_host) async fn renewed(
        &self,
        login: &Login<'_>,
        refused: &Token,
        deadline: Instant,
    ) -> Result<Option<Arc<Token>>, NetError> {
        let slot = self.slot(login);
        let mut entry = slot.enter(login, deadline).await?;
        match &entry.state {
            State::Good(token) if token.is_good() && token.value() != refused.value() => {
                Ok(Some(token.clone()))
            }
            _ if (refused.age() < YOUNG && !refused.was_taken())
                || entry.renew_from.is_some_and(|from| Instant::now() < from) =>
            {
                Ok(None)
            }
            _ => {
                let token = entry.ask(login, deadline).await?;
                entry.is_on_trial = true;
                Ok(Some(token))
            }
        }
    }

    /// Whether the service took the token of the last renewal. One that it did not take makes the
    /// next renewal wait longer.
    pub(in crate::plugin_host) async fn judge(&self, login: &Login<'_>, is_taken: bool) {
        let slot = self.slot(login);
        let mut entry = slot.entry.lock().await;
        if !std::mem::take(&mut entry.is_on_trial) {
            return;
        }
        if is_taken {
            (entry.useless, entry.renew_from) = (0, None);
            return;
        }
        entry.useless = entry.useless.saturating_add(1);
        let pause = YOUNG
            .saturating_mul(1 << entry.useless.min(16))
            .min(LONGEST_PAUSE);
        entry.renew_from = Some(Instant::now() + pause);
    }

    fn slot(&self, login: &Login<'_>) -> Arc<Slot> {
        entry(&self.tokens, login.key(), Arc::<Slot>::default)
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

impl Slot {
    async fn enter(
        &self,
        login: &Login<'_>,
        deadline: Instant,
    ) -> Result<MutexGuard<'_, Entry>, NetError> {
        let entry = tokio::time::timeout_at(deadline, self.entry.lock())
            .await
            .map_err(|_| {
                NetError::Timeout(format!(
                    "{} waited for others to get its token",
                    login.shown()
                ))
            })?;
        match &entry.state {
            State::Failed { error, until } if Instant::now() < *until => Err(error.clone()),
            _ => Ok(entry),
        }
    }
}

impl Entry {
    async fn ask(&mut self, login: &Login<'_>, deadline: Instant) -> Result<Arc<Token>, NetError> {
        match login.ask(deadline).await {
            Ok(token) => {
                let token = Arc::new(token);
                self.state = State::Good(token.clone());
                Ok(token)
            }
            Err(error) => {
                // A run that was short of time proves nothing about the next one.
                self.state = match &error {
                    NetError::Timeout(_) => State::Empty,
                    error => State::Failed {
                        error: error.clone(),
                        until: Instant::now() + PAUSE,
                    },
                };
                Err(error)
            }
        }
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

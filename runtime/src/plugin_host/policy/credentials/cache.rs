//! Credentials that runs share: access tokens until they end, and client certificates that were
//! read. Of all of it only refresh tokens are stored: one that a token endpoint replaced is worth
//! nothing any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::oauth::{Granted, Login, OwnedLogin, Token};
use super::uses::CredentialUses;
use crate::net::{ClientIdentity, NetError};
use crate::store::{ControlError, ControlStore};

/// Most entries of each kind; over it all are dropped, which costs one request or one reading each.
const MOST: usize = 10_000;

/// A token endpoint that failed is left alone this long: all runs that wait for its token get the
/// same answer.
const PAUSE: Duration = Duration::from_secs(1);

/// A token younger than this that the service never took is not renewed: another one would be taken
/// no more.
const YOUNG: Duration = Duration::from_secs(30);

/// Shortest time between renewals for calls that no plugin makes: a service that refuses some of them
/// whatever the token is would be asked for one at each of them.
pub(super) const CALLS_PACE: Duration = Duration::from_secs(5);

/// The most that renewals wait, each twice as long as the one before, when the service takes none
/// of the new tokens.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// Time for a request with a refresh token, which goes on without the run that began it: its answer
/// may hold the only good token.
const REFRESH_WITHIN: Duration = Duration::from_secs(30);

pub(in crate::plugin_host) type Key = [u8; 32];

#[derive(Default)]
pub(in crate::plugin_host) struct CredentialCache {
    tokens: Mutex<HashMap<Key, Arc<Slot>>>,
    identities: Mutex<HashMap<Key, ClientIdentity>>,
    pub(in crate::plugin_host) uses: CredentialUses,
    /// Keeps refresh tokens; none: they last as long as the program.
    store: Option<ControlStore>,
    tasks: TaskTracker,
}

/// The run that holds it asks for the token; the others wait for theirs.
#[derive(Default)]
struct Slot {
    entry: Arc<tokio::sync::Mutex<Entry>>,
}

#[derive(Default)]
struct Entry {
    state: State,
    /// Refresh token in the place of the one that was written.
    refresh_token: Option<SecretString>,
    /// The store was asked for it.
    is_read: bool,
    /// The last one is not in the store yet.
    is_unkept: bool,
    /// Renewals in a row that changed nothing: the service answered 401 to the new token, too.
    useless: u32,
    /// No token is renewed before.
    renew_from: Option<Instant>,
    /// Moment of the last renewal.
    renewed: Option<Instant>,
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

/// A refresh token as it is stored, sealed, with the fingerprint of the one that was written: what
/// followed another one counts no more.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeptToken {
    written: String,
    refresh_token: String,
}

impl CredentialCache {
    pub(in crate::plugin_host) fn new(store: Option<ControlStore>) -> Self {
        Self {
            store,
            ..Self::default()
        }
    }

    /// The token of a login. One request for a token at a time and login.
    pub(in crate::plugin_host) async fn token(
        &self,
        login: &Login<'_>,
        deadline: Instant,
    ) -> Result<Arc<Token>, NetError> {
        let slot = self.slot(login);
        let entry = slot.enter(login, deadline).await?;
        match &entry.state {
            State::Good(token) if token.is_good() => Ok(token.clone()),
            _ => self.ask(entry, login, deadline).await,
        }
    }

    /// Asks for a token. A refresh token is replaced by its use, so that request is not given up
    /// with the run that began it.
    async fn ask(
        &self,
        mut entry: OwnedMutexGuard<Entry>,
        login: &Login<'_>,
        deadline: Instant,
    ) -> Result<Arc<Token>, NetError> {
        if login.written_refresh_token().is_none() {
            return entry.ask(login, deadline).await;
        }
        let (owned, store) = (login.owned(), self.store.clone());
        let work = self
            .tasks
            .spawn(async move { entry.refresh(&owned, store.as_ref()).await });
        match tokio::time::timeout_at(deadline, work).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(NetError::Protocol(format!(
                "{} got no token: the work for it broke off",
                login.shown()
            ))),
            Err(_) => Err(NetError::Timeout(format!(
                "{} waited for its token",
                login.shown()
            ))),
        }
    }

    /// Another token in the place of one that the service refused; none while there is no point in
    /// asking for one, or the last renewal was within the pace. What becomes of it is reported by
    /// [`Self::judge`].
    pub(in crate::plugin_host) async fn renewed(
        &self,
        login: &Login<'_>,
        refused: &Token,
        pace: Duration,
        deadline: Instant,
    ) -> Result<Option<Arc<Token>>, NetError> {
        let slot = self.slot(login);
        let mut entry = slot.enter(login, deadline).await?;
        match &entry.state {
            State::Good(token) if token.is_good() && token.value() != refused.value() => {
                Ok(Some(token.clone()))
            }
            _ if (refused.age() < YOUNG && !refused.was_taken())
                || entry.renew_from.is_some_and(|from| Instant::now() < from)
                || entry.renewed.is_some_and(|last| last.elapsed() < pace) =>
            {
                Ok(None)
            }
            _ => {
                // Nobody judges a token that was not got.
                entry.is_on_trial = true;
                entry.renewed = Some(Instant::now());
                self.ask(entry, login, deadline).await.map(Some)
            }
        }
    }

    /// Whether the service took the token of the last renewal. One that it did not take makes the
    /// next renewal wait longer. Past the deadline nothing is noted: the run is over.
    pub(in crate::plugin_host) async fn judge(
        &self,
        login: &Login<'_>,
        is_taken: bool,
        deadline: Instant,
    ) {
        let slot = self.slot(login);
        let Ok(mut entry) = tokio::time::timeout_at(deadline, slot.entry.lock()).await else {
            return;
        };
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
        let key = login.key();
        let mut slots = lock(&self.tokens);
        if slots.len() >= MOST && !slots.contains_key(&key) {
            slots.retain(|_, slot| slot.is_needed(self.store.is_some()));
        }
        slots.entry(key).or_default().clone()
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
    /// Whether it can't be made again: a run uses it, or it alone has the refresh token that is good.
    /// There are no more of these than refresh tokens that people wrote.
    fn is_needed(self: &Arc<Self>, has_store: bool) -> bool {
        if Arc::strong_count(self) > 1 {
            return true;
        }
        let Ok(entry) = self.entry.try_lock() else {
            return true;
        };
        entry.refresh_token.is_some() && (entry.is_unkept || !has_store)
    }

    async fn enter(
        &self,
        login: &Login<'_>,
        deadline: Instant,
    ) -> Result<OwnedMutexGuard<Entry>, NetError> {
        let entry = tokio::time::timeout_at(deadline, self.entry.clone().lock_owned())
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
        let asked = login.ask(None, deadline).await;
        self.take(asked)
    }

    /// Asks with the refresh token that is good now, and keeps the next one before its access token
    /// is used.
    async fn refresh(
        &mut self,
        owned: &OwnedLogin,
        store: Option<&ControlStore>,
    ) -> Result<Arc<Token>, NetError> {
        let login = owned.login();
        self.read(&login, store).await?;
        let asked = login
            .ask(self.refresh_token.as_ref(), Instant::now() + REFRESH_WITHIN)
            .await;
        let sent = self
            .refresh_token
            .as_ref()
            .or(login.written_refresh_token());
        let next = asked
            .as_ref()
            .ok()
            .and_then(|granted| granted.refresh_token.clone());
        if let Some(next) = next
            && sent.map(ExposeSecret::expose_secret) != Some(next.expose_secret())
        {
            self.refresh_token = Some(next);
            self.is_unkept = true;
        }
        self.keep(&login, store).await;
        self.take(asked)
    }

    /// Reads the refresh token of before this start. One that was replaced must not be sent again,
    /// so nothing is asked for while the store does not answer. One that does not decrypt is lost for
    /// good: the one that was written is the only one that can still be right.
    async fn read(
        &mut self,
        login: &Login<'_>,
        store: Option<&ControlStore>,
    ) -> Result<(), NetError> {
        if let (Some(store), false) = (store, self.is_read) {
            let kept = match store.credential_token(login.service, login.name).await {
                Ok(kept) => kept,
                Err(ControlError::Key(error)) => {
                    tracing::error!(
                        service = login.service,
                        credential = login.name,
                        %error,
                        "the refresh token that was kept is lost; unless a new one is written, the credential may need a new login"
                    );
                    None
                }
                Err(error) => {
                    return Err(NetError::Protocol(format!(
                        "the refresh token of {} can't be read from the store: {error}",
                        login.shown()
                    )));
                }
            };
            let kept = kept.and_then(|text| serde_json::from_slice::<KeptToken>(&text).ok());
            self.refresh_token = kept
                .filter(|kept| kept.written == login.written_id())
                .map(|kept| kept.refresh_token.into());
        }
        self.is_read = true;
        Ok(())
    }

    /// Keeps the refresh token for the next start; what fails is tried again with the next one.
    async fn keep(&mut self, login: &Login<'_>, store: Option<&ControlStore>) {
        let (Some(store), Some(token), true) = (store, &self.refresh_token, self.is_unkept) else {
            return;
        };
        let kept = KeptToken {
            written: login.written_id(),
            refresh_token: token.expose_secret().to_owned(),
        };
        let text = serde_json::to_vec(&kept).expect("two texts are JSON");
        match store
            .credential_token_put(login.service, login.name, &text)
            .await
        {
            Ok(()) => self.is_unkept = false,
            Err(error) => tracing::error!(
                service = login.service,
                credential = login.name,
                %error,
                "the new refresh token can't be stored; after a restart the credential may need a new login"
            ),
        }
    }

    fn take(&mut self, asked: Result<Granted, NetError>) -> Result<Arc<Token>, NetError> {
        match asked.and_then(|granted| granted.token) {
            Ok(token) => {
                let token = Arc::new(token);
                self.state = State::Good(token.clone());
                Ok(token)
            }
            Err(error) => {
                self.is_on_trial = false;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_that_is_full_keeps_what_can_not_be_made_again() {
        let slot = |token: Option<&str>, is_unkept| {
            Arc::new(Slot {
                entry: Arc::new(tokio::sync::Mutex::new(Entry {
                    refresh_token: token.map(|token| token.to_owned().into()),
                    is_unkept,
                    ..Entry::default()
                })),
            })
        };
        for (token, is_unkept, has_store, wanted) in [
            (None, false, true, false),
            (None, false, false, false),
            (Some("r3fresh"), false, true, false),
            (Some("r3fresh"), true, true, true),
            (Some("r3fresh"), false, false, true),
        ] {
            let slot = slot(token, is_unkept);
            assert_eq!(slot.is_needed(has_store), wanted, "{token:?} {is_unkept}");
            let used = slot.clone();
            assert!(slot.is_needed(has_store), "a run has it");
            drop(used);
            let _entered = slot.entry.clone().try_lock_owned().unwrap();
            assert!(slot.is_needed(has_store), "a run asks with it");
        }
    }
}

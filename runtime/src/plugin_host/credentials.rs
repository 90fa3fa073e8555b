//! Credentials of services, for calls that no plugin makes, and when they were used last.

use tokio::time::Instant;
use url::Url;

use super::PluginHost;
use super::policy::credentials::{AppliedCredential, CredentialSource, RefusedToken};
use crate::domain::Service;
use crate::net::NetFailure;
use crate::store::{ControlError, ControlStore};

impl PluginHost {
    fn credentials(&self) -> CredentialSource<'_> {
        CredentialSource {
            net: &self.calls.net,
            cache: &self.calls.credential_cache,
        }
    }

    /// Returns what a credential of the service adds to a request to the URL.
    pub async fn credential_apply(
        &self,
        service: &Service,
        name: &str,
        url: &Url,
        deadline: Instant,
    ) -> Result<AppliedCredential, NetFailure> {
        let credentials = self.credentials();
        credentials.apply(service, name, url, deadline).await
    }

    /// Stores when credentials were used last.
    pub async fn credential_uses_store(&self, control: &ControlStore) -> Result<(), ControlError> {
        let uses = &self.calls.credential_cache.uses;
        let taken = uses.take();
        if taken.is_empty() {
            return Ok(());
        }
        let stored = control.credential_uses_note(&taken).await;
        if stored.is_err() {
            uses.put_back(taken);
        }
        stored
    }

    /// Asks for another token in the place of one that the service refused.
    pub async fn credential_renew(
        &self,
        service: &Service,
        name: &str,
        refused: &RefusedToken,
        deadline: Instant,
    ) -> Result<(), NetFailure> {
        let credentials = self.credentials();
        credentials.renew(service, name, refused, deadline).await
    }
}

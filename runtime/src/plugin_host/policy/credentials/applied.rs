//! A service's credential for a request that no plugin makes: calls through the gateway.

use std::sync::Arc;

use tokio::time::Instant;
use url::Url;

use super::cache::CALLS_PACE;
use super::oauth::Token;
use super::{CredentialCache, Login, RequestSigner, bearer, choose, inject};
use crate::domain::{CredentialKind, Service, now_ms};
use crate::net::{ClientIdentity, HttpRequest, Net, NetError, NetFailure};
use crate::plugin_host::policy::reach::SecretScope;
use crate::plugin_host::policy::secrets::SealedSettings;

const UNAUTHORIZED: u16 = 401;

/// Parts of a request that a credential adds. Prints nothing of them.
#[derive(Default)]
pub struct AppliedCredential {
    /// Headers, which take the place of those of the same name.
    pub headers: Vec<(String, String)>,
    /// Parameters of the query, which take the place of those of the same name.
    pub parameters: Vec<(String, String)>,
    pub identity: Option<ClientIdentity>,
    /// Signs each attempt, in the place of headers and parameters.
    pub signer: Option<RequestSigner>,
    token: Option<Arc<Token>>,
}

/// A token that the service refused.
pub struct RefusedToken(Arc<Token>);

impl std::fmt::Debug for AppliedCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AppliedCredential(***)")
    }
}

impl AppliedCredential {
    /// Notes how the service answered. Returns a token that it refused and that can be asked for
    /// again, see [`crate::plugin_host::PluginHost::credential_renew`].
    pub fn refused(&self, status: u16) -> Option<RefusedToken> {
        let token = self.token.as_ref()?;
        if status != UNAUTHORIZED {
            token.note_taken();
            return None;
        }
        Some(RefusedToken(Arc::clone(token)))
    }
}

/// Network and cache of the credentials that are asked for.
pub(in crate::plugin_host) struct CredentialSource<'a> {
    pub(in crate::plugin_host) net: &'a Net,
    pub(in crate::plugin_host) cache: &'a CredentialCache,
}

impl CredentialSource<'_> {
    /// Returns what the credential adds to a request to the URL, if it may go there.
    pub(in crate::plugin_host) async fn apply(
        &self,
        service: &Service,
        name: &str,
        url: &Url,
        deadline: Instant,
    ) -> Result<AppliedCredential, NetFailure> {
        let scope = SecretScope::of_base_url(&service.base_url);
        let mut bare = url.clone();
        bare.set_query(None);
        let credential = choose(&service.credentials, &scope, name, bare.as_str())?;
        self.cache.uses.note(&service.slug, name, now_ms());
        if let Some(signer) = RequestSigner::of(credential) {
            return Ok(AppliedCredential {
                signer: Some(signer),
                ..AppliedCredential::default()
            });
        }
        let mut call = HttpRequest::new("GET", bare.as_str(), deadline);
        let secrets = SealedSettings::default();
        let mut taken = None;
        match self.login(service, name) {
            Some(login) => {
                let token = self.cache.token(&login, deadline).await?;
                bearer(&mut call, name, token.value(), &secrets)?;
                taken = Some(token);
            }
            None => inject(&mut call, credential, &secrets, self.cache)?,
        }
        let url = Url::parse(&call.url)
            .map_err(|error| NetError::Protocol(format!("the URL is not one: {error}")))?;
        Ok(AppliedCredential {
            headers: call.headers,
            parameters: url.query_pairs().into_owned().collect(),
            identity: call.identity,
            signer: None,
            token: taken,
        })
    }

    /// Asks for another token in the place of a refused one, unless there is no point in it.
    pub(in crate::plugin_host) async fn renew(
        &self,
        service: &Service,
        name: &str,
        RefusedToken(token): &RefusedToken,
        deadline: Instant,
    ) -> Result<(), NetFailure> {
        if let Some(login) = self.login(service, name) {
            self.cache
                .renewed(&login, token, CALLS_PACE, deadline)
                .await?;
        }
        Ok(())
    }

    fn login<'a>(&'a self, service: &'a Service, name: &'a str) -> Option<Login<'a>> {
        let credential = service
            .credentials
            .iter()
            .find(|credential| credential.name == name)?;
        let CredentialKind::OAuth2(oauth) = &credential.kind else {
            return None;
        };
        Some(Login {
            net: self.net,
            oauth,
            name,
            service: &service.slug,
            allow_private: service.private.clone(),
        })
    }
}

//! Credentials are put into a request here, after the guest and before the policy: no plugin can
//! read one.

mod applied;
mod assertion;
mod cache;
mod oauth;
mod signing;
mod uses;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use url::Url;

pub(in crate::plugin_host) use applied::CredentialSource;
pub use applied::{AppliedCredential, RefusedToken};
pub(in crate::plugin_host) use cache::CredentialCache;
pub(in crate::plugin_host) use oauth::Login;
pub use signing::{PayloadUse, RequestSigner, RequestToSign, SignedPayload, SigningError};

use crate::domain::{Credential, CredentialKind};
use crate::net::{HttpRequest, NetError, NetFailure};
use crate::plugin_host::policy::reach::SecretScope;
use crate::plugin_host::policy::secrets::SealedSettings;

/// The credential of that name, if it may go to where the request goes.
pub(in crate::plugin_host) fn choose<'a>(
    credentials: &'a [Credential],
    scope: &SecretScope,
    name: &str,
    url: &str,
) -> Result<&'a Credential, NetFailure> {
    let Some(credential) = credentials
        .iter()
        .find(|credential| credential.name == name)
    else {
        let key = if name == "default" {
            "authentication"
        } else {
            "credentials"
        };
        return Err(NetFailure::denied(format!(
            "the service has no credential `{name}`; write it under `{key}` of the service"
        )));
    };
    scope.check_credential(credential, url)?;
    Ok(credential)
}

/// Puts it in, and has it taken out of the answer. For [`CredentialKind::OAuth2`] see [`bearer`].
pub(in crate::plugin_host) fn inject(
    call: &mut HttpRequest,
    credential: &Credential,
    secrets: &SealedSettings,
    cache: &CredentialCache,
) -> Result<(), NetFailure> {
    let name = &credential.name;
    let protect = |secret: &str| secrets.protect(secret);
    match &credential.kind {
        CredentialKind::Header { header, value } => {
            protect(value.expose_secret());
            set_header(call, name, header, value.expose_secret().to_owned())
        }
        CredentialKind::Bearer { token } => bearer(call, name, token.expose_secret(), secrets),
        CredentialKind::Basic { username, password } => {
            let value = basic(&format!("{username}:{}", password.expose_secret()));
            protect(password.expose_secret());
            protect(value.trim_start_matches("Basic "));
            set_header(call, name, "authorization", value)
        }
        CredentialKind::Query { parameter, value } => {
            protect(value.expose_secret());
            set_parameter(call, name, parameter, value.expose_secret())
        }
        CredentialKind::Mtls { certificate, key } => {
            let identity = cache.identity(certificate, key).map_err(|fault| {
                NetError::Protocol(format!("credential `{name}` can't be used: {fault}"))
            })?;
            call.identity = Some(identity);
            Ok(())
        }
        CredentialKind::Hmac(_) | CredentialKind::SigV4(_) => {
            let signer = RequestSigner::of(credential);
            let signer = signer.expect("a credential of these kinds signs");
            signing::sign_request(call, name, &signer, secrets)
        }
        CredentialKind::OAuth2(_) => unreachable!("its token is asked for first, by the caller"),
    }
}

pub(in crate::plugin_host) fn bearer(
    call: &mut HttpRequest,
    name: &str,
    token: &str,
    secrets: &SealedSettings,
) -> Result<(), NetFailure> {
    secrets.protect(token);
    set_header(call, name, "authorization", format!("Bearer {token}"))
}

/// Two headers of one name are read differently by different servers: a plugin must not choose
/// which of them counts.
fn set_header(
    call: &mut HttpRequest,
    credential: &str,
    header: &str,
    value: String,
) -> Result<(), NetFailure> {
    if call
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case(header))
    {
        return Err(NetFailure::denied(format!(
            "header `{header}` is set by credential `{credential}`, not by plugins"
        )));
    }
    call.headers.push((header.to_owned(), value));
    Ok(())
}

fn set_parameter(
    call: &mut HttpRequest,
    credential: &str,
    parameter: &str,
    value: &str,
) -> Result<(), NetFailure> {
    let mut url = Url::parse(&call.url)
        .map_err(|error| NetError::Protocol(format!("the URL is not one: {error}")))?;
    if url.query_pairs().any(|(name, _)| name == parameter) {
        return Err(NetFailure::denied(format!(
            "query parameter `{parameter}` is set by credential `{credential}`, not by plugins"
        )));
    }
    url.query_pairs_mut().append_pair(parameter, value);
    call.url = url.into();
    Ok(())
}

/// `user:password` as the value of an `Authorization` header (RFC 7617).
pub(in crate::plugin_host) fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[cfg(test)]
mod tests;

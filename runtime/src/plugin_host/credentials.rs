//! Credentials are put into a request here, after the guest and before the policy: no plugin can read one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use url::Url;

use super::secrets::{host_name, host_of_url};
use crate::domain::{Credential, CredentialKind};
use crate::net::{HttpRequest, NetError, NetFailure};

/// Adds the credential, and only towards the service's own host.
pub(super) fn authorize(
    call: &mut HttpRequest,
    name: &str,
    credentials: &[Credential],
    own_host: Option<&str>,
) -> Result<(), NetFailure> {
    let Some(credential) = credentials.iter().find(|credential| credential.name == name) else {
        return Err(NetFailure::denied(format!(
            "the service has no credential `{name}`; write it under `authentication` of the service"
        )));
    };
    let target = host_of_url(&call.url);
    if target.as_deref().map(host_name) != own_host.map(host_name) {
        return Err(NetFailure::denied(format!(
            "credential `{name}` goes to the service's own host `{}` only",
            own_host.unwrap_or_default()
        )));
    }
    let header = |name: &str, value: String| (name.to_owned(), value);
    match &credential.kind {
        CredentialKind::Header { header: name, value } => {
            call.headers.push(header(name, value.expose_secret().to_owned()));
        }
        CredentialKind::Bearer { token } => {
            call.headers.push(header("authorization", format!("Bearer {}", token.expose_secret())));
        }
        CredentialKind::Basic { username, password } => {
            let pair = format!("{username}:{}", password.expose_secret());
            call.headers.push(header("authorization", basic(&pair)));
        }
        CredentialKind::Query { parameter, value } => {
            let mut url =
                Url::parse(&call.url).map_err(|error| NetError::Protocol(format!("the URL is not one: {error}")))?;
            url.query_pairs_mut().append_pair(parameter, value.expose_secret());
            call.url = url.into();
        }
    }
    Ok(())
}

/// `user:password` as the value of an `Authorization` header (RFC 7617).
pub(super) fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

//! `oauth2`: the token endpoint, the client, and what a token is asked for with.

use secrecy::SecretString;
use url::Url;

use super::{MAX_ENTRIES, MAX_PEM_BYTES, nothing_kept, required, secret};
use crate::domain::fault::{FaultReport, child};
use crate::domain::{ClientAuth, JwtBearer, OAuth2, OAuth2Grant};
use crate::net::SigningKey;
use crate::spec::{AuthenticationSpec, ClientAuthSpec, OAuth2GrantSpec};

/// How a token is asked for.
pub(super) fn grant(spec: &AuthenticationSpec) -> OAuth2GrantSpec {
    let otherwise = if spec.refresh_token.is_some() {
        OAuth2GrantSpec::RefreshToken
    } else {
        OAuth2GrantSpec::ClientCredentials
    };
    spec.grant.unwrap_or(otherwise)
}

pub(super) fn oauth2(
    spec: &AuthenticationSpec,
    at: &str,
    report: &mut FaultReport,
) -> Option<OAuth2> {
    let token_url = required(
        spec.token_url.as_deref(),
        "tokenUrl",
        "token endpoint",
        at,
        report,
    );
    let (client_id, client_secret) = client(spec, at, report);
    let made = made_of(spec, at, report);
    let token_url = token_url.filter(|url| is_token_url(url, &child(at, "tokenUrl"), report));
    // RFC 6749, 3.3; they are joined by spaces.
    let is_scope =
        |scope: &String| !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic());
    if spec.scopes.len() > MAX_ENTRIES || !spec.scopes.iter().all(is_scope) {
        let message = format!("must be at most {MAX_ENTRIES} words, one entry each");
        report.fault(child(at, "scopes"), message);
    }
    Some(OAuth2 {
        token_url: token_url?,
        client_id: client_id?,
        client_secret: client_secret?,
        scopes: spec.scopes.clone(),
        audience: spec.audience.clone(),
        client_auth: match spec.client_auth {
            None | Some(ClientAuthSpec::Basic) => ClientAuth::Basic,
            Some(ClientAuthSpec::Post) => ClientAuth::Post,
        },
        grant: made?,
    })
}

/// Client id and secret, of which not every grant needs both.
fn client(
    spec: &AuthenticationSpec,
    at: &str,
    report: &mut FaultReport,
) -> (Option<String>, Option<SecretString>) {
    let grant = grant(spec);
    let id = match (grant, spec.client_id.as_deref()) {
        (OAuth2GrantSpec::JwtBearer, None) => Some(String::new()),
        (_, id) => required(id, "clientId", "client id", at, report),
    };
    let secret = match (grant, spec.client_secret.as_deref()) {
        (OAuth2GrantSpec::RefreshToken | OAuth2GrantSpec::JwtBearer, None) => {
            Some(SecretString::from(""))
        }
        (_, text) => secret(text, "clientSecret", "client secret", at, report),
    };
    (id, secret)
}

fn made_of(spec: &AuthenticationSpec, at: &str, report: &mut FaultReport) -> Option<OAuth2Grant> {
    match grant(spec) {
        OAuth2GrantSpec::ClientCredentials => Some(OAuth2Grant::ClientCredentials),
        OAuth2GrantSpec::RefreshToken => {
            let token = spec.refresh_token.as_deref();
            let token = secret(token, "refreshToken", "refresh token", at, report)?;
            Some(OAuth2Grant::RefreshToken { token })
        }
        OAuth2GrantSpec::JwtBearer => jwt_bearer(spec, at, report).map(OAuth2Grant::JwtBearer),
    }
}

fn jwt_bearer(spec: &AuthenticationSpec, at: &str, report: &mut FaultReport) -> Option<JwtBearer> {
    let key = required(spec.key.as_deref(), "key", "private key", at, report)?;
    if key == "***" {
        report.fault(child(at, "key"), nothing_kept());
        return None;
    }
    if key.len() > MAX_PEM_BYTES {
        let message = format!("is longer than {MAX_PEM_BYTES} bytes");
        report.fault(child(at, "key"), message);
        return None;
    }
    if let Err(fault) = SigningKey::from_pem(&key) {
        report.fault(child(at, "key"), fault);
        return None;
    }
    let issuer = spec.issuer.as_deref().or(spec.client_id.as_deref());
    let noun = "issuer of the assertion, which is `clientId` unless it is given";
    let issuer = required(issuer, "issuer", noun, at, report)?;
    let audience = spec.assertion_audience.as_ref().or(spec.token_url.as_ref());
    Some(JwtBearer {
        key: key.into(),
        key_id: spec.key_id.clone(),
        subject: spec.subject.clone().unwrap_or_else(|| issuer.clone()),
        issuer,
        audience: audience.cloned()?,
    })
}

/// Checks a token endpoint.
fn is_token_url(url: &str, at: &str, report: &mut FaultReport) -> bool {
    match Url::parse(url) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            let message =
                "must not hold a user name or password; they are `clientId` and `clientSecret`";
            report.fault(at, message);
            false
        }
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
            if url.scheme() == "http" {
                let message = "is no `https` URL, so the client secret can be read on its way";
                report.warn(at, message);
            }
            true
        }
        _ => {
            let message = "must be a URL such as `https://login.example.com/oauth2/token`";
            report.fault(at, message);
            false
        }
    }
}

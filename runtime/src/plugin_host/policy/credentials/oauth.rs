//! Access tokens by client credentials, by a refresh token, or by a signed assertion, over the same
//! policy as everything that leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::assertion::assertion;
use super::basic;
use super::cache::Key;
use crate::domain::{ClientAuth, JwtBearer, OAuth2, OAuth2Grant, PrivateReach, now_ms};
use crate::net::{HostRule, HttpRequest, Net, NetError, Permission};
use crate::plugin_host::policy::redaction::Redactor;

/// An answer with a token; those of large providers have 4 KB.
const ANSWER_BYTES: usize = 64 << 10;

/// Larger ones do not fit a header.
const TOKEN_BYTES: usize = 16 << 10;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Lifetime of a token whose answer has none.
const UNSAID: Duration = Duration::from_secs(300);

/// Longest lifetime of a token, whatever its answer has.
const LONGEST: Duration = Duration::from_secs(86_400);

/// A token is renewed this long before it ends, or a tenth of its time if that is shorter: it has
/// to last for the request.
const MARGIN: Duration = Duration::from_secs(30);

/// How a service's token is got.
pub(in crate::plugin_host) struct Login<'a> {
    pub(in crate::plugin_host) net: &'a Net,
    pub(in crate::plugin_host) oauth: &'a OAuth2,
    /// Name of the credential, and slug of its service.
    pub(in crate::plugin_host) name: &'a str,
    pub(in crate::plugin_host) service: &'a str,
    /// The token endpoint may have a loopback or private address, as the service may.
    pub(in crate::plugin_host) allow_private: PrivateReach,
}

/// The same, for work that goes on when the run that began it has ended.
pub(super) struct OwnedLogin {
    net: Net,
    oauth: OAuth2,
    name: String,
    service: String,
    allow_private: PrivateReach,
}

impl OwnedLogin {
    pub(super) fn login(&self) -> Login<'_> {
        Login {
            net: &self.net,
            oauth: &self.oauth,
            name: &self.name,
            service: &self.service,
            allow_private: self.allow_private.clone(),
        }
    }
}

/// Answer of a token endpoint.
pub(super) struct Granted {
    /// The error is one of the answer: the refresh token counts all the same.
    pub(super) token: Result<Token, NetError>,
    /// Refresh token for the next time, in the place of the one that was sent.
    pub(super) refresh_token: Option<SecretString>,
}

pub(in crate::plugin_host) struct Token {
    value: SecretString,
    asked: Instant,
    good_until: Instant,
    /// The service has taken it.
    was_taken: AtomicBool,
}

impl Token {
    pub(in crate::plugin_host) fn value(&self) -> &str {
        self.value.expose_secret()
    }

    pub(super) fn is_good(&self) -> bool {
        Instant::now() < self.good_until
    }

    pub(super) fn age(&self) -> Duration {
        self.asked.elapsed()
    }

    pub(in crate::plugin_host) fn note_taken(&self) {
        self.was_taken.store(true, Ordering::Relaxed);
    }

    pub(super) fn was_taken(&self) -> bool {
        self.was_taken.load(Ordering::Relaxed)
    }
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    refresh_token: Option<String>,
}

#[derive(Deserialize)]
struct Refused {
    error: String,
    error_description: Option<String>,
}

impl Login<'_> {
    /// Another secret, endpoint or service is another token.
    pub(super) fn key(&self) -> Key {
        let OAuth2 {
            token_url,
            client_id,
            client_secret,
            scopes,
            audience,
            client_auth,
            grant,
        } = self.oauth;
        let mut hash = Sha256::new();
        let auth = match client_auth {
            ClientAuth::Basic => "basic",
            ClientAuth::Post => "post",
        };
        let parts = [
            self.service,
            self.name,
            auth,
            token_url,
            client_id,
            client_secret.expose_secret(),
        ];
        let audience = audience.as_deref().unwrap_or_default();
        let of_grant = match grant {
            OAuth2Grant::ClientCredentials => vec![],
            OAuth2Grant::RefreshToken { token } => vec!["refresh", token.expose_secret()],
            OAuth2Grant::JwtBearer(JwtBearer {
                key,
                key_id,
                issuer,
                subject,
                audience,
            }) => {
                let id = key_id.as_deref().unwrap_or_default();
                vec!["jwt", key.expose_secret(), id, issuer, subject, audience]
            }
        };
        for part in parts
            .into_iter()
            .chain([audience])
            .chain(of_grant)
            .chain(scopes.iter().map(String::as_str))
        {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        // A refresh token is used by one at a time, whoever asks.
        if self.written_refresh_token().is_none() {
            hash.update([u8::from(self.allow_private == PrivateReach::Closed)]);
        }
        hash.finalize().into()
    }

    /// Fingerprint of the refresh token as it was written, and of the client that it was given to.
    pub(super) fn written_id(&self) -> String {
        let token = self.written_refresh_token();
        let token = token.map(ExposeSecret::expose_secret).unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [token, &self.oauth.token_url, &self.oauth.client_id] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hex::encode(hash.finalize())
    }

    pub(super) fn shown(&self) -> String {
        format!("credential `{}`", self.name)
    }

    pub(super) fn owned(&self) -> OwnedLogin {
        OwnedLogin {
            net: self.net.clone(),
            oauth: self.oauth.clone(),
            name: self.name.to_owned(),
            service: self.service.to_owned(),
            allow_private: self.allow_private.clone(),
        }
    }

    /// Secrets that the token endpoint gets, which it may repeat.
    pub(in crate::plugin_host) fn secrets(&self) -> Vec<&str> {
        let of_grant = match &self.oauth.grant {
            OAuth2Grant::ClientCredentials => "",
            OAuth2Grant::RefreshToken { token } => token.expose_secret(),
            OAuth2Grant::JwtBearer(bearer) => bearer.key.expose_secret(),
        };
        [self.oauth.client_secret.expose_secret(), of_grant]
            .into_iter()
            .filter(|secret| !secret.is_empty())
            .collect()
    }

    /// The refresh token as it was written, where tokens are asked for with one.
    pub(super) fn written_refresh_token(&self) -> Option<&SecretString> {
        match &self.oauth.grant {
            OAuth2Grant::RefreshToken { token } => Some(token),
            _ => None,
        }
    }

    /// One request, bounded by the deadline, with the refresh token that is good now.
    pub(super) async fn ask(
        &self,
        refresh_token: Option<&SecretString>,
        deadline: Instant,
    ) -> Result<Granted, NetError> {
        let asked = Instant::now();
        let failed = |error: NetError| self.told(error);
        let assertion = self
            .assertion()
            .map_err(|text| failed(NetError::Protocol(text)))?;
        let request = self.request(refresh_token, assertion.as_deref(), deadline);
        let answer = self
            .net
            .http(&self.permission(), request)
            .await
            .map_err(|failure| failed(failure.error))?;
        if answer.status != 200 {
            return Err(failed(NetError::Protocol(
                self.refusal(
                    answer.status,
                    &answer.body,
                    refresh_token
                        .map(ExposeSecret::expose_secret)
                        .or(assertion.as_deref()),
                ),
            )));
        }
        let granted: Answer = serde_json::from_slice(&answer.body)
            // The parser's text repeats what it found.
            .map_err(|_| {
                failed(NetError::Protocol(
                    "the answer is not JSON with an `access_token`".to_owned(),
                ))
            })?;
        let next = granted
            .refresh_token
            .clone()
            .filter(|text| !text.is_empty() && text.len() <= TOKEN_BYTES);
        Ok(Granted {
            token: token(granted, asked)
                .map_err(|text| failed(NetError::Protocol(text.to_owned()))),
            refresh_token: next.map(SecretString::from),
        })
    }

    fn permission(&self) -> Permission {
        let host = Url::parse(&self.oauth.token_url)
            .ok()
            .and_then(|url| HostRule::of_url(&url));
        Permission {
            hosts: host.into_iter().collect(),
            public_hosts: Vec::new(),
            allow_private: self.allow_private.clone(),
            private_remedy: Permission::OPEN_IN_FILES,
            subject: format!("credential `{}` of service `{}`", self.name, self.service),
            setting: "`tokenUrl` of the credential".to_owned(),
        }
    }

    /// Returns a signed assertion, where tokens are asked for with one.
    fn assertion(&self) -> Result<Option<String>, String> {
        match &self.oauth.grant {
            OAuth2Grant::JwtBearer(bearer) => {
                assertion(bearer, &self.oauth.scopes, now_ms()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn request(
        &self,
        refresh_token: Option<&SecretString>,
        assertion: Option<&str>,
        deadline: Instant,
    ) -> HttpRequest {
        let OAuth2 {
            token_url,
            client_id,
            client_secret,
            scopes,
            audience,
            client_auth,
            grant,
        } = self.oauth;
        let mut request = HttpRequest::new("POST", token_url, deadline);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        request.headers.push(header("accept", "application/json"));
        request
            .headers
            .push(header("content-type", "application/x-www-form-urlencoded"));
        let mut form = Serializer::new(String::new());
        match grant {
            OAuth2Grant::ClientCredentials => {
                form.append_pair("grant_type", "client_credentials");
            }
            OAuth2Grant::RefreshToken { token } => {
                let token = refresh_token.unwrap_or(token);
                form.append_pair("grant_type", "refresh_token")
                    .append_pair("refresh_token", token.expose_secret());
            }
            OAuth2Grant::JwtBearer(_) => {
                form.append_pair("grant_type", JWT_BEARER)
                    .append_pair("assertion", assertion.unwrap_or_default());
            }
        }
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        if let Some(audience) = audience {
            form.append_pair("audience", audience);
        }
        match client_auth {
            // A client without a secret only names itself (RFC 6749, 3.2.1).
            _ if client_secret.expose_secret().is_empty() => {
                if !client_id.is_empty() {
                    form.append_pair("client_id", client_id);
                }
            }
            ClientAuth::Basic => {
                let coded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!(
                    "{}:{}",
                    coded(client_id),
                    coded(client_secret.expose_secret())
                );
                request.headers.push(header("authorization", &basic(&pair)));
            }
            ClientAuth::Post => {
                form.append_pair("client_id", client_id)
                    .append_pair("client_secret", client_secret.expose_secret());
            }
        }
        request.body = Some(form.finish().into());
        request.max_body_bytes = Some(ANSWER_BYTES);
        request
    }

    /// RFC 6749, 5.2, without the secrets that some endpoints repeat. `sent`: refresh token or
    /// assertion.
    fn refusal(&self, status: u16, body: &[u8], sent: Option<&str>) -> String {
        let hint = match (status, &self.oauth.grant) {
            (300..=399, _) => "; redirects are not followed, write the address it leads to",
            (400 | 401, OAuth2Grant::ClientCredentials) => {
                "; are `clientId`, `clientSecret`, `clientAuth` and `scopes` right?"
            }
            (400 | 401, OAuth2Grant::RefreshToken { .. }) => {
                "; the refresh token may have ended or been used by another program: log in again and write the new one as \
                 `refreshToken`"
            }
            (400 | 401, OAuth2Grant::JwtBearer(_)) => {
                "; are `key`, `keyId`, `issuer`, `subject`, `assertionAudience` and `scopes` right?"
            }
            _ => "",
        };
        match serde_json::from_slice::<Refused>(body) {
            Ok(refused) => {
                let description = refused
                    .error_description
                    .map(|text| format!(" ({text})"))
                    .unwrap_or_default();
                let mut said = format!("{}{description}", refused.error);
                let others = Redactor::default();
                for secret in self.secrets().into_iter().chain(sent) {
                    let coded: String = byte_serialize(secret.as_bytes()).collect();
                    said = said.replace(secret, "***").replace(&coded, "***");
                    // In base64, as `Basic` has it.
                    others.add(secret);
                }
                let said = others.text(&said);
                let said: String = said.chars().take(300).collect();
                format!("answered {status}: {said}{hint}")
            }
            Err(_) => format!("answered {status}{hint}"),
        }
    }

    /// The same kind of error, with the token named as its place.
    fn told(&self, error: NetError) -> NetError {
        // The query may hold secrets.
        let endpoint = self
            .oauth
            .token_url
            .split(['?', '#'])
            .next()
            .unwrap_or_default();
        let say = |text: String| format!("{} got no token from `{endpoint}`: {text}", self.shown());
        match error {
            NetError::Dns(text) => NetError::Dns(say(text)),
            NetError::Connect(text) => NetError::Connect(say(text)),
            NetError::Tls(text) => NetError::Tls(say(text)),
            NetError::Timeout(text) => NetError::Timeout(say(text)),
            NetError::Protocol(text) => NetError::Protocol(say(text)),
            NetError::Denied(text) => NetError::Denied(say(text)),
            NetError::TooLarge(text) => NetError::TooLarge(say(text)),
        }
    }
}

/// Reads the token of an answer to a request of that moment. The error says what is wrong with it.
fn token(granted: Answer, asked: Instant) -> Result<Token, &'static str> {
    let value = granted.access_token;
    if value.is_empty()
        || value.len() > TOKEN_BYTES
        || !value.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err("the answer's `access_token` is empty, too long, or can't stand in a header");
    }
    if granted
        .token_type
        .is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer"))
    {
        return Err("the answer's `token_type` is not `Bearer`");
    }
    let lasts = match granted.expires_in {
        None => UNSAID,
        Some(seconds) => match seconds.as_f64().or_else(|| seconds.as_str()?.parse().ok()) {
            Some(seconds) if seconds > 0.0 => {
                Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
            }
            _ => return Err("the answer's `expires_in` is not a number of seconds"),
        },
    };
    Ok(Token {
        value: value.into(),
        asked,
        good_until: asked + lasts - MARGIN.min(lasts / 10),
        was_taken: AtomicBool::new(false),
    })
}

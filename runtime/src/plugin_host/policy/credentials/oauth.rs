//! Access tokens by the client credentials grant (RFC 6749, 4.4), over the same policy as
//! everything that leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::basic;
use super::cache::Key;
use crate::domain::{ClientAuth, OAuth2, PrivateReach};
use crate::net::{HostRule, HttpRequest, Net, NetError, Permission};

/// An answer with a token; those of large providers have 4 KB.
const ANSWER_BYTES: usize = 64 << 10;

/// Larger ones do not fit a header.
const TOKEN_BYTES: usize = 16 << 10;

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
struct Granted {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
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
        for part in parts
            .into_iter()
            .chain([audience])
            .chain(scopes.iter().map(String::as_str))
        {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        hash.update([u8::from(self.allow_private == PrivateReach::Closed)]);
        hash.finalize().into()
    }

    pub(super) fn shown(&self) -> String {
        format!("credential `{}`", self.name)
    }

    /// One request, bounded by the deadline.
    pub(super) async fn ask(&self, deadline: Instant) -> Result<Token, NetError> {
        let asked = Instant::now();
        let request = self.request(deadline);
        let failed = |error: NetError| self.told(error);
        let answer = self
            .net
            .http(&self.permission(), request)
            .await
            .map_err(|failure| failed(failure.error))?;
        if answer.status != 200 {
            return Err(failed(NetError::Protocol(
                self.refusal(answer.status, &answer.body),
            )));
        }
        let granted: Granted = serde_json::from_slice(&answer.body)
            // The parser's text repeats what it found.
            .map_err(|_| {
                failed(NetError::Protocol(
                    "the answer is not JSON with an `access_token`".to_owned(),
                ))
            })?;
        let wrong = |text: &str| Err(failed(NetError::Protocol(text.to_owned())));
        let value = granted.access_token;
        if value.is_empty()
            || value.len() > TOKEN_BYTES
            || !value.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return wrong(
                "the answer's `access_token` is empty, too long, or can't stand in a header",
            );
        }
        if granted
            .token_type
            .is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer"))
        {
            return wrong("the answer's `token_type` is not `Bearer`");
        }
        let lasts = match granted.expires_in {
            None => UNSAID,
            Some(seconds) => match seconds.as_f64().or_else(|| seconds.as_str()?.parse().ok()) {
                Some(seconds) if seconds > 0.0 => {
                    Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64()))
                }
                _ => return wrong("the answer's `expires_in` is not a number of seconds"),
            },
        };
        Ok(Token {
            value: value.into(),
            asked,
            good_until: asked + lasts - MARGIN.min(lasts / 10),
            was_taken: AtomicBool::new(false),
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

    fn request(&self, deadline: Instant) -> HttpRequest {
        let OAuth2 {
            token_url,
            client_id,
            client_secret,
            scopes,
            audience,
            client_auth,
        } = self.oauth;
        let mut request = HttpRequest::new("POST", token_url, deadline);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        request.headers.push(header("accept", "application/json"));
        request
            .headers
            .push(header("content-type", "application/x-www-form-urlencoded"));
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        if let Some(audience) = audience {
            form.append_pair("audience", audience);
        }
        match client_auth {
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

    /// RFC 6749, 5.2.
    fn refusal(&self, status: u16, body: &[u8]) -> String {
        let hint = match status {
            300..=399 => "; redirects are not followed, write the address it leads to",
            400 | 401 => "; are `clientId`, `clientSecret`, `clientAuth` and `scopes` right?",
            _ => "",
        };
        match serde_json::from_slice::<Refused>(body) {
            Ok(refused) => {
                let description = refused
                    .error_description
                    .map(|text| format!(" ({text})"))
                    .unwrap_or_default();
                let said: String = format!("{}{description}", refused.error)
                    .chars()
                    .take(300)
                    .collect();
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

//! Requests to one registry: logins, tokens, redirects. Each hop passes the policy; a login goes
//! only to the registry and to the host that the operator named for it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::Reference;
use crate::domain::RegistryAccess;
use crate::net::{HostRule, HttpRequest, HttpResponse, Net, Permission};

/// Registries answer with the address of a storage service; more than two hops is a loop.
const MAX_HOPS: usize = 5;

/// An answer with a token.
const TOKEN_BYTES: usize = 64 << 10;

/// A registry, and the network to reach it.
pub(in crate::plugin_host) struct Registry<'a> {
    pub(in crate::plugin_host) net: &'a Net,
    /// `None` for a registry that the operator did not name: reached at a public address without a
    /// login.
    pub(in crate::plugin_host) access: Option<&'a RegistryAccess>,
    pub(in crate::plugin_host) deadline: Instant,
}

pub(super) struct Session<'a> {
    registry: Registry<'a>,
    reference: &'a Reference,
    /// The value of `Authorization`, once the registry asked for one.
    authorization: Option<SecretString>,
}

/// `WWW-Authenticate` of RFC 6750 and RFC 7617, as registries send it.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Session<'a> {
    pub(super) fn new(registry: Registry<'a>, reference: &'a Reference) -> Self {
        Self {
            registry,
            reference,
            authorization: None,
        }
    }

    /// Gets a part of the repository, of at most this size.
    pub(super) async fn get(
        &mut self,
        path: &str,
        accept: &str,
        most: usize,
    ) -> Result<Bytes, String> {
        let Reference {
            registry,
            repository,
            ..
        } = self.reference;
        let url = format!("{}://{registry}/v2/{repository}/{path}", self.scheme());
        let url = Url::parse(&url).map_err(|error| format!("`{url}` is not a URL: {error}"))?;
        let mut answer = self.follow(url.clone(), accept, most).await?;
        if answer.status == 401 && self.authorization.is_none() {
            self.authorize(&answer).await?;
            answer = self.follow(url, accept, most).await?;
        }
        match answer.status {
            200 if answer.truncated => Err(format!(
                "`{path}` is larger than the {most} bytes it was to have"
            )),
            200 => Ok(answer.body),
            401 | 403 => Err(format!(
                "the registry answered {}; name a login under `trust.registries.\"{registry}\"` in plugins.yaml, or see \
                 whether it may read the repository",
                answer.status
            )),
            404 => Err(format!("the registry knows no `{path}` in `{repository}`")),
            status => Err(format!("the registry answered {status} to `{path}`")),
        }
    }

    /// The last answer. What is asked of another host is asked without the authorization.
    async fn follow(
        &self,
        mut url: Url,
        accept: &str,
        most: usize,
    ) -> Result<HttpResponse, String> {
        for _ in 0..MAX_HOPS {
            let authorization = self
                .authorization
                .as_ref()
                .filter(|_| self.is_registry(&url));
            let answer = self.send(&url, accept, most, authorization).await?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let location = header(&answer, "location")
                .ok_or("the registry answered with a redirect to nowhere")?;
            url = url
                .join(location)
                .map_err(|_| "the registry answered with a redirect to nowhere".to_owned())?;
        }
        Err(format!(
            "the registry answered with more than {MAX_HOPS} redirects"
        ))
    }

    async fn send(
        &self,
        url: &Url,
        accept: &str,
        most: usize,
        authorization: Option<&SecretString>,
    ) -> Result<HttpResponse, String> {
        let host = url.host_str().unwrap_or_default();
        // The query may be a signed address.
        let shown = format!("{}://{host}{}", url.scheme(), url.path());
        if url.scheme() != "https" && !(self.is_plain() && self.is_registry(url)) {
            return Err(format!(
                "`{shown}` is not `https`; for a registry of one's own there is `trust.registries.\"{}\".plainHttp`",
                self.reference.registry
            ));
        }
        let permission = Permission {
            hosts: HostRule::of_url(url).into_iter().collect(),
            public_hosts: Vec::new(),
            allow_private: (self.registry.access.is_some()
                && (self.is_registry(url) || self.is_auth_host(url)))
            .into(),
            private_remedy: "name it in `trust.registries` of plugins.yaml",
            subject: format!("the pull of `{}`", self.reference),
            setting: format!(
                "`trust.registries` of plugins.yaml, as `{}`",
                self.reference.registry
            ),
        };
        let mut request = HttpRequest::new("GET", url.as_str(), self.registry.deadline);
        request
            .headers
            .push(("accept".to_owned(), accept.to_owned()));
        if let Some(value) = authorization {
            request
                .headers
                .push(("authorization".to_owned(), value.expose_secret().to_owned()));
        }
        request.own_max_body_bytes = Some(most);
        let answer = self.registry.net.http(&permission, request).await;
        answer.map_err(|failure| format!("asking `{shown}`: {failure}"))
    }

    /// Answers the registry's challenge, for this and later requests.
    async fn authorize(&mut self, answer: &HttpResponse) -> Result<(), String> {
        let wanted = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "www-authenticate");
        let challenge = wanted
            .filter_map(|(_, value)| Challenge::parse(value))
            .next();
        let login = self
            .registry
            .access
            .and_then(|access| access.login.as_ref());
        let basic = login.map(|login| {
            let pair = format!("{}:{}", login.username, login.password.expose_secret());
            SecretString::from(format!("Basic {}", STANDARD.encode(pair)))
        });
        self.authorization = match challenge {
            Some(Challenge::Basic) => basic,
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => Some(self.token(&realm, service, scope, basic).await?),
            None => {
                return Err(
                    "the registry wants to know who asks, in a way that is not `Basic` or `Bearer`"
                        .to_owned(),
                );
            }
        };
        Ok(())
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: Option<String>,
        login: Option<SecretString>,
    ) -> Result<SecretString, String> {
        let mut url =
            Url::parse(realm).map_err(|_| "the registry names no address for tokens".to_owned())?;
        let host = url.host_str().unwrap_or_default().to_owned();
        if login.is_some() && !self.is_registry(&url) && !self.is_auth_host(&url) {
            return Err(format!(
                "the registry sends the login to `{host}`; if that is right, write \
                 `trust.registries.\"{}\".authHost: \"{host}\"` in plugins.yaml",
                self.reference.registry
            ));
        }
        let scope =
            scope.unwrap_or_else(|| format!("repository:{}:pull", self.reference.repository));
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("scope", &scope);
            if let Some(service) = service {
                query.append_pair("service", &service);
            }
        }
        let answer = self
            .send(&url, "application/json", TOKEN_BYTES, login.as_ref())
            .await?;
        if answer.status != 200 {
            return Err(format!(
                "`{host}` answered {} when asked for a token",
                answer.status
            ));
        }
        let token: Token =
            serde_json::from_slice(&answer.body).map_err(|_| format!("`{host}` gave no token"))?;
        let token = token.token.or(token.access_token).unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("`{host}` gave no token that can be sent"));
        }
        Ok(SecretString::from(format!("Bearer {token}")))
    }

    fn scheme(&self) -> &'static str {
        if self.is_plain() { "http" } else { "https" }
    }

    fn is_plain(&self) -> bool {
        self.registry.access.is_some_and(|access| access.is_plain)
    }

    /// Same host and port.
    fn is_registry(&self, url: &Url) -> bool {
        let own = Url::parse(&format!("{}://{}/", self.scheme(), self.reference.registry));
        own.is_ok_and(|own| own.origin() == url.origin())
    }

    fn is_auth_host(&self, url: &Url) -> bool {
        let named = self
            .registry
            .access
            .and_then(|access| access.auth_host.as_deref());
        let own = named.and_then(|host| Url::parse(&format!("https://{host}/")).ok());
        own.is_some_and(|own| own.origin() == url.origin())
    }
}

fn header<'a>(answer: &'a HttpResponse, wanted: &str) -> Option<&'a str> {
    answer
        .headers
        .iter()
        .find(|(name, _)| name == wanted)
        .map(|(_, value)| value.as_str())
}

impl Challenge {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service, mut scope) = (None, None, None);
        let mut rest = rest.trim_start();
        while let Some((key, after)) = rest.split_once('=') {
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after
                    .split_once(',')
                    .map_or((after, ""), |(value, after)| (value, after)),
            };
            match key.trim().to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                "scope" => scope = Some(value.to_owned()),
                _ => {}
            }
            rest = after.trim_start_matches([',', ' ']);
        }
        Some(Self::Bearer {
            realm: realm?,
            service,
            scope,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let some = |text: &str| Some(text.to_owned());
        for (text, wanted) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            ("Digest realm=\"x\"", None),
            ("Bearer service=\"x\"", None),
            ("Bearer realm=\"https://a/token", None),
            (
                "Bearer realm=\"https://auth.example/token\",service=\"registry\",scope=\"repository:a/b:pull,push\"",
                Some(Challenge::Bearer {
                    realm: "https://auth.example/token".to_owned(),
                    service: some("registry"),
                    scope: some("repository:a/b:pull,push"),
                }),
            ),
            (
                "Bearer realm=https://a/t, error=invalid_token , scope=x",
                Some(Challenge::Bearer {
                    realm: "https://a/t".to_owned(),
                    service: None,
                    scope: some("x"),
                }),
            ),
        ] {
            assert_eq!(Challenge::parse(text), wanted, "{text}");
        }
    }
}

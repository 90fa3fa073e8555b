//! HTTP requests. The host opens the connection, applies the policy, adds credentials and takes the
//! times.

mod cookies;
mod redirect;

use std::borrow::Cow;
use std::time::Duration;

use crate::net::{Certificate, NetError, Phases};
use crate::url;
use crate::value::{self, Entry, Value};
use crate::wit::http as wit;
use cookies::Jar;

/// Makes a `GET` request.
pub fn get(url: impl Into<String>) -> Request {
    Request::new("GET", url)
}

/// Makes a `POST` request.
pub fn post(url: impl Into<String>) -> Request {
    Request::new("POST", url)
}

/// One request, built step by step and then sent.
#[derive(Debug, Clone)]
pub struct Request {
    inner: wit::Request,
    redirects: u32,
}

impl Request {
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let inner = wit::Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
            auth: None,
            options: Vec::new(),
        };
        Self {
            inner,
            redirects: 0,
        }
    }

    /// Adds a header; the same name may come several times.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.inner.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.inner.body = Some(body.into());
        self
    }

    /// A JSON body with its content type.
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json")
            .body(value.to_string())
    }

    /// A form body with its content type.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let pair = |(name, value): &(&str, &str)| {
            format!("{}={}", url::form_encode(name), url::form_encode(value))
        };
        let body = fields.iter().map(pair).collect::<Vec<_>>().join("&");
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(body)
    }

    /// Secrets stand in the JSON body: the host puts them in place of their placeholders.
    pub fn secrets_in_json(self) -> Self {
        self.option("secrets-in-body", "json")
    }

    /// Secrets stand in the form: the host puts them in place of their placeholders.
    pub fn secrets_in_form(self) -> Self {
        self.option("secrets-in-body", "form")
    }

    /// Signs the request as Standard Webhooks says: `webhook-id`, `webhook-timestamp`,
    /// `webhook-signature`. The id is the message's, the same for every attempt; the secret is
    /// base64, after an optional `whsec_`.
    pub fn sign_standard_webhooks(self, id: &str, secret: &crate::settings::Secret) -> Self {
        self.option(
            "standard-webhooks",
            format!("{id}:{}", secret.placeholder()),
        )
    }

    /// HTTP Basic authentication with a password from the settings.
    pub fn basic_auth(self, username: &str, password: &crate::settings::Secret) -> Self {
        self.option(
            "basic-auth",
            format!("{username}:{}", password.placeholder()),
        )
    }

    /// Shorter than what is left of the run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.inner.timeout_ms = Some(crate::time::millis(timeout));
        self
    }

    /// Lets the host add a credential of the service, by name. The plugin never sees it.
    pub fn auth(mut self, credential: impl Into<String>) -> Self {
        self.inner.auth = Some(credential.into());
        self
    }

    /// Accepts any certificate.
    pub fn insecure(self) -> Self {
        self.option("insecure", true)
    }

    /// A longer body is cut off, and the response says so.
    pub fn max_body_bytes(self, bytes: u64) -> Self {
        self.option("max-body-bytes", bytes)
    }

    /// Asks for a compressed body; the response has it decompressed. One that becomes larger than
    /// the cap is [`NetError::TooLarge`].
    pub fn decompress(self) -> Self {
        self.option("decompress", true)
    }

    /// Wants a body that is UTF-8 and not compressed, whatever the server sends. Headers stay as
    /// they came; [`Response::unread`] says why a body is not text all the same.
    pub fn text(self) -> Self {
        self.option("text", true)
    }

    /// Name asked for in the TLS handshake, when it is not the URL's host.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        self.option("server-name", name.into())
    }

    /// An option of the contract that has no method here yet.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.inner.options.push(Entry {
            key: key.into(),
            value: value.into(),
        });
        self
    }

    /// Follows up to `hops` redirects; each is a request of its own that passes the policy. To
    /// another origin come neither credentials nor secrets, private headers nor the body;
    /// `https` at its usual port is no other origin than `http` at its own. A cookie that an
    /// answer sets goes along to the same host. Without this, and after the last hop, a redirect is
    /// a response like any other.
    pub fn follow_redirects(mut self, hops: u32) -> Self {
        self.redirects = hops;
        self
    }

    /// Sends it, and waits for the whole body.
    pub fn send(self) -> Result<Response, NetError> {
        let Self {
            mut inner,
            redirects,
        } = self;
        let mut phases = None;
        let mut jar = Jar::default();
        for hop in 0.. {
            let response = match jar.header(&inner.url, header(&inner.headers, "cookie")) {
                Some(cookies) if hop > 0 => call(&with_cookies(&inner, cookies))?,
                _ => call(&inner)?,
            };
            let total = sum(phases, &response.phases);
            match redirect::target(&inner.url, &response) {
                Some(target) if hop < redirects => {
                    phases = Some(total);
                    jar.take(&inner.url, &response.headers);
                    redirect::follow(&mut inner, target, response.status);
                }
                _ => return Ok(Response::new(response, total, inner.url, hop)),
            }
        }
        unreachable!("the loop ends at the last hop")
    }
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    /// `HTTP/1.1` or `HTTP/2`
    pub version: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body was longer than the cap.
    pub truncated: bool,
    /// Of all hops together.
    pub phases: Phases,
    /// Address and port that answered.
    pub peer: String,
    /// The server's own certificate, for `https`.
    pub certificate: Option<Certificate>,
    /// URL that answered: another than the one asked for, after redirects.
    pub url: String,
    pub redirects: u32,
    /// Why the body is not the text that [`Request::text`] asked for: its coding or its charset is
    /// not known.
    pub unread: Option<String>,
    /// Nothing proves that the body is whole: it had no length, and TLS did not end in order.
    pub is_end_unproven: bool,
}

impl Response {
    fn new(response: wit::Response, phases: Phases, url: String, redirects: u32) -> Self {
        let wit::Response {
            status,
            version,
            headers,
            body,
            truncated,
            peer,
            certificate,
            ..
        } = response;
        // The host's own are told by their colon.
        let (own, headers): (Vec<_>, Vec<_>) = headers
            .into_iter()
            .partition(|(name, _)| name.starts_with(':'));
        let unread = header(&own, ":unread").map(str::to_owned);
        let is_end_unproven = header(&own, ":end").is_some();
        Self {
            status,
            version,
            headers,
            body,
            truncated,
            phases,
            peer,
            certificate,
            url,
            redirects,
            unread,
            is_end_unproven,
        }
    }

    /// First value of a header, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text, without a byte order mark; what is not UTF-8 in it is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(value::without_mark(&self.body))
    }

    /// The body as JSON, with or without a byte order mark.
    pub fn json(&self) -> Result<serde_json::Value, NotJson> {
        serde_json::from_slice(value::without_mark(&self.body))
            .map_err(|error| NotJson(format!("the answer is not JSON: {error}")))
    }

    /// From the start of the first request to the end of the last body.
    pub fn latency(&self) -> Duration {
        Duration::from_micros(self.phases.total_us)
    }

    /// 200 to 299
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A body that was to be JSON and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotJson(pub String);

impl std::fmt::Display for NotJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotJson {}

fn call(request: &wit::Request) -> Result<wit::Response, NetError> {
    #[cfg(target_arch = "wasm32")]
    return wit::send(request).map_err(NetError::from);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.http(request))
}

/// The plugin's own header is in `cookies`, too.
fn with_cookies(request: &wit::Request, cookies: String) -> wit::Request {
    let mut request = request.clone();
    request
        .headers
        .retain(|(name, _)| !name.eq_ignore_ascii_case("cookie"));
    request.headers.push(("cookie".to_owned(), cookies));
    request
}

fn header<'a>(headers: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.as_str())
}

fn sum(before: Option<Phases>, now: &Phases) -> Phases {
    let Some(before) = before else { return *now };
    let add = |a: Option<u64>, b: Option<u64>| a.map_or(b, |a| Some(a + b.unwrap_or(0)));
    Phases {
        dns_us: add(before.dns_us, now.dns_us),
        connect_us: add(before.connect_us, now.connect_us),
        tls_us: add(before.tls_us, now.tls_us),
        first_byte_us: add(before.first_byte_us, now.first_byte_us),
        body_us: add(before.body_us, now.body_us),
        total_us: before.total_us + now.total_us,
    }
}

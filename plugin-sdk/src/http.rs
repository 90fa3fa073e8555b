//! HTTP requests. The host opens the connection, applies the policy, adds credentials and takes the
//! times.

mod cookies;
pub(crate) mod draft;
mod exchange;
mod limits;
mod redirect;
pub(crate) mod text;
#[cfg(target_arch = "wasm32")]
mod wire;

use std::borrow::Cow;
use std::time::Duration;

use crate::net::{Certificate, NetError, Phases};
use crate::settings::Secret;
use crate::signatures::Algorithm;
use crate::value::{self, Entry, Value};
use crate::wit::http as wit;
use draft::{BasicAuth, Body, Draft, Signature, StandardWebhooks};
use exchange::Exchange;

pub use cookies::CookieJar;
pub use draft::Part;
pub use limits::Limit;
pub use text::Text;

/// Makes a `GET` request.
pub fn get(url: impl Into<Text>) -> Request {
    Request::new("GET", url)
}

/// Makes a `POST` request.
pub fn post(url: impl Into<Text>) -> Request {
    Request::new("POST", url)
}

/// Sends requests side by side, at most 100, and returns the answers in their order. The host
/// sends 10 at a time. Redirects are followed for each as by [`Request::send`].
///
/// ```
/// # use extrack_plugin::prelude::*;
/// # fn pages(check: &Check) -> Vec<Result<http::Response, NetError>> {
/// http::send_all(["/", "/status", "/login"].map(|path| http::get(check.service.url(path))))
/// # }
/// ```
pub fn send_all(requests: impl IntoIterator<Item = Request>) -> Vec<Result<Response, NetError>> {
    let mut exchanges: Vec<Exchange> = requests.into_iter().map(Exchange::new).collect();
    let mut answers: Vec<Option<Result<Response, NetError>>> = Vec::new();
    answers.resize_with(exchanges.len(), || None);
    loop {
        let open: Vec<usize> = (0..answers.len())
            .filter(|index| answers[*index].is_none())
            .collect();
        if open.is_empty() {
            return answers.into_iter().flatten().collect();
        }
        let drafts: Vec<Draft> = open
            .iter()
            .map(|index| exchanges[*index].next_hop().into_owned())
            .collect();
        for (index, answer) in open.into_iter().zip(call_all(&drafts)) {
            answers[index] = match answer {
                Ok(answer) => exchanges[index].answered(answer).map(Ok),
                Err(error) => Some(Err(error)),
            };
        }
    }
}

/// One request, built step by step and then sent.
#[derive(Debug, Clone)]
pub struct Request {
    draft: Draft,
    redirects: u32,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Hex,
    Base64,
}

/// An HMAC of the body, which the host computes and puts into a header.
#[derive(Debug, Clone, Copy)]
pub struct Hmac<'a> {
    pub algorithm: Algorithm,
    pub header: &'a str,
    /// Text in front of the signature, such as `sha256=`.
    pub prefix: &'a str,
    pub encoding: Encoding,
}

impl Request {
    pub fn new(method: impl Into<String>, url: impl Into<Text>) -> Self {
        let draft = Draft {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
            auth: None,
            basic_auth: None,
            signature: None,
            options: Vec::new(),
        };
        Self {
            draft,
            redirects: 0,
        }
    }

    /// Adds a header; the same name may come several times.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Text>) -> Self {
        self.draft.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.draft.body = Some(Body::Bytes(body.into()));
        self
    }

    /// A JSON body with its content type.
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.header("content-type", "application/json")
            .body(value.to_string())
    }

    /// A JSON body with secrets at JSON Pointers. The host writes them, escaped for a string.
    pub fn json_with(mut self, value: &serde_json::Value, secrets: &[(&str, &Secret)]) -> Self {
        let json = text::json(value, secrets);
        self.draft.body = Some(Body::Json { json });
        self
    }

    /// A form body; the host encodes names and values.
    pub fn form<N: Into<String>, V: Into<Text>>(
        mut self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        self.draft.body = Some(Body::Form {
            form: fields.collect(),
        });
        self
    }

    /// A `multipart/form-data` body.
    pub fn multipart(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.draft.body = Some(Body::Multipart {
            multipart: parts.into_iter().collect(),
        });
        self
    }

    /// Signs the request as Standard Webhooks defines: `webhook-id`, `webhook-timestamp`,
    /// `webhook-signature`. The id is the message's, the same for every attempt; the secret is
    /// base64, after an optional `whsec_`.
    pub fn sign_standard_webhooks(mut self, id: &str, secret: &Secret) -> Self {
        self.draft.signature = Some(Signature::StandardWebhooks {
            standard_webhooks: StandardWebhooks {
                id: id.to_owned(),
                secret: secret.clone(),
                attributes: Vec::new(),
            },
        });
        self
    }

    /// Signs the body with an HMAC.
    pub fn sign_hmac(mut self, hmac: Hmac<'_>, secret: &Secret) -> Self {
        let encoding = match hmac.encoding {
            Encoding::Hex => "hex",
            Encoding::Base64 => "base64",
        };
        self.draft.signature = Some(Signature::Hmac {
            hmac: draft::Hmac {
                header: hmac.header.to_owned(),
                algorithm: hmac.algorithm.as_str().to_owned(),
                encoding: encoding.to_owned(),
                prefix: hmac.prefix.to_owned(),
                secret: secret.clone(),
                attributes: Vec::new(),
            },
        });
        self
    }

    /// HTTP Basic authentication.
    pub fn basic_auth(mut self, username: impl Into<Text>, password: impl Into<Text>) -> Self {
        self.draft.basic_auth = Some(BasicAuth {
            username: username.into(),
            password: password.into(),
            attributes: Vec::new(),
        });
        self
    }

    /// Shorter than what is left of the run.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.draft.timeout_ms = Some(crate::time::millis(timeout));
        self
    }

    /// Lets the host add a credential of the service, by name. The plugin never sees it.
    pub fn auth(mut self, credential: impl Into<String>) -> Self {
        self.draft.auth = Some(credential.into());
        self
    }

    /// Accepts any certificate.
    pub fn insecure(self) -> Self {
        self.option("insecure", true)
    }

    /// A longer body is cut off, and the response is marked.
    pub fn max_body_bytes(self, bytes: u64) -> Self {
        self.option("max-body-bytes", bytes)
    }

    /// Asks for a compressed body; the response has it decompressed. One that becomes larger than
    /// the cap is [`NetError::TooLarge`].
    pub fn decompress(self) -> Self {
        self.option("decompress", true)
    }

    /// Wants a body that is UTF-8 and not compressed, whatever the server sends. Headers stay as
    /// they came; [`Response::unread`] has the reason when a body is not text all the same.
    pub fn text(self) -> Self {
        self.option("text", true)
    }

    /// Name asked for in the TLS handshake, when it is not the URL's host.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        self.option("server-name", name.into())
    }

    /// Speaks HTTP/2 and nothing else: over plain `http` from the first byte, as gRPC does.
    pub fn http2(self) -> Self {
        self.option("http2", true)
    }

    /// Asks for trailers by `te: trailers`; some servers send none without it. Those that come are
    /// in [`Response::trailers`].
    pub fn trailers(self) -> Self {
        self.option("trailers", true)
    }

    /// Wants the rate limits that the host reads in the answer, by the rules of the service; they
    /// are in [`Response::limits`]. The feature is `http.request:rate-limits`.
    pub fn limits(self) -> Self {
        self.option("rate-limits", true)
    }

    /// An option of the contract that has no method here yet.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.draft.options.push(Entry {
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
        complete(&mut Exchange::new(self))
    }

    /// Sends it with the cookies that earlier answers set, and keeps those that its answers set, whose
    /// values stay out of recordings.
    pub fn send_with(self, jar: &mut CookieJar) -> Result<Response, NetError> {
        let mut exchange = Exchange::with_jar(self, std::mem::take(jar));
        let response = complete(&mut exchange);
        *jar = exchange.into_jar();
        jar.hide();
        response
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
    /// What came behind the body, such as the status of gRPC.
    pub trailers: Vec<(String, String)>,
    /// The body was longer than the cap.
    pub truncated: bool,
    /// Phases of all hops together.
    pub phases: Phases,
    /// Address and port that answered.
    pub peer: String,
    /// The server's own certificate, for `https`.
    pub certificate: Option<Certificate>,
    /// URL that answered: another than the one asked for, after redirects. A secret is `***` in it.
    pub url: String,
    pub redirects: u32,
    /// Why the body is not the text that [`Request::text`] asked for: its coding or its charset is
    /// not known.
    pub unread: Option<String>,
    /// The body may not be whole: it had no length, and TLS did not end in order.
    pub is_end_unproven: bool,
    /// Rate limits in the answer, where [`Request::limits`] asked for them.
    pub limits: Vec<Limit>,
}

impl Response {
    fn new(response: wit::Response, phases: Phases, url: String, redirects: u32) -> Self {
        let wit::Response {
            status,
            version,
            headers,
            body,
            trailers,
            truncated,
            peer,
            certificate,
            attributes,
            ..
        } = response;
        let attribute = |name: &str| attributes.iter().find(|entry| entry.key == name);
        let unread = attribute("unread").and_then(|entry| match &entry.value {
            Value::Text(reason) => Some(reason.clone()),
            _ => None,
        });
        let is_end_unproven = attribute("end").is_some();
        let limits = value::text(&attributes, "rate-limits").map_or_else(Vec::new, limits::read);
        Self {
            status,
            version,
            headers,
            body,
            trailers,
            truncated,
            phases,
            peer,
            certificate,
            url,
            redirects,
            unread,
            is_end_unproven,
            limits,
        }
    }

    /// First value of a header, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// First value of a trailer, by name in any case.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        header(&self.trailers, name)
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

    /// Time from the start of the first request to the end of the last body.
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

fn complete(exchange: &mut Exchange) -> Result<Response, NetError> {
    loop {
        let answer = call(&exchange.next_hop())?;
        if let Some(response) = exchange.answered(answer) {
            return Ok(response);
        }
    }
}

fn call(draft: &Draft) -> Result<wit::Response, NetError> {
    #[cfg(target_arch = "wasm32")]
    return wire::send(draft);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| host.http(draft))
}

fn call_all(drafts: &[Draft]) -> Vec<Result<wit::Response, NetError>> {
    #[cfg(target_arch = "wasm32")]
    return wire::send_all(drafts);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::with(|host| drafts.iter().map(|draft| host.http(draft)).collect())
}

fn header<'a>(headers: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, value)| value.as_str())
}

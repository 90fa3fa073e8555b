//! HTTP requests as they would leave, with the secrets of the test's settings.

use crate::http::draft::{Body, Content, Draft, Part, Signature};
use crate::http::text::{Chunk, Text};
use crate::url::form_encode;
use crate::value::Entry;

/// A request that the plugin made.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub method: String,
    pub url: String,
    /// Headers that the plugin set. The host adds those of [`Self::basic_auth`] and
    /// [`Self::signature`].
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    pub timeout_ms: Option<u64>,
    /// Name of the credential.
    pub auth: Option<String>,
    /// User name and password.
    pub basic_auth: Option<(String, String)>,
    /// Kind of the signature and its secret.
    pub signature: Option<(&'static str, String)>,
    pub options: Vec<Entry>,
}

impl Request {
    /// First value of a header, by name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let is_it = |(found, _): &&(String, String)| found.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(is_it)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If there is no body, or another one.
    pub fn json(&self) -> serde_json::Value {
        let body = self.body.as_ref().expect("the request has no body");
        serde_json::from_slice(body).expect("the body is not JSON")
    }

    pub(crate) fn new(draft: &Draft) -> Self {
        let basic_auth = draft
            .basic_auth
            .as_ref()
            .map(|basic| (plain(&basic.username), plain(&basic.password)));
        let signature = draft.signature.as_ref().map(|signature| match signature {
            Signature::StandardWebhooks { standard_webhooks } => (
                "standard-webhooks",
                standard_webhooks.secret.value().to_owned(),
            ),
            Signature::Hmac { hmac } => ("hmac", hmac.secret.value().to_owned()),
        });
        let header = |(name, value): &(String, Text)| (name.clone(), plain(value));
        Self {
            method: draft.method.clone(),
            url: url(&draft.url),
            headers: draft.headers.iter().map(header).collect(),
            body: draft.body.as_ref().map(body),
            timeout_ms: draft.timeout_ms,
            auth: draft.auth.clone(),
            basic_auth,
            signature,
            options: draft.options.clone(),
        }
    }
}

/// The text with its secrets as they are.
pub(super) fn plain(text: &Text) -> String {
    written(text, str::to_owned)
}

fn written(text: &Text, encode: impl Fn(&str) -> String) -> String {
    let piece = |chunk: &Chunk| match chunk {
        Chunk::Text(text) => text.clone(),
        Chunk::Secret(secret) => encode(secret.value()),
    };
    text.0.iter().map(piece).collect()
}

/// As the host does it: a secret at the beginning is a URL, others are percent-encoded.
fn url(text: &Text) -> String {
    let encode = |secret: &str| -> String {
        let byte = |byte: u8| match byte {
            b if b.is_ascii_alphanumeric() || b"-._~:@!$'()*,".contains(&b) => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        };
        secret.bytes().map(byte).collect()
    };
    match text.0.split_first() {
        Some((Chunk::Secret(first), rest)) => {
            let rest = Text(rest.to_vec());
            continued(first.value(), &written(&rest, encode))
        }
        _ => written(text, encode),
    }
}

/// What stands behind a URL that has a query: a path goes in front of that query, and a query joins
/// it.
fn continued(url: &str, rest: &str) -> String {
    let bare = url.split_once('#').map_or(url, |(url, _)| url);
    match bare.split_once('?') {
        Some((address, query)) if rest.starts_with(['/', '?']) => {
            let (path, more) = rest.split_once('?').unwrap_or((rest, ""));
            let both: Vec<&str> = [query, more]
                .into_iter()
                .filter(|query| !query.is_empty())
                .collect();
            format!("{address}{path}?{}", both.join("&"))
        }
        _ => format!("{url}{rest}"),
    }
}

fn body(body: &Body) -> Vec<u8> {
    match body {
        Body::Bytes(bytes) => bytes.clone(),
        Body::Json { json } => written(json, |secret| {
            let quoted = serde_json::Value::from(secret).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        })
        .into_bytes(),
        Body::Form { form } => {
            let pair = |(name, value): &(String, Text)| {
                format!("{}={}", form_encode(name), form_encode(&plain(value)))
            };
            let pairs: Vec<String> = form.iter().map(pair).collect();
            pairs.join("&").into_bytes()
        }
        Body::Multipart { multipart } => multipart.iter().flat_map(part).collect(),
    }
}

/// With a boundary that is always the same.
fn part(part: &Part) -> Vec<u8> {
    let content = match &part.content {
        Content::Bytes(bytes) => bytes.clone(),
        Content::Text(text) => plain(text).into_bytes(),
    };
    let file_name = part
        .file_name
        .as_ref()
        .map(|name| format!("; filename=\"{name}\""))
        .unwrap_or_default();
    let head = format!(
        "--part\r\ncontent-disposition: form-data; name=\"{}\"{file_name}\r\n\r\n",
        part.name
    );
    [head.as_bytes(), &content, b"\r\n"].concat()
}

//! A request as the guest wrote it, with handles in the place of secrets, and the response as the
//! guest gets it. Recordings have both in this shape.

use serde::{Deserialize, Serialize};

use crate::plugin_host::capabilities::text::{Names, Text};
use crate::plugin_host::contract::bindings::http as wit;
use crate::plugin_host::contract::bindings::imports::net::{Certificate, Phases};
use crate::plugin_host::contract::bindings::imports::types::Entry;
use crate::plugin_host::policy::secrets::SealedSettings;

#[derive(Debug, Clone, Serialize)]
pub(in crate::plugin_host) struct Request {
    pub(in crate::plugin_host) method: String,
    pub(in crate::plugin_host) url: Text,
    pub(in crate::plugin_host) headers: Vec<(String, Text)>,
    pub(in crate::plugin_host) body: Option<Body>,
    pub(in crate::plugin_host) timeout_ms: Option<u64>,
    pub(in crate::plugin_host) auth: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin_host) basic_auth: Option<BasicAuth>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::plugin_host) signature: Option<Signature>,
    pub(in crate::plugin_host) options: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(in crate::plugin_host) enum Body {
    Bytes(Vec<u8>),
    Json { json: Text },
    Form { form: Vec<(String, Text)> },
    Multipart { multipart: Vec<Part> },
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::plugin_host) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) content: Content,
    pub(super) attributes: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Content {
    Bytes(Vec<u8>),
    Text(Text),
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::plugin_host) struct BasicAuth {
    pub(super) username: Text,
    pub(super) password: Text,
    pub(super) attributes: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(in crate::plugin_host) enum Signature {
    StandardWebhooks { standard_webhooks: StandardWebhooks },
    Hmac { hmac: Hmac },
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::plugin_host) struct StandardWebhooks {
    pub(super) id: String,
    /// JSON Pointer of the secret's setting.
    pub(super) secret: String,
    pub(super) attributes: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize)]
pub(in crate::plugin_host) struct Hmac {
    pub(super) header: String,
    pub(super) algorithm: String,
    pub(super) encoding: String,
    pub(super) prefix: String,
    /// JSON Pointer of the secret's setting.
    pub(super) secret: String,
    pub(super) attributes: Vec<Entry>,
}

/// A response as the guest gets it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::plugin_host) struct Response {
    pub(in crate::plugin_host) status: u16,
    pub(in crate::plugin_host) version: String,
    pub(in crate::plugin_host) headers: Vec<(String, String)>,
    pub(in crate::plugin_host) body: Vec<u8>,
    /// Not in recordings of earlier versions.
    #[serde(default)]
    pub(in crate::plugin_host) trailers: Vec<(String, String)>,
    pub(in crate::plugin_host) truncated: bool,
    pub(in crate::plugin_host) phases: Phases,
    pub(in crate::plugin_host) peer: String,
    pub(in crate::plugin_host) certificate: Option<Certificate>,
    pub(in crate::plugin_host) attributes: Vec<Entry>,
}

impl Part {
    /// Bytes of what the guest wrote.
    pub(in crate::plugin_host) fn len(&self) -> usize {
        let content = match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            Content::Text(text) => text.len(),
        };
        let head = [&self.file_name, &self.content_type];
        let head = head.map(|text| text.as_ref().map_or(0, String::len));
        self.name.len() + head.iter().sum::<usize>() + content
    }
}

impl BasicAuth {
    pub(in crate::plugin_host) fn username(&self) -> &Text {
        &self.username
    }

    pub(in crate::plugin_host) fn password(&self) -> &Text {
        &self.password
    }
}

impl Signature {
    /// Texts that the guest wrote.
    pub(in crate::plugin_host) fn texts(&self) -> Vec<&str> {
        match self {
            Signature::StandardWebhooks { standard_webhooks } => {
                vec![&standard_webhooks.id, &standard_webhooks.secret]
            }
            Signature::Hmac { hmac } => vec![
                &hmac.header,
                &hmac.algorithm,
                &hmac.encoding,
                &hmac.prefix,
                &hmac.secret,
            ],
        }
    }
}

impl Request {
    /// A request of the contract; fails for a handle that is none of the run's.
    pub(super) fn new(request: wit::Request, secrets: &SealedSettings) -> wasmtime::Result<Self> {
        let names = Names(secrets);
        Ok(Self {
            method: request.method,
            url: names.text(request.url)?,
            headers: names.texts(request.headers)?,
            body: request.body.map(|body| names.body(body)).transpose()?,
            timeout_ms: request.timeout_ms,
            auth: request.auth,
            basic_auth: request
                .basic_auth
                .map(|basic| names.basic_auth(basic))
                .transpose()?,
            signature: request
                .signature
                .map(|signature| names.signature(signature))
                .transpose()?,
            options: request.options,
        })
    }

    /// Whether any part carries a secret of the settings.
    pub(super) fn has_secret(&self) -> bool {
        let in_texts = |texts: &[(String, Text)]| texts.iter().any(|(_, text)| text.has_secret());
        let in_body = match &self.body {
            None | Some(Body::Bytes(_)) => false,
            Some(Body::Json { json }) => json.has_secret(),
            Some(Body::Form { form }) => in_texts(form),
            Some(Body::Multipart { multipart }) => multipart
                .iter()
                .any(|part| matches!(&part.content, Content::Text(text) if text.has_secret())),
        };
        let in_basic = self
            .basic_auth
            .as_ref()
            .is_some_and(|basic| basic.username.has_secret() || basic.password.has_secret());
        self.url.has_secret()
            || in_texts(&self.headers)
            || in_body
            || in_basic
            || self.signature.is_some()
    }
}

impl Names<'_> {
    fn body(&self, body: wit::Body) -> wasmtime::Result<Body> {
        Ok(match body {
            wit::Body::Bytes(bytes) => Body::Bytes(bytes),
            wit::Body::Json(json) => Body::Json {
                json: self.text(json)?,
            },
            wit::Body::Form(form) => Body::Form {
                form: self.texts(form)?,
            },
            wit::Body::Multipart(parts) => Body::Multipart {
                multipart: parts
                    .into_iter()
                    .map(|part| self.part(part))
                    .collect::<wasmtime::Result<_>>()?,
            },
        })
    }

    fn part(&self, part: wit::Part) -> wasmtime::Result<Part> {
        Ok(Part {
            name: part.name,
            file_name: part.file_name,
            content_type: part.content_type,
            content: match part.content {
                wit::Content::Bytes(bytes) => Content::Bytes(bytes),
                wit::Content::Text(chunks) => Content::Text(self.text(chunks)?),
            },
            attributes: part.attributes,
        })
    }

    fn basic_auth(&self, basic: wit::BasicAuth) -> wasmtime::Result<BasicAuth> {
        Ok(BasicAuth {
            username: self.text(basic.username)?,
            password: self.text(basic.password)?,
            attributes: basic.attributes,
        })
    }

    fn signature(&self, signature: wit::Signature) -> wasmtime::Result<Signature> {
        Ok(match signature {
            wit::Signature::StandardWebhooks(standard) => Signature::StandardWebhooks {
                standard_webhooks: StandardWebhooks {
                    id: standard.id,
                    secret: self.secret(&standard.secret)?,
                    attributes: standard.attributes,
                },
            },
            wit::Signature::Hmac(hmac) => Signature::Hmac {
                hmac: Hmac {
                    header: hmac.header,
                    algorithm: hmac.algorithm,
                    encoding: hmac.encoding,
                    prefix: hmac.prefix,
                    secret: self.secret(&hmac.secret)?,
                    attributes: hmac.attributes,
                },
            },
        })
    }
}

impl From<Response> for wit::Response {
    fn from(response: Response) -> Self {
        Self {
            status: response.status,
            version: response.version,
            headers: response.headers,
            body: response.body,
            trailers: response.trailers,
            truncated: response.truncated,
            phases: response.phases,
            peer: response.peer,
            certificate: response.certificate,
            attributes: response.attributes,
        }
    }
}

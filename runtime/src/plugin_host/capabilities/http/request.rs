//! A request as the guest wrote it, with handles in the place of secrets, and the response as the
//! guest gets it. Recordings have both in this shape.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use wasmtime::component::Resource;

use crate::plugin_host::contract::bindings::http as wit;
use crate::plugin_host::contract::bindings::imports::net::{Certificate, Phases};
use crate::plugin_host::contract::bindings::imports::secrets::Secret;
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

/// A text in pieces. In JSON a text without secrets is a string, else a list.
#[derive(Debug, Clone, Default)]
pub(in crate::plugin_host) struct Text(pub(super) Vec<Chunk>);

#[derive(Debug, Clone)]
pub(super) enum Chunk {
    Text(String),
    /// JSON Pointer of the secret's setting.
    Secret(String),
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

impl Text {
    /// The text with `***` in the place of secrets.
    pub(in crate::plugin_host) fn shown(&self) -> Cow<'_, str> {
        match &self.0[..] {
            [] => Cow::Borrowed(""),
            [Chunk::Text(text)] => Cow::Borrowed(text),
            chunks => chunks
                .iter()
                .map(|chunk| match chunk {
                    Chunk::Text(text) => text.as_str(),
                    Chunk::Secret(_) => "***",
                })
                .collect(),
        }
    }

    pub(super) fn has_secret(&self) -> bool {
        self.0.iter().any(|chunk| matches!(chunk, Chunk::Secret(_)))
    }

    pub(in crate::plugin_host) fn chunks(&self) -> usize {
        self.0.len()
    }

    /// Bytes of what the guest wrote.
    pub(in crate::plugin_host) fn len(&self) -> usize {
        self.0
            .iter()
            .map(|chunk| match chunk {
                Chunk::Text(text) | Chunk::Secret(text) => text.len(),
            })
            .sum()
    }
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

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(vec![Chunk::Text(text)])
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.has_secret() {
            return serializer.collect_seq(&self.0);
        }
        serializer.serialize_str(&self.shown())
    }
}

impl Serialize for Chunk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Chunk::Text(text) => serializer.serialize_str(text),
            Chunk::Secret(pointer) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("secret", pointer)?;
                map.end()
            }
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

/// Turns handles into the JSON Pointers of their settings.
struct Names<'a>(&'a SealedSettings);

impl Names<'_> {
    fn secret(&self, handle: &Resource<Secret>) -> wasmtime::Result<String> {
        self.0
            .pointer(handle.rep())
            .map(str::to_owned)
            .ok_or_else(|| wasmtime::Error::msg("a handle of no secret of this run"))
    }

    fn text(&self, chunks: Vec<wit::Chunk>) -> wasmtime::Result<Text> {
        let chunks = chunks.into_iter().map(|chunk| match chunk {
            wit::Chunk::Text(text) => Ok(Chunk::Text(text)),
            wit::Chunk::Secret(handle) => self.secret(&handle).map(Chunk::Secret),
        });
        Ok(Text(chunks.collect::<wasmtime::Result<_>>()?))
    }

    fn texts(
        &self,
        texts: Vec<(String, Vec<wit::Chunk>)>,
    ) -> wasmtime::Result<Vec<(String, Text)>> {
        texts
            .into_iter()
            .map(|(name, chunks)| Ok((name, self.text(chunks)?)))
            .collect()
    }

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

//! A request before it is handed to the host, with secrets by their settings.

use crate::http::Text;
use crate::settings::Secret;
use crate::value::Entry;

#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize))]
pub(crate) struct Draft {
    pub(crate) method: String,
    pub(crate) url: Text,
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) body: Option<Body>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) auth: Option<String>,
    #[cfg_attr(
        not(target_arch = "wasm32"),
        serde(skip_serializing_if = "Option::is_none")
    )]
    pub(crate) basic_auth: Option<BasicAuth>,
    #[cfg_attr(
        not(target_arch = "wasm32"),
        serde(skip_serializing_if = "Option::is_none")
    )]
    pub(crate) signature: Option<Signature>,
    pub(crate) options: Vec<Entry>,
}

#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize), serde(untagged))]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    Json { json: Text },
    Form { form: Vec<(String, Text)> },
    Multipart { multipart: Vec<Part> },
}

/// A part of a `multipart/form-data` body.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize))]
pub struct Part {
    pub(crate) name: String,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) content: Content,
    pub(crate) attributes: Vec<Entry>,
}

#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize), serde(untagged))]
pub(crate) enum Content {
    Bytes(Vec<u8>),
    Text(Text),
}

#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize))]
pub(crate) struct BasicAuth {
    pub(crate) username: Text,
    pub(crate) password: Text,
    pub(crate) attributes: Vec<Entry>,
}

#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize), serde(untagged))]
pub(crate) enum Signature {
    StandardWebhooks { standard_webhooks: StandardWebhooks },
    Hmac { hmac: Hmac },
}

#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize))]
pub(crate) struct StandardWebhooks {
    pub(crate) id: String,
    #[cfg_attr(not(target_arch = "wasm32"), serde(serialize_with = "pointer"))]
    pub(crate) secret: Secret,
    pub(crate) attributes: Vec<Entry>,
}

#[derive(Debug, Clone)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize))]
pub(crate) struct Hmac {
    pub(crate) header: String,
    pub(crate) algorithm: String,
    pub(crate) encoding: String,
    pub(crate) prefix: String,
    #[cfg_attr(not(target_arch = "wasm32"), serde(serialize_with = "pointer"))]
    pub(crate) secret: Secret,
    pub(crate) attributes: Vec<Entry>,
}

impl Part {
    /// A field with a text.
    pub fn text(name: impl Into<String>, content: impl Into<Text>) -> Self {
        Self::new(name, Content::Text(content.into()))
    }

    /// A file.
    pub fn file(
        name: impl Into<String>,
        file_name: impl Into<String>,
        content: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            file_name: Some(file_name.into()),
            ..Self::new(name, Content::Bytes(content.into()))
        }
    }

    /// Sets the content type.
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    fn new(name: impl Into<String>, content: Content) -> Self {
        Self {
            name: name.into(),
            file_name: None,
            content_type: None,
            content,
            attributes: Vec::new(),
        }
    }
}

#[cfg(target_arch = "wasm32")]
impl Draft {
    /// Secrets in all parts.
    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        let mut found: Vec<&Secret> = self.url.secrets().collect();
        found.extend(self.headers.iter().flat_map(|(_, value)| value.secrets()));
        match &self.body {
            None | Some(Body::Bytes(_)) => {}
            Some(Body::Json { json }) => found.extend(json.secrets()),
            Some(Body::Form { form }) => {
                found.extend(form.iter().flat_map(|(_, value)| value.secrets()));
            }
            Some(Body::Multipart { multipart }) => {
                found.extend(multipart.iter().flat_map(|part| match &part.content {
                    Content::Bytes(_) => Vec::new(),
                    Content::Text(text) => text.secrets().collect(),
                }));
            }
        }
        if let Some(basic) = &self.basic_auth {
            found.extend(basic.username.secrets().chain(basic.password.secrets()));
        }
        match &self.signature {
            None => {}
            Some(Signature::StandardWebhooks { standard_webhooks }) => {
                found.push(&standard_webhooks.secret);
            }
            Some(Signature::Hmac { hmac }) => found.push(&hmac.secret),
        }
        found
    }
}

/// The JSON that recordings have.
#[cfg(not(target_arch = "wasm32"))]
mod recorded {
    use serde::ser::SerializeMap;
    use serde::{Serialize, Serializer};

    use super::Text;
    use crate::http::text::Chunk;
    use crate::settings::Secret;

    pub(super) fn pointer<S: Serializer>(
        secret: &Secret,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.pointer())
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
                Chunk::Secret(secret) => {
                    let mut map = serializer.serialize_map(Some(1))?;
                    map.serialize_entry("secret", secret.pointer())?;
                    map.end()
                }
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
use recorded::pointer;

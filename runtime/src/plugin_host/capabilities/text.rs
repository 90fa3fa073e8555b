//! Texts as the guest wrote them, with handles in the place of secrets. Recordings have them in this
//! shape.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use wasmtime::component::Resource;

use crate::plugin_host::contract::bindings::secrets::{self, Secret};
use crate::plugin_host::policy::secrets::SealedSettings;

/// A text in pieces. In JSON a text without secrets is a string, else a list.
#[derive(Debug, Clone, Default)]
pub(in crate::plugin_host) struct Text(pub(super) Vec<Chunk>);

#[derive(Debug, Clone)]
pub(super) enum Chunk {
    Text(String),
    /// JSON Pointer of the secret's setting.
    Secret(String),
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

/// Turns handles into the JSON Pointers of their settings.
pub(super) struct Names<'a>(pub(super) &'a SealedSettings);

impl Names<'_> {
    pub(super) fn secret(&self, handle: &Resource<Secret>) -> wasmtime::Result<String> {
        self.0
            .pointer(handle.rep())
            .map(str::to_owned)
            .ok_or_else(|| wasmtime::Error::msg("a handle of no secret of this run"))
    }

    pub(super) fn text(&self, chunks: Vec<secrets::Chunk>) -> wasmtime::Result<Text> {
        let chunks = chunks.into_iter().map(|chunk| match chunk {
            secrets::Chunk::Text(text) => Ok(Chunk::Text(text)),
            secrets::Chunk::Secret(handle) => self.secret(&handle).map(Chunk::Secret),
        });
        Ok(Text(chunks.collect::<wasmtime::Result<_>>()?))
    }

    pub(super) fn texts(
        &self,
        texts: Vec<(String, Vec<secrets::Chunk>)>,
    ) -> wasmtime::Result<Vec<(String, Text)>> {
        texts
            .into_iter()
            .map(|(name, chunks)| Ok((name, self.text(chunks)?)))
            .collect()
    }
}

//! Handles to secrets, open for the length of one call.

use crate::http::Text;
use crate::http::text::Chunk;
use crate::net::NetError;
use crate::settings::Secret;
use crate::wit::secrets;

/// By JSON Pointer.
pub(crate) struct Handles(Vec<(String, secrets::Secret)>);

impl Handles {
    pub(crate) fn open<'a>(wanted: impl IntoIterator<Item = &'a Secret>) -> Result<Self, NetError> {
        let mut open = Vec::new();
        for secret in wanted {
            if open.iter().any(|(pointer, _)| pointer == secret.pointer()) {
                continue;
            }
            let handle = secret.open().ok_or_else(|| {
                NetError::Protocol(format!(
                    "the settings have no secret at `{}`",
                    secret.pointer()
                ))
            })?;
            open.push((secret.pointer().to_owned(), handle));
        }
        Ok(Self(open))
    }

    pub(crate) fn of(&self, secret: &Secret) -> &secrets::Secret {
        let found = self
            .0
            .iter()
            .find(|(pointer, _)| pointer == secret.pointer());
        &found.expect("all secrets of the call were opened").1
    }

    pub(crate) fn text(&self, text: &Text) -> Vec<secrets::Chunk<'_>> {
        let chunk = |chunk: &Chunk| match chunk {
            Chunk::Text(text) => secrets::Chunk::Text(text.clone()),
            Chunk::Secret(secret) => secrets::Chunk::Secret(self.of(secret)),
        };
        text.0.iter().map(chunk).collect()
    }
}

//! Pieces of a write as the guest made them, with the places of secrets. Recordings have them in
//! this shape.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use crate::net::NetError;
use crate::plugin_host::capabilities::http::Renderer;
use crate::plugin_host::capabilities::text::{Names, Text};
use crate::plugin_host::contract::bindings::secrets as wit;
use crate::plugin_host::policy::secrets::SealedSettings;

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    Secret {
        /// JSON Pointer of the secret's setting.
        secret: String,
    },
    /// Written as base64.
    Encoded {
        encoded: Text,
    },
}

impl Piece {
    /// Pieces of the contract; fails for a handle that is none of the run's.
    pub(super) fn all(
        pieces: Vec<wit::Piece>,
        secrets: &SealedSettings,
    ) -> wasmtime::Result<Vec<Self>> {
        let names = Names(secrets);
        let pieces = pieces.into_iter().map(|piece| {
            Ok(match piece {
                wit::Piece::Bytes(bytes) => Piece::Bytes(bytes),
                wit::Piece::Secret(handle) => Piece::Secret {
                    secret: names.secret(&handle)?,
                },
                wit::Piece::Base64(chunks) => Piece::Encoded {
                    encoded: names.text(chunks)?,
                },
            })
        });
        pieces.collect()
    }

    pub(super) fn has_secret(&self) -> bool {
        match self {
            Piece::Bytes(_) => false,
            Piece::Secret { .. } => true,
            Piece::Encoded { encoded } => encoded.has_secret(),
        }
    }

    /// Pieces of the text in it.
    pub(super) fn chunks(&self) -> usize {
        match self {
            Piece::Bytes(_) | Piece::Secret { .. } => 1,
            Piece::Encoded { encoded } => encoded.chunks(),
        }
    }

    /// Writes its bytes, with the secrets.
    pub(super) fn write(
        &self,
        renderer: &Renderer<'_>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), NetError> {
        match self {
            Piece::Bytes(plain) => bytes.extend_from_slice(plain),
            Piece::Secret { secret } => {
                bytes.extend_from_slice(renderer.secret(secret)?.as_bytes());
            }
            Piece::Encoded { encoded } => {
                let text = renderer.plain(encoded)?;
                bytes.extend_from_slice(STANDARD.encode(text).as_bytes());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_written_as_they_are_or_in_base64_and_recorded_by_their_places() {
        let schema = json!({"properties": {"key": {"x-secret": true}}});
        let sealed = SealedSettings::new(&json!({"key": "p\u{e4}ss w\"rd"}), &schema);
        let pieces = [
            Piece::Bytes(b"$10\r\n".to_vec()),
            Piece::Secret {
                secret: "/key".to_owned(),
            },
            Piece::Encoded {
                encoded: Text::from("a".to_owned()),
            },
        ];
        let mut bytes = Vec::new();
        for piece in &pieces {
            piece.write(&Renderer(&sealed), &mut bytes).unwrap();
        }
        assert_eq!(bytes, "$10\r\np\u{e4}ss w\"rdYQ==".as_bytes());
        assert_eq!(
            pieces.each_ref().map(Piece::has_secret),
            [false, true, false]
        );
        assert_eq!(
            serde_json::to_value(&pieces[1..]).unwrap(),
            json!([{"secret": "/key"}, {"encoded": "a"}])
        );
        let unknown = Piece::Secret {
            secret: "/other".to_owned(),
        };
        assert!(unknown.write(&Renderer(&sealed), &mut bytes).is_err());
    }
}

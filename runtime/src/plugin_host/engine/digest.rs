//! Components are named by their digest.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// sha256 in lower-case hex.
pub(in crate::plugin_host) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A component and its digest, which is computed once.
#[derive(Clone)]
pub(in crate::plugin_host) struct ComponentBytes {
    pub(in crate::plugin_host) bytes: Bytes,
    /// sha256 in hex.
    pub(in crate::plugin_host) digest: String,
}

impl fmt::Debug for ComponentBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ComponentBytes").field(&self.digest).finish()
    }
}

impl ComponentBytes {
    pub(in crate::plugin_host) fn new(bytes: Bytes) -> Self {
        let digest = sha256_hex(&bytes);
        Self { bytes, digest }
    }
}

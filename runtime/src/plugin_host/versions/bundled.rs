//! The plugins that came with this program, as versions.

use bytes::Bytes;

use super::log::BUNDLED;
use crate::domain::{PluginKind, PluginVersion, UnixMillis};
use crate::plugin_host::engine::bundled::bundled;
use crate::plugin_host::engine::digest::sha256_hex;

/// A plugin of this program.
pub(in crate::plugin_host) struct BundledPlugin {
    pub(in crate::plugin_host) bytes: &'static [u8],
    pub(in crate::plugin_host) kind: PluginKind,
    pub(in crate::plugin_host) version: String,
    pub(in crate::plugin_host) digest: String,
    /// Start of the program.
    pub(in crate::plugin_host) since_ms: UnixMillis,
}

impl BundledPlugin {
    pub(in crate::plugin_host) fn version(&self, name: &str) -> PluginVersion {
        PluginVersion {
            name: name.to_owned(),
            kind: self.kind,
            version: self.version.clone(),
            digest: self.digest.clone(),
            installed_ms: self.since_ms,
            installed_by: BUNDLED.to_owned(),
            is_kept: true,
            withdrawn: None,
        }
    }
}

/// Returns the component of this digest, if it is part of this binary.
pub fn bundled_component(digest: &str) -> Option<Bytes> {
    let mut components = bundled().plugins.iter().map(|(_, bytes)| *bytes);
    components
        .find(|bytes| sha256_hex(bytes) == digest)
        .map(Bytes::from_static)
}

/// Names of the plugins that are part of this binary.
pub fn bundled_names() -> impl Iterator<Item = &'static str> {
    bundled().plugins.iter().map(|(name, _)| *name)
}

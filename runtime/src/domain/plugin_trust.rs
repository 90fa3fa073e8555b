//! Components that the operator trusts to be plugins, and where they come from.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// Trust of the operator; by default anyone who may install may install anything.
#[derive(Debug, Clone, Default)]
pub struct PluginTrust {
    /// Components a plugin may be, by plugin, as sha256 in lower case hex.
    pub pins: BTreeMap<String, Vec<String>>,
    /// References `oci://…` by plugin.
    pub sources: BTreeMap<String, String>,
    /// minisign public keys in base64; a signature of any of them counts.
    pub keys: Vec<String>,
    /// Rejects what is unsigned, but for what is part of this binary.
    pub require_signatures: bool,
    /// Registries by `host` or `host:port`.
    pub registries: BTreeMap<String, RegistryAccess>,
}

impl PluginTrust {
    /// Returns the trust while what the operator wrote can't be read: only what is part of this
    /// binary.
    pub fn closed() -> Self {
        Self {
            require_signatures: true,
            ..Self::default()
        }
    }
}

/// An OCI registry that the operator named. It may have a loopback or private address.
#[derive(Debug, Clone, Default)]
pub struct RegistryAccess {
    pub login: Option<RegistryLogin>,
    /// `http`, for registries on the same machine.
    pub is_plain: bool,
    /// Where tokens come from, if that is another host: the only other place the login goes to.
    pub auth_host: Option<String>,
}

#[derive(Debug, Clone)]
pub struct RegistryLogin {
    pub username: String,
    pub password: SecretString,
}

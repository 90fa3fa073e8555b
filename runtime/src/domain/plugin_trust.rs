//! Which components the operator trusts to be plugins, and where they come from.

use std::collections::BTreeMap;

use secrecy::SecretString;

/// Nothing said: whoever may install may install anything.
#[derive(Debug, Clone, Default)]
pub struct PluginTrust {
    /// By plugin: the only components it may be, as sha256 in lower case hex.
    pub pins: BTreeMap<String, Vec<String>>,
    /// By plugin: the `oci://…` reference it is kept at.
    pub sources: BTreeMap<String, String>,
    /// minisign public keys in base64; a signature of any of them counts.
    pub keys: Vec<String>,
    /// Nothing unsigned becomes a plugin, but what is part of this binary.
    pub require_signatures: bool,
    /// By `host` or `host:port`.
    pub registries: BTreeMap<String, RegistryAccess>,
}

impl PluginTrust {
    /// While nobody can read what the operator wrote: only what is part of this binary.
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

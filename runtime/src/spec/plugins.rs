//! Plugins as people write them in `plugins.yaml`, and the same over the API.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::{DurationSpec, SecretCommandSpec};
use crate::domain::size::parse_size;

/// `plugins.yaml`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginsFile {
    /// Policies of plugins, by name.
    #[serde(default)]
    pub plugins: BTreeMap<String, PluginSpec>,
    /// Trust in the makers of plugins, and the registries they are pulled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<TrustSpec>,
}

/// Trust in the makers of plugins, and the registries they are pulled from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustSpec {
    /// Public keys of minisign: the second line of `minisign.pub`. A signature of any of them
    /// counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Refuse what is not signed by one of `keys`; what is part of the program needs no signature.
    /// Default: false.
    #[serde(default)]
    pub require_signatures: bool,
    /// OCI registries with a login, or with a loopback or private address; by `host` or
    /// `host:port`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registries: BTreeMap<String, RegistrySpec>,
}

/// One OCI registry.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistrySpec {
    /// User name, which needs a `password`. Default: none asked for, none given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password or token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// File that holds the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<String>,
    /// Command that writes the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_command: Option<SecretCommandSpec>,
    /// Host that gives tokens for this registry, if it is another one: the login goes there too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_host: Option<String>,
    /// Speak `http`. For a registry on the same machine.
    #[serde(default)]
    pub plain_http: bool,
}

impl std::fmt::Debug for RegistrySpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrySpec")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// One digest, or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DigestsSpec {
    One(String),
    Several(Vec<String>),
}

impl DigestsSpec {
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(digest) => std::slice::from_ref(digest),
            Self::Several(digests) => digests,
        }
    }
}

impl JsonSchema for DigestsSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digests".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "array"], "items": { "type": "string" }, "minItems": 1 })
    }
}

/// One plugin in `plugins.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginSpec {
    /// Grants: what it may reach and use. Default: what its kind needs, see the operator's guide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<GrantsSpec>,
    /// The most that one run of it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
    /// The only component it may be: sha256 in hex, or a list of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<DigestsSpec>,
    /// Where it is kept: `oci://REGISTRY/REPOSITORY:TAG` or
    /// `oci://REGISTRY/REPOSITORY@sha256:DIGEST`. Pulled at the start and when this changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl PluginSpec {
    /// Returns the policy. None where the file has none: then it is left to the API.
    pub fn policy(&self) -> Option<PolicySpec> {
        let Self { grants, budget, .. } = self.clone();
        (grants.is_some() || budget.is_some()).then(|| PolicySpec {
            grants: grants.unwrap_or_default(),
            budget: budget.unwrap_or_default(),
        })
    }
}

/// Policy of a plugin over the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// Grants: what it may reach and use.
    #[serde(default)]
    pub grants: GrantsSpec,
    /// The most that one run of it may use.
    #[serde(default)]
    pub budget: BudgetSpec,
}

/// Grants of a plugin: it gets what it wants and is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantsSpec {
    /// Hosts beyond the service's own and those that settings name: `api.example.com`,
    /// `api.example.com:8443`, `*.example.org`, or `*` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Names of credentials of its service. Default: all of them for probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<String>>,
    /// HTTP methods. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Addresses that a notifier may write mail to and as, beside those in its settings:
    /// `example.com`, `ops@example.com`, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mail: Vec<String>,
    /// `http`, `stream`, `udp`, `icmp`, `dns`, `mail`, `programs`. Default: what its kind is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
}

/// The most that one run of a plugin may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetSpec {
    /// Milliseconds, or text such as `10s`. Default: the probe's timeout, 2 s for a rule, 30 s for
    /// a notifier, 10 s for a webhook, 120 s for a meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<DurationSpec>,
    /// Milliseconds, or text such as `500ms`. Default: 1 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<DurationSpec>,
    /// Bytes, or text such as `64MiB`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<SizeSpec>,
    /// Calls to the host. Default: 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_calls: Option<u64>,
    /// Bytes, or text such as `1MiB`: requests, writes and mail. Default: 8 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_out: Option<SizeSpec>,
    /// Bytes, or text such as `8MiB`: answers and reads. Default: 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_in: Option<SizeSpec>,
    /// Bytes, or text such as `64KiB`, which is the default. Lines beyond are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_bytes: Option<SizeSpec>,
    /// Runs at the same time. Default: 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
}

/// A number of bytes, or text with a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SizeSpec {
    Number(Number),
    Text(String),
}

impl SizeSpec {
    /// Bytes.
    pub fn resolve(&self) -> Result<u64, String> {
        match self {
            Self::Text(text) => parse_size(text).map_err(|fault| fault.to_string()),
            Self::Number(number) => number.as_u64().ok_or_else(|| {
                format!("`{number}` is not a size; it has to be a whole number of bytes")
            }),
        }
    }
}

impl JsonSchema for SizeSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}

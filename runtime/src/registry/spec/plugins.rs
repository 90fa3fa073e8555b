//! What people write about plugins: `plugins.yaml`, and the same over the API.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::DurationSpec;
use crate::domain::size::parse_size;

/// `plugins.yaml`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginsFile {
    /// What each plugin may do, by its name.
    #[serde(default)]
    pub plugins: BTreeMap<String, PluginSpec>,
}

/// One plugin in `plugins.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginSpec {
    /// What it may reach and use. Default: what its kind needs, see the operator's guide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grants: Option<GrantsSpec>,
    /// The most that one run of it may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSpec>,
}

impl PluginSpec {
    /// None when the file says nothing on what it may do: that is left to the API.
    pub fn policy(&self) -> Option<PolicySpec> {
        let Self { grants, budget } = self.clone();
        (grants.is_some() || budget.is_some())
            .then(|| PolicySpec { grants: grants.unwrap_or_default(), budget: budget.unwrap_or_default() })
    }
}

/// What a plugin may do, over the API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicySpec {
    /// What it may reach and use.
    #[serde(default)]
    pub grants: GrantsSpec,
    /// The most that one run of it may use.
    #[serde(default)]
    pub budget: BudgetSpec,
}

/// What a plugin may reach and use: it gets what it wants and is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantsSpec {
    /// Hosts beyond the service's own and those that settings name: `api.example.com`, `api.example.com:8443`,
    /// `*.example.org`, or `*` for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Names of credentials of its service. Default: all of them for probes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Vec<String>>,
    /// HTTP methods. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// `http`, `tcp`, `dns`, `tls`, `mail`. Default: what its kind is offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
}

/// The most that one run of a plugin may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetSpec {
    /// Milliseconds, or text such as `10s`. Default: the probe's timeout, 2 s for a rule, 30 s for a notifier.
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
            Self::Number(number) => {
                number.as_u64().ok_or_else(|| format!("`{number}` is not a size; it has to be a whole number of bytes"))
            }
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

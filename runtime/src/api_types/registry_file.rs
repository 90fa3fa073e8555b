//! The registry as a file: what the API owns, as `extrack export` writes it and `extrack apply` reads it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::MaintenanceSpec;
use super::queries::NewSavedQuery;
use super::silences::SilenceSpec;
use crate::spec::ServiceSpec;

/// A key that is absent leaves what is stored alone, also with `--prune`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryFile {
    /// The services to watch.
    #[serde(default)]
    pub services: Vec<ServiceSpec>,
    /// Planned work during which alerts are suppressed, by name.
    #[serde(default)]
    pub maintenance: Vec<MaintenanceSpec>,
    /// Silences; each is known by its matchers, its times and its comment.
    #[serde(default)]
    pub silences: Vec<SilenceSpec>,
    /// Saved queries, by name.
    #[serde(default)]
    pub queries: Vec<NewSavedQuery>,
}

//! A service as the API shows it.

use serde_json::{Map, Value};

use super::compile::CompiledService;
use super::fault::Fault;
use super::plugins::PluginDirectory;
use super::{ApiService, secrets, to_value};
use crate::domain::{Origin, UnixMillis};

#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRecord {
    pub slug: String,
    /// The seed's keys, without `slug`; secrets are `***`.
    pub spec: Map<String, Value>,
    pub origin: Origin,
    /// Grows with each change; none for what comes from files.
    pub revision: Option<i64>,
    pub created_ms: Option<UnixMillis>,
    pub updated_ms: Option<UnixMillis>,
    /// Why it does not run. Empty if it does.
    pub faults: Vec<Fault>,
    pub warnings: Vec<Fault>,
}

impl ServiceRecord {
    pub(super) fn of_file(compiled: &CompiledService, plugins: &dyn PluginDirectory) -> Self {
        Self {
            slug: compiled.service.slug.clone(),
            spec: shown(&to_value(&compiled.spec), plugins),
            origin: Origin::File,
            revision: None,
            created_ms: None,
            updated_ms: None,
            faults: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn of_api(service: &ApiService, plugins: &dyn PluginDirectory) -> Self {
        let stored = &service.stored;
        Self {
            slug: stored.slug.clone(),
            spec: shown(&stored.spec, plugins),
            origin: Origin::Api,
            revision: Some(stored.revision),
            created_ms: Some(stored.created_ms),
            updated_ms: Some(stored.updated_ms),
            faults: service.compiled.as_ref().err().cloned().unwrap_or_default(),
            warnings: service.warnings.clone(),
        }
    }
}

fn shown(spec: &Value, plugins: &dyn PluginDirectory) -> Map<String, Value> {
    match secrets::redact(spec, plugins) {
        Value::Object(mut members) => {
            members.remove("slug");
            members
        }
        _ => Map::new(),
    }
}

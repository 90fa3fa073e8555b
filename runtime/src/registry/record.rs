//! A service as the API shows it.

use serde_json::{Map, Value};

use super::compile::{CompiledService, profile};
use super::plugins::PluginDirectory;
use super::{ApiService, secrets, to_value};
use crate::domain::fault::FaultReport;
use crate::domain::{Fault, Origin, PrivateReach, RateLimitRules, Service, UnixMillis};
use crate::spec::ServiceSpec;
use crate::store::control::StoredService;

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

/// Describes a service that can't run, without how it is watched. None: not even that can be read
/// any more.
pub(super) fn described(stored: &StoredService) -> Option<Service> {
    let spec: ServiceSpec = serde_json::from_value(stored.spec.clone()).ok()?;
    // Its faults were reported where it was compiled.
    let profile = profile(&spec, "", &mut FaultReport::default());
    Some(Service {
        slug: stored.slug.clone(),
        name: spec.name,
        kind: spec.kind,
        base_url: spec.base_url,
        health_endpoint: spec.health_endpoint,
        tags: spec.tags,
        labels: spec.labels,
        depends_on: spec.depends_on,
        owner: spec.owner,
        description: spec.description,
        profile,
        slo: None,
        rate_limits: RateLimitRules::default(),
        origin: Origin::Api,
        hosts: Vec::new(),
        private: PrivateReach::Closed,
        credentials: Vec::new(),
        probes: Vec::new(),
        webhooks: Vec::new(),
        meters: Vec::new(),
        gateway: None,
    })
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

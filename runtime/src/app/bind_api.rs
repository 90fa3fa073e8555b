//! What the HTTP face needs, from every part.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};

use crate::api::parts::{
    CheckError, Monitor, PluginChangeError, PluginRecord, Plugins, ProbeStatus, Program, RecentRun, ServiceChangeError,
    ServiceRecord, ServiceStatus, Services,
};
use crate::domain::{Catalog, Observation, Status};
use crate::monitoring::{self, Monitoring, StatusBoard};
use crate::plugin_host::{BUNDLED, PluginEntry, PluginHost, Refusal};
use crate::registry::{self, Registry};
use crate::store::control::TokenHash;
use crate::store::{ControlError, ControlStore, ResultStore};

/// Everything the API reads and changes.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) registry: Registry,
    pub(super) monitoring: Monitoring,
    pub(super) board: Arc<StatusBoard>,
    pub(super) control: ControlStore,
    pub(super) results: ResultStore,
    pub(super) host: PluginHost,
    pub(super) metrics: PrometheusHandle,
}

impl Parts {
    pub(super) fn for_api(self) -> crate::api::Parts {
        let (control, results) = (self.control.clone(), self.results.clone());
        let parts = Arc::new(self);
        crate::api::Parts {
            services: parts.clone(),
            monitor: parts.clone(),
            control,
            results,
            plugins: parts.clone(),
            program: parts,
        }
    }

    /// A change that could not be written down is still a change; the log has it.
    async fn audit(&self, actor: &str, action: &str, subject: &str) {
        if let Err(error) = self.control.audit_append(actor, action, subject, &json!({})).await {
            tracing::error!(%error, actor, action, subject, "a change could not be written to the audit log");
        }
    }
}

impl Services for Parts {
    fn catalog(&self) -> Arc<Catalog> {
        self.registry.catalog()
    }

    fn service_get(&self, slug: &str) -> Option<ServiceRecord> {
        self.registry.record(slug).map(service_record)
    }

    fn service_create<'a>(
        &'a self,
        spec: Map<String, Value>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<ServiceRecord, ServiceChangeError>> {
        async move {
            let record = self.registry.create(Value::Object(spec)).await.map_err(service_refusal)?;
            self.audit(actor, "service.create", &record.slug).await;
            Ok(service_record(record))
        }
        .boxed()
    }

    fn service_replace<'a>(
        &'a self,
        slug: &'a str,
        spec: Map<String, Value>,
        revision: Option<i64>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<ServiceRecord, ServiceChangeError>> {
        async move {
            let record = self.registry.replace(slug, Value::Object(spec), revision).await.map_err(service_refusal)?;
            self.audit(actor, "service.replace", slug).await;
            Ok(service_record(record))
        }
        .boxed()
    }

    fn service_delete<'a>(
        &'a self,
        slug: &'a str,
        revision: Option<i64>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<(), ServiceChangeError>> {
        async move {
            self.registry.delete(slug, revision).await.map_err(service_refusal)?;
            self.audit(actor, "service.delete", slug).await;
            Ok(())
        }
        .boxed()
    }
}

fn service_record(record: registry::ServiceRecord) -> ServiceRecord {
    ServiceRecord { slug: record.slug, spec: record.spec, origin: record.origin, revision: record.revision }
}

fn service_refusal(refusal: registry::Refusal) -> ServiceChangeError {
    use registry::{Refusal, ServiceStoreError};
    match refusal {
        Refusal::NotFound(_) | Refusal::Store(ServiceStoreError::NotFound) => ServiceChangeError::NotFound,
        Refusal::OwnedByFile(_) => ServiceChangeError::OwnedByFile,
        Refusal::Exists(slug) => ServiceChangeError::Exists(slug),
        Refusal::RevisionConflict { current } => ServiceChangeError::RevisionConflict { current },
        Refusal::Invalid(faults) => ServiceChangeError::Invalid(
            faults
                .into_iter()
                .map(|fault| crate::api::Fault { pointer: fault.pointer, message: fault.message })
                .collect(),
        ),
        Refusal::Store(error) => ServiceChangeError::Broken(error.into()),
    }
}

impl Monitor for Parts {
    fn status(&self, slug: &str) -> Option<Status> {
        self.board.service(slug)?.status
    }

    fn service_status(&self, slug: &str) -> Option<ServiceStatus> {
        let status = self.board.service(slug)?;
        let probe = |probe: monitoring::ProbeStatus| ProbeStatus {
            name: probe.name,
            latest: probe.latest,
            recent: probe
                .recent
                .into_iter()
                .map(|run| RecentRun {
                    ts_ms: run.ts_ms,
                    status: run.status,
                    latency_us: run.latency_us,
                    missed: run.missed,
                })
                .collect(),
        };
        Some(ServiceStatus {
            status: status.status,
            since_ms: status.since_ms,
            probes: status.probes.into_iter().map(probe).collect(),
        })
    }

    fn check_now<'a>(
        &'a self,
        slug: &'a str,
        probe: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Arc<Observation>, CheckError>> {
        async move {
            self.monitoring.check_now(slug, probe).await.map_err(|error| match error {
                monitoring::CheckError::UnknownService(_) => CheckError::UnknownService,
                monitoring::CheckError::UnknownProbe { .. } => CheckError::UnknownProbe,
                monitoring::CheckError::Busy => CheckError::Busy(error.to_string()),
                monitoring::CheckError::NotStored(_) => CheckError::Broken(error.into()),
            })
        }
        .boxed()
    }
}

impl Plugins for Parts {
    fn list(&self) -> Vec<PluginRecord> {
        self.host.list().into_iter().map(plugin_record).collect()
    }

    fn install<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<PluginRecord, PluginChangeError>> {
        async move {
            let entry = self.host.install(Some(name), component, actor).await.map_err(plugin_refusal)?;
            // A service that lacked this plugin may run now.
            self.registry.recheck().await;
            Ok(plugin_record(entry))
        }
        .boxed()
    }

    fn rollback<'a>(&'a self, name: &'a str, actor: &'a str) -> BoxFuture<'a, Result<PluginRecord, PluginChangeError>> {
        async move {
            if self.host.get(name).is_none() {
                return Err(PluginChangeError::NotFound);
            }
            match self.host.rollback(name, actor).await {
                Ok(Some(entry)) => Ok(plugin_record(entry)),
                Ok(None) => Err(PluginChangeError::NoPrevious),
                Err(refusal) => Err(plugin_refusal(refusal)),
            }
        }
        .boxed()
    }
}

fn plugin_record(entry: PluginEntry) -> PluginRecord {
    PluginRecord {
        name: entry.name,
        kind: entry.kind,
        version: entry.version,
        digest: entry.digest,
        state: entry.state.to_owned(),
        since_ms: entry.since_ms,
        summary: entry.info.summary.clone(),
        bundled: entry.by == BUNDLED,
    }
}

fn plugin_refusal(refusal: Refusal) -> PluginChangeError {
    PluginChangeError::Refused { step: refusal.step.to_owned(), reason: refusal.reason }
}

impl Program for Parts {
    fn unready(&self) -> Vec<String> {
        let stats = self.results.stats();
        let mut reasons = Vec::new();
        if stats.failing {
            reasons.push("results can't be written".to_owned());
        }
        if self.registry.catalog().version == 0 {
            reasons.push("the configuration is not loaded yet".to_owned());
        }
        reasons
    }

    fn metrics(&self) -> String {
        let stats = self.results.stats();
        metrics::gauge!("extrack_results_queued_rows").set(stats.queued as f64);
        metrics::gauge!("extrack_results_lag_seconds").set(stats.lag_ms as f64 / 1_000.0);
        metrics::counter!("extrack_results_committed_rows_total").absolute(stats.committed_rows);
        metrics::counter!("extrack_results_commits_total").absolute(stats.commits);
        let catalog = self.registry.catalog();
        metrics::gauge!("extrack_services").set(catalog.services.len() as f64);
        for status in Status::ALL {
            let count = catalog.services.keys().filter(|slug| Monitor::status(self, slug) == Some(status)).count();
            metrics::gauge!("extrack_services_by_status", "status" => status.as_str()).set(count as f64);
        }
        self.metrics.render()
    }
}

/// The first start makes the first token: the given one, or a new one, which is answered once and kept hashed.
pub(super) async fn first_token(control: &ControlStore, given: Option<&str>) -> Result<Option<String>, ControlError> {
    use sha2::{Digest, Sha256};
    let scopes: Vec<String> = crate::api::Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect();
    if let Some(token) = given {
        let hash: TokenHash = Sha256::digest(token).into();
        if control.token_find(&hash).await?.is_none() {
            control.token_insert("admin (EXTRACK_ADMIN_TOKEN)", &hash, &scopes).await?;
        }
        return Ok(None);
    }
    if control.token_count().await? > 0 {
        return Ok(None);
    }
    let mut secret = [0; 32];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut secret);
    let token = format!("extrack_{}", hex::encode(secret));
    control.token_insert("admin", &Sha256::digest(&token).into(), &scopes).await?;
    Ok(Some(token))
}

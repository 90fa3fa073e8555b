//! What the HTTP face needs, from every part.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value, json};

use crate::api::ports::{
    Access, AlertFilter, Attempt, Broken, CheckError, Ledger, Monitor, NotificationFilter, PluginChangeError,
    PluginRecord, Plugins, Ports, ProbeStatus, Program, QueryLimits, RecentRun, Results, ServiceChangeError,
    ServiceRecord, ServiceStatus, Services, SessionRecord, SqlAnswer, SqlError, TokenRecord,
};
use crate::domain::{Alert, AlertEvent, AlertId, Catalog, Notification, Observation, Status, UnixMillis};
use crate::monitoring::{self, Monitoring, StatusBoard};
use crate::plugin_host::{BUNDLED, PluginEntry, PluginHost, Refusal};
use crate::registry::{self, Registry};
use crate::store::control::TokenHash;
use crate::store::{ControlError, ControlStore, QueryError, ResultStore, control, results};

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
    pub(super) fn ports(self) -> Ports {
        let parts = Arc::new(self);
        Ports {
            services: parts.clone(),
            monitor: parts.clone(),
            results: parts.clone(),
            ledger: parts.clone(),
            access: parts.clone(),
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
            let record =
                self.registry.replace(slug, Value::Object(spec), revision).await.map_err(service_refusal)?;
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

impl Results for Parts {
    fn observation_page<'a>(
        &'a self,
        service: &'a str,
        before_run_id: Option<i64>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Observation>, Broken>> {
        async move { Ok(self.results.observation_page(service, before_run_id, limit as usize).await?) }.boxed()
    }

    fn query<'a>(&'a self, sql: &'a str, limits: QueryLimits) -> BoxFuture<'a, Result<SqlAnswer, SqlError>> {
        async move {
            let limits = results::QueryLimits { rows: limits.rows, timeout: limits.timeout };
            let answer = self.results.query(sql, limits).await.map_err(|error| match error {
                QueryError::Refused(reason) => SqlError::Refused(reason),
                QueryError::Invalid(reason) => SqlError::Invalid(reason),
                QueryError::Timeout(_) => SqlError::Timeout,
                QueryError::Busy => SqlError::Busy,
                QueryError::Memory => SqlError::Invalid(error.to_string()),
                QueryError::Store(error) => SqlError::Broken(error.into()),
            })?;
            Ok(SqlAnswer {
                columns: answer.columns.into_iter().map(|column| (column.name, column.kind)).collect(),
                rows: answer.rows,
                truncated: answer.truncated,
            })
        }
        .boxed()
    }
}

impl Ledger for Parts {
    fn alert_open_list(&self) -> BoxFuture<'_, Result<Vec<Alert>, Broken>> {
        async move { Ok(self.control.alert_open_list().await?) }.boxed()
    }

    fn alert_list(&self, filter: AlertFilter) -> BoxFuture<'_, Result<Vec<Alert>, Broken>> {
        let AlertFilter { state, service, before, limit } = filter;
        async move { Ok(self.control.alert_list(&control::AlertFilter { state, service, before, limit }).await?) }.boxed()
    }

    fn alert_get(&self, id: AlertId) -> BoxFuture<'_, Result<Option<(Alert, Vec<AlertEvent>)>, Broken>> {
        async move { Ok(self.control.alert_get(id).await?) }.boxed()
    }

    fn notification_list(&self, filter: NotificationFilter) -> BoxFuture<'_, Result<Vec<Notification>, Broken>> {
        let NotificationFilter { state, alert, service, before, limit } = filter;
        let filter = control::NotificationFilter { state, alert, service, before, limit };
        async move { Ok(self.control.notification_list(&filter).await?) }.boxed()
    }

    fn notification_attempts(&self, id: i64) -> BoxFuture<'_, Result<Vec<Attempt>, Broken>> {
        async move {
            let attempts = self.control.notification_attempts(id).await?;
            let attempt = |attempt: control::Attempt| Attempt {
                started_ms: attempt.started_ms,
                duration_ms: attempt.duration_ms,
                outcome: attempt.outcome.as_str().to_owned(),
                answer: Some(attempt.answer).filter(|answer| !answer.is_empty()),
            };
            Ok(attempts.into_iter().map(attempt).collect())
        }
        .boxed()
    }
}

impl Access for Parts {
    fn token_find<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<TokenRecord>, Broken>> {
        async move {
            let Some(hash) = bytes_of(hash) else { return Ok(None) };
            let token = self.control.token_find(&hash).await?;
            Ok(token.map(|token| TokenRecord {
                name: token.name,
                hash: hex::encode(token.hash),
                scopes: token.scopes,
            }))
        }
        .boxed()
    }

    fn session_insert(&self, session: SessionRecord) -> BoxFuture<'_, Result<(), Broken>> {
        async move {
            let (Some(hash), Some(token_hash)) = (bytes_of(&session.hash), bytes_of(&session.token_hash)) else {
                return Err(Broken::msg("a session's hash is not sha256 in hex"));
            };
            let token = self.control.token_find(&token_hash).await?.ok_or_else(|| Broken::msg("the token is gone"))?;
            Ok(self.control.session_insert(&hash, token.id, session.expires_ms).await?)
        }
        .boxed()
    }

    fn session_find<'a>(
        &'a self,
        hash: &'a str,
        now_ms: UnixMillis,
    ) -> BoxFuture<'a, Result<Option<SessionRecord>, Broken>> {
        async move {
            let Some(bytes) = bytes_of(hash) else { return Ok(None) };
            let session = self.control.session_find(&bytes, now_ms).await?;
            Ok(session.map(|session| SessionRecord {
                hash: hash.to_owned(),
                token_hash: hex::encode(session.token.hash),
                expires_ms: session.expires_ms,
            }))
        }
        .boxed()
    }

    fn session_delete<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<(), Broken>> {
        async move {
            match bytes_of(hash) {
                Some(hash) => Ok(self.control.session_delete(&hash).await?),
                None => Ok(()),
            }
        }
        .boxed()
    }
}

fn bytes_of(hash: &str) -> Option<TokenHash> {
    hex::decode(hash).ok()?.try_into().ok()
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
pub(super) async fn first_token(
    control: &ControlStore,
    given: Option<&str>,
) -> Result<Option<String>, ControlError> {
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

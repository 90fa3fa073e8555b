//! What the HTTP face needs of the program as a whole, and the first token.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::alerts::AlertSignals;
use crate::api::parts::Program;
use crate::api::token_hash;
use crate::domain::CurrentStatus;
use crate::monitoring::StatusBoard;
use crate::registry::Registry;
use crate::store::{ControlError, ControlStore, ResultStore};

/// The program as its readiness and its metrics show it.
pub(super) struct Face {
    pub(super) registry: Registry,
    pub(super) board: Arc<StatusBoard>,
    pub(super) results: ResultStore,
    pub(super) control: ControlStore,
    pub(super) metrics: PrometheusHandle,
    pub(super) signals: AlertSignals,
}

impl Program for Face {
    fn unready(&self) -> Vec<String> {
        let stats = self.results.stats();
        let mut reasons = Vec::new();
        if stats.failing {
            reasons.push("results can't be written".to_owned());
        }
        if self.registry.catalog().version == 0 {
            reasons.push("the configuration is not loaded yet".to_owned());
        }
        reasons.extend(self.signals.overdue());
        reasons
    }

    fn warnings(&self) -> Vec<String> {
        self.control.warnings().into_iter().chain(self.signals.warnings()).collect()
    }

    fn metrics(&self) -> String {
        let stats = self.results.stats();
        metrics::gauge!("extrack_results_queued_rows").set(stats.queued as f64);
        metrics::gauge!("extrack_results_lag_seconds").set(stats.lag_ms as f64 / 1_000.0);
        metrics::counter!("extrack_results_committed_rows_total").absolute(stats.committed_rows);
        metrics::counter!("extrack_results_commits_total").absolute(stats.commits);
        let catalog = self.registry.catalog();
        metrics::gauge!("extrack_alert_rules_without_data").set(self.signals.standings().silent() as f64);
        metrics::gauge!("extrack_services").set(catalog.services.len() as f64);
        for status in CurrentStatus::ALL {
            let count = catalog.services.keys().filter(|slug| self.board.status(slug) == Some(status)).count();
            metrics::gauge!("extrack_services_by_status", "status" => status.as_str()).set(count as f64);
        }
        self.metrics.render()
    }
}

const GIVEN_TOKEN: &str = "admin (EXTRACK_ADMIN_TOKEN)";

/// The first start makes the first token: the given one, or a new one, which is answered once and kept hashed. A given
/// token takes the place of the one given before.
pub(super) async fn first_token(control: &ControlStore, given: Option<&str>) -> Result<Option<String>, ControlError> {
    let scopes: Vec<String> = crate::api::Scope::ALL.iter().map(|scope| scope.as_str().to_owned()).collect();
    if let Some(token) = given {
        let hash = token_hash(token);
        for old in control.token_list().await? {
            if old.name == GIVEN_TOKEN && old.hash != hash {
                control.token_delete(old.id).await?;
            }
        }
        if control.token_find(&hash).await?.is_none() {
            control.token_insert(GIVEN_TOKEN, &hash, &scopes).await?;
        }
        return Ok(None);
    }
    if control.token_count().await? > 0 {
        return Ok(None);
    }
    let mut secret = [0; 32];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut secret);
    let token = format!("extrack_{}", hex::encode(secret));
    control.token_insert("admin", &token_hash(&token), &scopes).await?;
    Ok(Some(token))
}

//! What the HTTP face needs of the program as a whole, and the first token.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::alerts::AlertSignals;
use crate::api::parts::Program;
use crate::api::{new_token, token_hash};
use crate::domain::{CurrentStatus, now_ms};
use crate::monitoring::StatusBoard;
use crate::plugin_host::PluginHost;
use crate::registry::Registry;
use crate::store::control::{TokenDraft, TokenOrigin};
use crate::store::{ControlError, ControlStore, ResultStore};

use super::reload::ConfigHandle;

/// The program as its readiness and its metrics show it.
pub(super) struct Face {
    pub(super) registry: Registry,
    pub(super) plugins: PluginHost,
    pub(super) board: Arc<StatusBoard>,
    pub(super) results: ResultStore,
    pub(super) control: ControlStore,
    pub(super) metrics: PrometheusHandle,
    pub(super) signals: AlertSignals,
    pub(super) configuration: ConfigHandle,
}

impl Program for Face {
    fn unready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        reasons.extend(super::recording::not_committed(&self.results));
        reasons.extend(super::control_health::not_committed(&self.control));
        if self.registry.catalog().version == 0 {
            reasons.push("the configuration is not loaded yet".to_owned());
        }
        reasons.extend(self.signals.overdue());
        reasons
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = super::recording::warnings(&self.results);
        warnings.extend(super::control_health::warnings(&self.control));
        warnings.extend(self.control.warnings());
        warnings.extend(self.signals.warnings());
        warnings.extend(self.configuration.warnings());
        warnings
    }

    fn metrics(&self) -> String {
        super::control_health::show(&self.control);
        super::recording::show(&self.results);
        let memory = self.plugins.run_memory();
        metrics::gauge!("extrack_runs_memory_bytes").set(memory.reserved_bytes as f64);
        metrics::gauge!("extrack_runs_memory_limit_bytes").set(memory.limit_bytes as f64);
        let catalog = self.registry.catalog();
        metrics::gauge!("extrack_alert_rules_without_data")
            .set(self.signals.standings().silent() as f64);
        metrics::gauge!("extrack_configuration_differs")
            .set(self.configuration.warnings().len() as f64);
        metrics::gauge!("extrack_services").set(catalog.services.len() as f64);
        for status in CurrentStatus::ALL {
            let count = catalog
                .services
                .keys()
                .filter(|slug| self.board.status(slug) == Some(status))
                .count();
            metrics::gauge!("extrack_services_by_status", "status" => status.as_str())
                .set(count as f64);
        }
        self.metrics.render()
    }
}

const GIVEN_TOKEN: &str = "admin (EXTRACK_ADMIN_TOKEN)";

/// The first start makes the first token: the given one, or a new one, which is returned once and
/// kept hashed. A given token takes the place of the one given before, which goes with the variable
/// too.
pub(super) async fn first_token(
    control: &ControlStore,
    given: Option<&str>,
) -> Result<Option<String>, ControlError> {
    let scopes: Vec<String> = crate::api::Scope::ALL
        .iter()
        .map(|scope| scope.as_str().to_owned())
        .collect();
    let hash = given.map(token_hash);
    for name in control
        .token_delete_others(TokenOrigin::Environment, hash.as_ref())
        .await?
    {
        tracing::warn!(
            token = name,
            "the token given before is revoked: `EXTRACK_ADMIN_TOKEN` has changed"
        );
    }
    let draft = |name, hash, origin| TokenDraft {
        name,
        hash,
        scopes: &scopes,
        expires_ms: None,
        origin,
        created_by: "",
    };
    if let Some(hash) = hash {
        if control.token_find(&hash, now_ms()).await?.is_none() {
            control
                .token_insert(draft(GIVEN_TOKEN, &hash, TokenOrigin::Environment))
                .await?;
        }
        return Ok(None);
    }
    if control.token_count().await? > 0 {
        return Ok(None);
    }
    let token = new_token();
    control
        .token_insert(draft("admin", &token_hash(&token), TokenOrigin::Start))
        .await?;
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    #[tokio::test]
    async fn a_given_token_is_good_as_long_as_it_is_given() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        let is_good = async |token: &str| {
            control
                .token_find(&token_hash(token), now_ms())
                .await
                .unwrap()
                .is_some()
        };

        let first = first_token(&control, None).await.unwrap().unwrap();
        assert!(first.starts_with("extrack_") && is_good(&first).await);
        assert_eq!(first_token(&control, None).await.unwrap(), None);
        assert_eq!(first_token(&control, Some("one")).await.unwrap(), None);
        assert!(is_good("one").await && is_good(&first).await);
        first_token(&control, Some("two")).await.unwrap();
        assert!(is_good("two").await && !is_good("one").await);
        first_token(&control, None).await.unwrap();
        assert!(!is_good("two").await && is_good(&first).await);
    }
}

//! The rules and the version of their plugin that a request asks for.

use std::sync::Arc;

use serde_json::Value;

use super::candidate::WithCandidate;
use super::{BacktestError, BacktestRequest, Backtester, RuleChoice};
use crate::domain::{AlertRule, Catalog};
use crate::plugin_host::RuleVersion;

impl Backtester {
    /// Returns the rules of the services that were asked for, at least one.
    pub(super) async fn rules(
        &self,
        catalog: &Catalog,
        request: &BacktestRequest,
        candidate: Option<&RuleVersion>,
    ) -> Result<Vec<Arc<AlertRule>>, BacktestError> {
        let rules = match &request.rule {
            RuleChoice::Named(name) => named(catalog, name)?,
            RuleChoice::Spec(spec) => {
                let rules = self.rules_of_spec(spec.clone(), candidate).await?;
                rules.into_iter().map(Arc::new).collect()
            }
        };
        select(rules, request.services.as_deref())
    }

    /// Returns the rules that an entry of `alerts.yaml` would be, with the candidate among the
    /// plugins.
    async fn rules_of_spec(
        &self,
        spec: Value,
        candidate: Option<&RuleVersion>,
    ) -> Result<Vec<AlertRule>, BacktestError> {
        let tried = match candidate {
            Some(version) => {
                let plugins = WithCandidate {
                    host: &self.host,
                    version,
                };
                self.registry.rule_try_with(spec, &plugins).await
            }
            None => self.registry.rule_try(spec).await,
        };
        tried.map_err(BacktestError::Invalid)
    }

    /// Loads the component of the request, which need not be installed and is not by this.
    pub(super) async fn candidate(
        &self,
        request: &BacktestRequest,
    ) -> Result<Option<RuleVersion>, BacktestError> {
        let Some(component) = request.component.clone() else {
            return Ok(None);
        };
        let version = self.host.rule_candidate(component, &request.by).await;
        version
            .map(Some)
            .map_err(|refusal| BacktestError::Plugin(refusal.to_string()))
    }

    /// Returns the candidate, or the version in use where there is none.
    pub(super) fn version(
        &self,
        rule: &AlertRule,
        candidate: Option<RuleVersion>,
    ) -> Result<RuleVersion, BacktestError> {
        match candidate {
            None => self
                .host
                .rule_version(&rule.plugin)
                .map_err(|error| BacktestError::Plugin(error.to_string())),
            Some(version) if version.info().name == rule.plugin => Ok(version),
            Some(version) => Err(BacktestError::Plugin(format!(
                "the component is a version of `{}`, and the rule is one of `{}`",
                version.info().name,
                rule.plugin
            ))),
        }
    }
}

fn named(catalog: &Catalog, name: &str) -> Result<Vec<Arc<AlertRule>>, BacktestError> {
    let rules: Vec<Arc<AlertRule>> = catalog
        .rules
        .iter()
        .filter(|(slug, _)| catalog.services.contains_key(*slug))
        .flat_map(|(_, rules)| rules)
        .filter(|rule| rule.name == *name || rule.key == *name)
        .cloned()
        .collect();
    if rules.is_empty() {
        Err(BacktestError::UnknownRule(name.to_owned()))
    } else {
        Ok(rules)
    }
}

/// Keeps the rules of these services, all of them where none is named, in the order of their
/// services.
fn select(
    rules: Vec<Arc<AlertRule>>,
    services: Option<&[String]>,
) -> Result<Vec<Arc<AlertRule>>, BacktestError> {
    let named = services.unwrap_or_default();
    if let Some(unknown) = named
        .iter()
        .find(|slug| !rules.iter().any(|rule| rule.service == **slug))
    {
        return Err(BacktestError::UnknownService(unknown.clone()));
    }
    let is_wanted = |rule: &Arc<AlertRule>| services.is_none() || named.contains(&rule.service);
    let mut wanted: Vec<Arc<AlertRule>> = rules.into_iter().filter(is_wanted).collect();
    wanted.sort_by(|a, b| a.service.cmp(&b.service));
    if wanted.is_empty() {
        Err(BacktestError::NoService)
    } else {
        Ok(wanted)
    }
}

/// Whether two rules make the same alerts.
pub(super) fn is_same(a: &AlertRule, b: &AlertRule) -> bool {
    a.plugin == b.plugin
        && a.settings == b.settings
        && a.probes == b.probes
        && a.duration == b.duration
        && a.options == b.options
}

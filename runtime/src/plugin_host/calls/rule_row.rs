//! Evaluations of one rule in a row, for backtests: a fresh instance for each would be most of the
//! work. They leave no trace: no row, no recording, nothing in the plugin's health.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::Instant;

use super::rule::{broken_rule, judged, ticks};
use super::{PluginError, RuleCall};
use crate::domain::{Fault, History, PluginInfo, PluginKind, RunOutcome, UnixMillis, Verdict};
use crate::plugin_host::capabilities::state::Access;
use crate::plugin_host::contract::bindings::rule::exports::external_tracking::plugin::rules::Context;
use crate::plugin_host::run::Held;
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};
use crate::plugin_host::{PluginHost, Refusal};

/// What a guest forgets to free goes with its instance.
const CALLS_PER_INSTANCE: u32 = 1_000;

/// One of so many is made again in a fresh instance and compared.
const COMPARED: u64 = 500;

/// One version of a rule plugin, active or not.
#[derive(Clone)]
pub struct RuleVersion(Arc<LoadedPlugin>);

impl RuleVersion {
    pub fn info(&self) -> &Arc<PluginInfo> {
        &self.0.info
    }

    /// The rule looks at the passing of time: it is judged although nothing arrived.
    pub fn ticks(&self) -> bool {
        ticks(&self.0.info)
    }

    /// sha256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }
}

impl PluginHost {
    /// The active version of a rule.
    pub fn rule_version(&self, name: &str) -> Result<RuleVersion, PluginError> {
        self.known(PluginKind::Rule, name).map(RuleVersion)
    }

    /// A component that is not installed, and is not by this; refused as at an installation.
    pub async fn rule_candidate(&self, component: Bytes, by: &str) -> Result<RuleVersion, Refusal> {
        self.shared.trust.admit(None, &component, None).await?;
        let candidate = self.verify(None, component, by).await;
        self.sweep_unneeded().await;
        let candidate = candidate?;
        if candidate.kind != PluginKind::Rule {
            let reason = format!(
                "`{}` is a {} plugin, not a rule plugin",
                candidate.info.name,
                candidate.kind.as_str()
            );
            return Err(Refusal {
                step: "describe",
                reason,
            });
        }
        Ok(RuleVersion(Arc::new(candidate)))
    }

    /// How much history this version needs with these settings.
    pub async fn look_back_of_version(
        &self,
        rule: &RuleVersion,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        let (answer, _) = self.ask_look_back(&rule.0, settings).await;
        answer
            .map(Duration::from_millis)
            .map_err(|broken| broken_rule(&rule.0, broken))
    }

    pub async fn check_settings_of_version(
        &self,
        rule: &RuleVersion,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        self.check_unnoticed(&rule.0, settings).await
    }

    pub fn rule_row(&self, rule: &RuleVersion, service: &str, settings: &Value) -> RuleRow {
        // What WASI guests are given, such as streams and clocks, lives on between calls.
        let is_fresh_each = rule
            .0
            .imports
            .iter()
            .any(|import| import.starts_with("wasi:"));
        RuleRow {
            host: self.clone(),
            plugin: rule.0.clone(),
            service: service.to_owned(),
            settings: settings.clone(),
            settings_text: settings.to_string(),
            held: None,
            is_fresh_each,
            is_impure: false,
            evaluations: 0,
        }
    }
}

/// One rule, one service.
pub struct RuleRow {
    host: PluginHost,
    plugin: Arc<LoadedPlugin>,
    service: String,
    settings: Value,
    settings_text: String,
    /// With the calls it is still good for.
    held: Option<(Held, u32)>,
    is_fresh_each: bool,
    is_impure: bool,
    evaluations: u64,
}

impl RuleRow {
    /// A rule that said one thing here and another in a fresh instance: it remembers, and what it
    /// says can't be relied on.
    pub fn is_impure(&self) -> bool {
        self.is_impure
    }

    pub async fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> Result<Verdict, PluginError> {
        self.evaluations += 1;
        if self.is_fresh_each {
            return self.fresh(history, now_ms).await;
        }
        let verdict = self.in_a_row(history.clone(), now_ms).await;
        match verdict {
            Ok(verdict) if !self.evaluations.is_multiple_of(COMPARED) => Ok(verdict),
            Ok(verdict) => {
                let fresh = self.fresh(history, now_ms).await?;
                self.is_impure |= fresh != verdict;
                self.is_fresh_each = self.is_impure;
                Ok(fresh)
            }
            // Perhaps for what earlier calls left behind.
            Err(()) => self.fresh(history, now_ms).await,
        }
    }

    async fn in_a_row(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> Result<Verdict, ()> {
        let deadline = Instant::now() + self.host.patience(&self.plugin);
        let (mut held, left) = match self.held.take() {
            Some(held) => held,
            None => {
                let label = self.plugin.label(Some(&self.service));
                let held = self
                    .host
                    .shared
                    .runner
                    .hold(&self.plugin.pre, label, deadline)
                    .await
                    .map_err(drop)?;
                (held, CALLS_PER_INSTANCE)
            }
        };
        let context = Context {
            service: self.service.clone(),
            settings: self.settings_text.clone(),
            now_ms: now_ms.max(0) as u64,
        };
        let access = Access {
            history: Some(history),
            frozen_ms: Some(now_ms),
            ..Access::default()
        };
        let plugin = &self.plugin;
        let answer = held
            .call(access, deadline, async |store, instance| {
                let Exports::Rule(exports) = &plugin.exports else {
                    unreachable!("looked up as a rule")
                };
                let guest = exports.load(&mut *store, instance)?;
                guest
                    .external_tracking_plugin_rules()
                    .call_evaluate(&mut *store, &context)
                    .await
            })
            .await;
        let is_fit = answer.is_ok();
        let (_, verdict) = judged(answer);
        if is_fit && left > 1 {
            self.held = Some((held, left - 1));
        }
        verdict.map_err(drop)
    }

    async fn fresh(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> Result<Verdict, PluginError> {
        let plugin = self.plugin.info.name.as_str();
        let call = RuleCall {
            plugin,
            service: &self.service,
            settings: &self.settings,
            now_ms,
            history,
        };
        let evaluated = self.host.evaluate_with(&self.plugin, &call).await;
        let outcome: RunOutcome = evaluated.outcome;
        evaluated.verdict.map_err(|reason| PluginError::Broken {
            plugin: plugin.to_owned(),
            outcome,
            reason,
        })
    }
}

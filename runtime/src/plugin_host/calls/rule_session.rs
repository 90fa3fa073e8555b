//! Evaluations of one rule in a row, for backtests: a fresh instance for each would be most of the
//! work. They leave no trace: no row, no recording, nothing in the plugin's health.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Calls;
use super::rule::{broken_rule, judged, ticks};
use crate::domain::{Fault, History, PluginInfo, PluginKind, RunOutcome, UnixMillis, Verdict};
use crate::plugin_host::calls::PluginError;
use crate::plugin_host::calls::request::RuleCall;
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::contract::bindings::rule::exports::external_tracking::plugin::rules::Context;
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::run::WarmInstance;
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};

/// Calls of one instance; memory that a guest does not free goes with it.
const CALLS_PER_INSTANCE: u32 = 1_000;

/// One of so many is made again in a fresh instance and compared.
const COMPARED: u64 = 500;

/// One version of a rule plugin, active or not.
#[derive(Clone)]
pub struct RuleVersion(pub(in crate::plugin_host) Arc<LoadedPlugin>);

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

impl Calls {
    /// The active version of a rule.
    pub(in crate::plugin_host) fn rule_version(
        &self,
        name: &str,
    ) -> Result<RuleVersion, PluginError> {
        self.known(PluginKind::Rule, name).map(RuleVersion)
    }

    /// How much history this version needs with these settings.
    pub(in crate::plugin_host) async fn look_back_of_version(
        &self,
        rule: &RuleVersion,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        let (answer, _) = self.ask_look_back(&rule.0, settings).await;
        answer
            .map(Duration::from_millis)
            .map_err(|broken| broken_rule(&rule.0, broken))
    }

    pub(in crate::plugin_host) async fn check_settings_of_version(
        &self,
        rule: &RuleVersion,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        self.check_unnoticed(&rule.0, settings).await
    }

    pub(in crate::plugin_host) fn rule_session(
        self: &Arc<Self>,
        rule: &RuleVersion,
        service: &str,
        settings: &Value,
    ) -> RuleSession {
        // What WASI guests are given, such as streams and clocks, lives on between calls.
        let is_fresh_each = rule
            .0
            .imports
            .iter()
            .any(|import| import.starts_with("wasi:"));
        RuleSession {
            calls: self.clone(),
            plugin: rule.0.clone(),
            service: service.to_owned(),
            settings: settings.clone(),
            sealed: SealedSettings::new(settings, &rule.0.info.settings_schema),
            instance: None,
            is_fresh_each,
            is_impure: false,
            evaluations: 0,
        }
    }
}

/// One rule, one service.
pub struct RuleSession {
    calls: Arc<Calls>,
    plugin: Arc<LoadedPlugin>,
    service: String,
    settings: Value,
    /// Settings for evaluations in a row; a fresh one seals them anew.
    sealed: SealedSettings,
    /// A warm instance, with the calls it is still good for.
    instance: Option<(WarmInstance, u32)>,
    is_fresh_each: bool,
    is_impure: bool,
    evaluations: u64,
}

impl RuleSession {
    /// Returns true for a rule that answered differently in a fresh instance: it keeps state, and
    /// its verdicts are not reliable.
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
        let deadline = Instant::now() + self.calls.patience(&self.plugin, limits::EVALUATE);
        let (mut instance, left) = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let label = self.plugin.label(Some(&self.service));
                let instance = self
                    .calls
                    .runner
                    .warm_up(&self.plugin.pre, label, deadline)
                    .await
                    .map_err(drop)?;
                (instance, CALLS_PER_INSTANCE)
            }
        };
        let context = Context {
            service: self.service.clone(),
            settings: self.sealed.settings.to_string(),
            now_ms: now_ms.max(0) as u64,
            attributes: Vec::new(),
        };
        let access = Access {
            history: Some(history),
            secrets: self.sealed.clone(),
            frozen_ms: Some(now_ms),
            ..Access::default()
        };
        let plugin = &self.plugin;
        let answer = instance
            .call(access, deadline, async |store, guest_instance| {
                let Exports::Rule(exports) = &plugin.exports else {
                    unreachable!("looked up as a rule")
                };
                let guest = exports.load(&mut *store, guest_instance)?;
                guest
                    .external_tracking_plugin_rules()
                    .call_evaluate(&mut *store, &context)
                    .await
            })
            .await;
        let is_fit = answer.is_ok();
        let (_, verdict) = judged(answer);
        if is_fit && left > 1 {
            self.instance = Some((instance, left - 1));
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
        let evaluated = self.calls.evaluate_with(&self.plugin, &call).await;
        let outcome: RunOutcome = evaluated.outcome;
        evaluated.verdict.map_err(|reason| PluginError::Broken {
            plugin: plugin.to_owned(),
            outcome,
            reason,
        })
    }
}

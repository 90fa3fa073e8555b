//! One evaluation of a rule.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{PluginError, end};
use crate::domain::{History, PluginKind, RunOutcome, UnixMillis, Verdict};
use crate::plugin_host::bindings::rule::exports::external_tracking::plugin::rules::{Context, RuleError};
use crate::plugin_host::loader::{Exports, LoadedPlugin};
use crate::plugin_host::run::Used;
use crate::plugin_host::state::Access;
use crate::plugin_host::{PluginHost, convert, limits};

/// One evaluation of a rule.
pub struct RuleCall<'a> {
    pub plugin: &'a str,
    pub service: &'a str,
    pub settings: &'a Value,
    pub now_ms: UnixMillis,
    pub history: Arc<dyn History>,
}

/// What one evaluation came to.
pub(in crate::plugin_host) struct Evaluated {
    /// Or why there is none.
    pub(in crate::plugin_host) verdict: Result<Verdict, String>,
    pub(in crate::plugin_host) outcome: RunOutcome,
    pub(in crate::plugin_host) used: Used,
}

impl PluginHost {
    /// A rule that breaks has said nothing.
    pub async fn evaluate(&self, call: RuleCall<'_>) -> Result<Verdict, PluginError> {
        let plugin = self.known(PluginKind::Rule, call.plugin)?;
        let run_id = self.next_run_id();
        let evaluated = self.evaluate_with(&plugin, &call).await;
        self.offer_evaluation(&plugin, &call, &evaluated, run_id);
        let Evaluated { verdict, outcome, used } = evaluated;
        let error = verdict.as_ref().err().cloned();
        self.account(&plugin, run_id, "evaluate", Some(call.service), outcome, error, used).await;
        verdict.map_err(|reason| PluginError::Broken { plugin: call.plugin.to_owned(), outcome, reason })
    }

    /// Evaluates with this version of the rule, whichever is active.
    pub(in crate::plugin_host) async fn evaluate_with(&self, plugin: &LoadedPlugin, call: &RuleCall<'_>) -> Evaluated {
        let context = Context {
            service: call.service.to_owned(),
            settings: call.settings.to_string(),
            now_ms: call.now_ms.max(0) as u64,
        };
        let access = Access { history: Some(call.history.clone()), frozen_ms: Some(call.now_ms), ..Access::default() };
        let patience = self.allowance(plugin).budget().wall_clock.unwrap_or(limits::EVALUATE);
        let deadline = Instant::now() + patience;
        let (answer, used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(Some(call.service)), access, deadline, async |store, instance| {
                let Exports::Rule(exports) = &plugin.exports else { unreachable!("looked up as a rule") };
                let guest = exports.load(&mut *store, instance)?;
                guest.external_tracking_plugin_rules().call_evaluate(&mut *store, &context).await
            })
            .await;
        let (outcome, verdict) = match answer {
            Ok(Ok(verdict)) => (RunOutcome::Ok, Ok(convert::verdict(verdict))),
            Ok(Err(error)) => {
                let reason = match error {
                    RuleError::Settings(message) => format!("settings: {message}"),
                    RuleError::Internal(message) => message,
                };
                (RunOutcome::Error, Err(reason))
            }
            Err(broken) => (broken.outcome, Err(broken.reason)),
        };
        Evaluated { verdict, outcome, used }
    }

    /// How much history a rule needs with these settings, and its candidate, if there is one, with those it was tried with.
    pub async fn look_back(&self, name: &str, settings: &Value) -> Result<Duration, PluginError> {
        let plugin = self.known(PluginKind::Rule, name)?;
        let look_back = self.look_back_of(&plugin, settings).await?;
        Ok(look_back.max(self.shadow_look_back(name)))
    }

    pub(in crate::plugin_host) async fn look_back_of(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        let settings = settings.to_string();
        let deadline = Instant::now() + limits::DESCRIBE;
        let access = Access { frozen_ms: Some(0), ..Access::default() };
        let (answer, used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(None), access, deadline, async |store, instance| {
                let Exports::Rule(exports) = &plugin.exports else { unreachable!("looked up as a rule") };
                let guest = exports.load(&mut *store, instance)?;
                guest.external_tracking_plugin_rules().call_look_back(&mut *store, &settings).await
            })
            .await;
        let (outcome, error) = end(&answer);
        self.account(plugin, self.next_run_id(), "look-back", None, outcome, error, used).await;
        answer.map(Duration::from_millis).map_err(|broken| PluginError::Broken {
            plugin: plugin.info.name.clone(),
            outcome,
            reason: broken.reason,
        })
    }
}

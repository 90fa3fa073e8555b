//! One evaluation of a rule.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::keep::Told;
use super::{PluginError, end};
use crate::domain::{History, PluginKind, RunOutcome, UnixMillis, Verdict};
use crate::plugin_host::bindings::rule::exports::external_tracking::plugin::rules::{
    Context, RuleError, Verdict as Given,
};
use crate::plugin_host::loader::Exports;
use crate::plugin_host::recording::Subject;
use crate::plugin_host::recordings::Secrets;
use crate::plugin_host::run::Broken;
use crate::plugin_host::secrets::SealedSettings;
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

impl PluginHost {
    /// A rule that breaks has said nothing.
    pub async fn evaluate(&self, call: RuleCall<'_>) -> Result<Verdict, PluginError> {
        let plugin = self.known(PluginKind::Rule, call.plugin)?;
        let context = Context {
            service: call.service.to_owned(),
            settings: call.settings.to_string(),
            now_ms: call.now_ms.max(0) as u64,
        };
        let access = Access {
            history: Some(call.history),
            frozen_ms: Some(call.now_ms),
            recorder: self.recorder(),
            ..Access::default()
        };
        let deadline = Instant::now() + limits::EVALUATE;
        let (answer, mut used) = self
            .shared
            .runner
            .run(&plugin.pre, plugin.label(Some(call.service)), access, deadline, async |store, instance| {
                let Exports::Rule(exports) = &plugin.exports else { unreachable!("looked up as a rule") };
                let guest = exports.load(&mut *store, instance)?;
                guest.external_tracking_plugin_rules().call_evaluate(&mut *store, &context).await
            })
            .await;
        let (outcome, result) = judged(answer);
        let error = result.as_ref().err().cloned();
        let id = self.next_run_id();
        // Good ones come by the thousand, and can be had again from the history.
        if outcome != RunOutcome::Ok {
            self.keep(&plugin, &mut used, true, || Told {
                run_id: id,
                ts_ms: call.now_ms,
                function: "evaluate",
                subject: Subject { service: Some(call.service.to_owned()), ..Subject::default() },
                status: None,
                outcome,
                error: error.clone(),
                timeout: limits::EVALUATE,
                arguments: vec![Box::new(context)],
                result: Box::new(()),
                secrets: Secrets::of(&SealedSettings::new(call.settings, &plugin.info.settings_schema), &[]),
            });
        }
        self.account(&plugin, id, "evaluate", Some(call.service), outcome, error, used).await;
        result.map_err(|reason| PluginError::Broken { plugin: call.plugin.to_owned(), outcome, reason })
    }

    /// How much history a rule needs with these settings.
    pub async fn look_back(&self, name: &str, settings: &Value) -> Result<Duration, PluginError> {
        let plugin = self.known(PluginKind::Rule, name)?;
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
        self.account(&plugin, self.next_run_id(), "look-back", None, outcome, error, used).await;
        answer.map(Duration::from_millis).map_err(|broken| PluginError::Broken {
            plugin: name.to_owned(),
            outcome,
            reason: broken.reason,
        })
    }
}

/// How an evaluation ended: with a verdict, or with the reason why there is none.
pub(in crate::plugin_host) fn judged(
    answer: Result<Result<Given, RuleError>, Broken>,
) -> (RunOutcome, Result<Verdict, String>) {
    match answer {
        Ok(Ok(verdict)) => (RunOutcome::Ok, Ok(convert::verdict(verdict))),
        Ok(Err(RuleError::Settings(message))) => (RunOutcome::Error, Err(format!("settings: {message}"))),
        Ok(Err(RuleError::Internal(message))) => (RunOutcome::Error, Err(message)),
        Err(broken) => (broken.outcome, Err(broken.reason)),
    }
}

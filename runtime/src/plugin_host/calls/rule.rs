//! One evaluation of a rule.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::keep::Told;
use super::{PluginError, end};
use crate::domain::{History, PluginInfo, PluginKind, RunOutcome, UnixMillis, Verdict, Want};
use crate::plugin_host::PluginHost;
use crate::plugin_host::capabilities::state::Access;
use crate::plugin_host::contract::bindings::rule::exports::external_tracking::plugin::rules::{
    Context, RuleError, Verdict as Given,
};
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::format::Subject;
use crate::plugin_host::run::{Broken, Used};
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};

/// What a rule wants that has to be judged as time passes.
const TICKS: &str = "ticks";

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
    /// What the guest was given, and what it was not.
    given: Option<(Context, Redactor)>,
}

impl PluginHost {
    /// A rule that breaks has said nothing.
    pub async fn evaluate(&self, call: RuleCall<'_>) -> Result<Verdict, PluginError> {
        let plugin = self.known(PluginKind::Rule, call.plugin)?;
        let run_id = self.next_run_id();
        let mut evaluated = self.evaluate_with(&plugin, &call).await;
        self.offer_evaluation(&plugin, &call, &evaluated, run_id);
        self.keep_evaluation(&plugin, &call, run_id, &mut evaluated);
        let Evaluated {
            verdict,
            outcome,
            used,
            ..
        } = evaluated;
        let error = verdict.as_ref().err().cloned();
        self.account(
            &plugin,
            run_id,
            "evaluate",
            Some(call.service),
            outcome,
            error,
            used,
        );
        verdict.map_err(|reason| PluginError::Broken {
            plugin: call.plugin.to_owned(),
            outcome,
            reason,
        })
    }

    /// Evaluates with this version of the rule, whichever is active.
    pub(in crate::plugin_host) async fn evaluate_with(
        &self,
        plugin: &LoadedPlugin,
        call: &RuleCall<'_>,
    ) -> Evaluated {
        let sealed = SealedSettings::new(call.settings, &plugin.info.settings_schema);
        let secrets = sealed.redactor();
        let context = Context {
            service: call.service.to_owned(),
            settings: sealed.settings.to_string(),
            now_ms: call.now_ms.max(0) as u64,
        };
        let access = Access {
            history: Some(call.history.clone()),
            secrets: sealed,
            frozen_ms: Some(call.now_ms),
            recorder: self.recorder(),
            ..Access::default()
        };
        let deadline = Instant::now() + self.patience(plugin);
        let (answer, used) = self
            .shared
            .runner
            .run(
                &plugin.pre,
                plugin.label(Some(call.service)),
                access,
                deadline,
                async |store, instance| {
                    let Exports::Rule(exports) = &plugin.exports else {
                        unreachable!("looked up as a rule")
                    };
                    let guest = exports.load(&mut *store, instance)?;
                    guest
                        .external_tracking_plugin_rules()
                        .call_evaluate(&mut *store, &context)
                        .await
                },
            )
            .await;
        let (outcome, verdict) = judged(answer);
        let verdict = verdict.map_err(|reason| secrets.stable(reason));
        Evaluated {
            verdict,
            outcome,
            used,
            given: Some((context, secrets)),
        }
    }

    pub(super) fn patience(&self, plugin: &LoadedPlugin) -> Duration {
        self.allowance(plugin)
            .budget()
            .wall_clock
            .unwrap_or(limits::EVALUATE)
    }

    /// Those that went well come by the thousand, and can be had again from the history.
    pub(in crate::plugin_host) fn keep_evaluation(
        &self,
        plugin: &LoadedPlugin,
        call: &RuleCall<'_>,
        run_id: i64,
        evaluated: &mut Evaluated,
    ) {
        let Evaluated {
            verdict,
            outcome,
            used,
            given,
        } = evaluated;
        let Some((context, secrets)) = given.take() else {
            return;
        };
        if verdict.is_ok() && !self.recordings().keeps_all() {
            return;
        }
        self.keep(plugin, used, verdict.is_err(), || Told {
            run_id,
            ts_ms: call.now_ms,
            function: "evaluate",
            subject: Subject {
                service: Some(call.service.to_owned()),
                ..Subject::default()
            },
            status: None,
            outcome: *outcome,
            error: verdict.as_ref().err().cloned(),
            message: None,
            timeout: self.patience(plugin),
            arguments: vec![Box::new(context)],
            result: match &*verdict {
                Ok(verdict) => Box::new(verdict.clone()),
                Err(_) => Box::new(()),
            },
            secrets,
        });
    }

    /// The rule looks at the passing of time: it is judged although nothing arrived.
    pub fn rule_ticks(&self, name: &str) -> bool {
        self.plugin(PluginKind::Rule, name)
            .is_some_and(|plugin| ticks(&plugin.info))
    }

    /// How much history a rule needs with these settings, and its candidate, if there is one, with
    /// those it was tried with.
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
        let (answer, used) = self.ask_look_back(plugin, settings).await;
        let (outcome, error) = end(&answer);
        self.account(
            plugin,
            self.next_run_id(),
            "look-back",
            None,
            outcome,
            error,
            used,
        );
        answer
            .map(Duration::from_millis)
            .map_err(|broken| broken_rule(plugin, broken))
    }

    /// Without a trace.
    pub(super) async fn ask_look_back(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> (Result<u64, Broken>, Used) {
        let sealed = SealedSettings::new(settings, &plugin.info.settings_schema);
        let settings = sealed.settings.to_string();
        let deadline = Instant::now() + limits::DESCRIBE;
        let access = Access {
            frozen_ms: Some(0),
            secrets: sealed,
            ..Access::default()
        };
        self.shared
            .runner
            .run(
                &plugin.pre,
                plugin.label(None),
                access,
                deadline,
                async |store, instance| {
                    let Exports::Rule(exports) = &plugin.exports else {
                        unreachable!("looked up as a rule")
                    };
                    let guest = exports.load(&mut *store, instance)?;
                    guest
                        .external_tracking_plugin_rules()
                        .call_look_back(&mut *store, &settings)
                        .await
                },
            )
            .await
    }
}

pub(super) fn broken_rule(plugin: &LoadedPlugin, broken: Broken) -> PluginError {
    PluginError::Broken {
        plugin: plugin.info.name.clone(),
        outcome: broken.outcome,
        reason: broken.reason,
    }
}

/// It wants to be judged although nothing arrived.
pub(super) fn ticks(info: &PluginInfo) -> bool {
    info.wants
        .iter()
        .any(|want| matches!(want, Want::Capability(capability) if capability == TICKS))
}

/// How an evaluation ended: with a verdict, or with the reason why there is none.
pub(in crate::plugin_host) fn judged(
    answer: Result<Result<Given, RuleError>, Broken>,
) -> (RunOutcome, Result<Verdict, String>) {
    match answer {
        Ok(Ok(verdict)) => (RunOutcome::Ok, Ok(convert::verdict(verdict))),
        Ok(Err(RuleError::Settings(message))) => (
            RunOutcome::Error,
            Err(convert::message(format!("settings: {message}"))),
        ),
        Ok(Err(RuleError::Internal(message))) => {
            (RunOutcome::Error, Err(convert::message(message)))
        }
        Err(broken) => (broken.outcome, Err(broken.reason)),
    }
}

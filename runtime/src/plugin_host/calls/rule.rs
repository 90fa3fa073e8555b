//! One evaluation of a rule.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::Calls;
use super::account::row_of;
use super::keep::RunSummary;
use super::request::RuleCall;
use super::{PluginError, end};
use crate::domain::{PluginInfo, PluginKind, RunOutcome, Verdict};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::contract::bindings::rule::exports::external_tracking::plugin::rules::{
    Context, RuleError, Verdict as GuestVerdict,
};
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::format::Subject;
use crate::plugin_host::run::{RunError, RunUsage};
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};

/// The result of one evaluation.
pub(in crate::plugin_host) struct Evaluated {
    /// Or why there is none.
    pub(in crate::plugin_host) verdict: Result<Verdict, String>,
    pub(in crate::plugin_host) outcome: RunOutcome,
    pub(in crate::plugin_host) usage: RunUsage,
    /// Input of the guest, and the secrets it does not contain.
    input: Option<(Context, Redactor)>,
}

impl Calls {
    /// A rule that breaks has said nothing.
    pub(in crate::plugin_host) async fn evaluate(
        &self,
        call: RuleCall<'_>,
    ) -> Result<Verdict, PluginError> {
        let plugin = self.known(PluginKind::Rule, call.plugin)?;
        let run_id = self.next_run_id();
        let mut evaluated = self.evaluate_with(&plugin, &call).await;
        self.keep_evaluation(&plugin, &call, run_id, &mut evaluated);
        let Evaluated {
            verdict,
            outcome,
            usage,
            ..
        } = evaluated;
        let end = (outcome, verdict.as_ref().err().cloned());
        let run = row_of(&plugin, run_id, "evaluate", Some(call.service), end, &usage);
        self.shadows
            .offer_evaluation(&plugin, &call, &verdict, &run);
        self.account(&plugin, run, usage.is_crowded_out);
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
            attributes: Vec::new(),
        };
        let access = Access {
            history: Some(call.history.clone()),
            secrets: sealed,
            frozen_ms: Some(call.now_ms),
            recorder: self.recorder(),
            ..Access::default()
        };
        let deadline = Instant::now() + self.patience(plugin, limits::EVALUATE);
        let (answer, usage) = self
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
        Evaluated {
            verdict,
            outcome,
            usage,
            input: Some((context, secrets)),
        }
    }

    /// Keeps a recording. Good evaluations come by the thousand, and follow from the history: they
    /// are not kept.
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
            usage,
            input,
        } = evaluated;
        let Some((context, secrets)) = input.take() else {
            return;
        };
        if verdict.is_ok() && !self.recordings.keeps_all() {
            return;
        }
        self.keep(plugin, usage, verdict.is_err(), || RunSummary {
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
            timeout: self.patience(plugin, limits::EVALUATE),
            arguments: vec![Box::new(context)],
            result: match &*verdict {
                Ok(verdict) => Box::new(verdict.clone()),
                Err(_) => Box::new(()),
            },
            secrets,
        });
    }

    /// The rule looks at the passing of time: it is judged although nothing arrived.
    pub(in crate::plugin_host) fn rule_ticks(&self, name: &str) -> bool {
        self.active
            .of_kind(PluginKind::Rule, name)
            .is_some_and(|plugin| ticks(&plugin.info))
    }

    /// How much history a rule needs with these settings, and its candidate, if there is one, with
    /// those it was tried with.
    pub(in crate::plugin_host) async fn look_back(
        &self,
        name: &str,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        let plugin = self.known(PluginKind::Rule, name)?;
        let look_back = self.look_back_of(&plugin, settings).await?;
        Ok(look_back.max(self.shadows.look_back(name)))
    }

    pub(in crate::plugin_host) async fn look_back_of(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> Result<Duration, PluginError> {
        let (answer, usage) = self.ask_look_back(plugin, settings).await;
        let run_id = self.next_run_id();
        let run = row_of(plugin, run_id, "look-back", None, end(&answer), &usage);
        self.account(plugin, run, usage.is_crowded_out);
        answer
            .map(Duration::from_millis)
            .map_err(|broken| broken_rule(plugin, broken))
    }

    /// Asks the guest, without an account or a recording.
    pub(super) async fn ask_look_back(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> (Result<u64, RunError>, RunUsage) {
        let sealed = SealedSettings::new(settings, &plugin.info.settings_schema);
        let settings = sealed.settings.to_string();
        let deadline = Instant::now() + limits::DESCRIBE;
        let access = Access {
            frozen_ms: Some(0),
            secrets: sealed,
            ..Access::default()
        };
        self.runner
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
                        .map(|need| need.look_back_ms)
                },
            )
            .await
    }
}

pub(super) fn broken_rule(plugin: &LoadedPlugin, broken: RunError) -> PluginError {
    PluginError::Broken {
        plugin: plugin.info.name.clone(),
        outcome: broken.outcome,
        reason: broken.reason,
    }
}

/// Returns whether the rule is evaluated although nothing arrived.
pub(super) fn ticks(info: &PluginInfo) -> bool {
    info.evaluated_over_time
}

/// How an evaluation ended: with a verdict, or with the reason why there is none.
pub(in crate::plugin_host) fn judged(
    answer: Result<Result<GuestVerdict, RuleError>, RunError>,
) -> (RunOutcome, Result<Verdict, String>) {
    match answer {
        Ok(Ok(verdict)) => (RunOutcome::Ok, Ok(convert::verdict(verdict))),
        Ok(Err(RuleError::Settings(message))) => (
            RunOutcome::Error,
            Err(convert::message(format!("settings: {message}"))),
        ),
        Ok(Err(RuleError::Internal(message) | RuleError::Other(message))) => {
            (RunOutcome::Error, Err(convert::message(message)))
        }
        Err(broken) => (broken.outcome, Err(broken.reason)),
    }
}

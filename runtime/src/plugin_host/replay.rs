//! Runs a recorded run again, offline: the same arguments, host calls answered from the recording,
//! nothing performed. Against the recorded version of the plugin, what comes out is the same to the
//! byte; against another, the difference is shown.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::calls::webhook::WebhookInput;
use super::calls::{self, Checked};
use super::run::{RunError, RunUsage, Runner};
use crate::domain::{PluginKind, RunOutcome};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::policy::grants::{Policy, PolicyOrigin};
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::call_replay::{
    CallReplay, Difference, ReplayStop, ReplayedCalls,
};
use crate::plugin_host::recording::format::FORMAT;
use crate::plugin_host::recording::format::json::{from_value, to_value};
use crate::plugin_host::recording::format::{LogLine, RecordedRun, Recording, RunCost};
use crate::plugin_host::recording::recorder::Recorder;
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};

/// The result of a replay.
#[derive(Debug, Clone)]
pub struct Replayed {
    pub version: String,
    /// sha256 of the component, hex.
    pub digest: String,
    pub outcome: RunOutcome,
    pub error: Option<String>,
    /// An observation, a verdict, a receipt, or null; in the shape of [`Recording::result`].
    pub result: Value,
    /// Host calls made.
    pub calls: usize,
    /// The first call that was not as recorded.
    pub difference: Option<Difference>,
    pub log: Vec<LogLine>,
    /// Cost of the replay itself, which waits for nothing.
    pub cost: RunCost,
}

impl Replayed {
    /// The same answer as recorded, but for the version that gave it.
    pub fn same_result(&self, recording: &Recording) -> bool {
        let plain = |result: &Value, is_other: bool| {
            let mut result = result.clone();
            if let (true, Some(fields)) = (is_other, result.as_object_mut()) {
                fields.remove("pluginVersion");
            }
            result
        };
        let is_other = self.digest != recording.run.digest;
        self.outcome == recording.run.outcome
            && self.error == recording.run.error
            && plain(&self.result, is_other) == plain(&recording.result, is_other)
    }

    /// Asked the same, and answered the same.
    pub fn same(&self, recording: &Recording) -> bool {
        self.difference.is_none() && self.same_result(recording)
    }
}

impl Recording {
    /// The file of a recording with the answer of its replay in place of the recorded one; what was
    /// asked and answered by the host stays.
    pub fn renewed(file: &[u8], replayed: &Replayed) -> serde_json::Result<Vec<u8>> {
        let mut recording: Value = serde_json::from_slice(file)?;
        let status = &replayed.result["status"];
        let message = &replayed.result["failure"]["message"];
        let run = &mut recording["run"];
        run["version"] = replayed.version.clone().into();
        run["digest"] = replayed.digest.clone().into();
        run["outcome"] = replayed.outcome.as_str().into();
        run["error"] = replayed.error.clone().into();
        run["status"] = status.clone();
        run["message"] = message.clone();
        let (run, arguments, calls) = (
            &recording["run"],
            &recording["arguments"],
            &recording["calls"],
        );
        // The lines of a file as the server writes it.
        let text = format!(
            "{{\"format\":{FORMAT},\"run\":{run},\n\"arguments\":{arguments},\n\"calls\":{calls},\n\"log\":{},\n\"result\":{}}}\n",
            serde_json::to_string(&replayed.log)?,
            replayed.result
        );
        Ok(text.into_bytes())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("there is no plugin `{0}`")]
    Plugin(String),
    #[error("the component is a {found}, the recording is of a {recorded}", found = found.as_str(), recorded = recorded.as_str())]
    Kind {
        found: PluginKind,
        recorded: PluginKind,
    },
    #[error("this program can't replay a run of `{0}`")]
    Function(String),
    #[error("argument {position} of the recording can't be read: {source}")]
    Argument {
        position: usize,
        source: serde_json::Error,
    },
}

/// Replays against this version of the plugin. No network, no mail, no history: what the recording
/// does not answer is not answered.
pub(super) async fn replay(
    runner: &Runner,
    plugin: &LoadedPlugin,
    recording: &Recording,
) -> Result<Replayed, ReplayError> {
    if plugin.kind != recording.run.kind {
        return Err(ReplayError::Kind {
            found: plugin.kind,
            recorded: recording.run.kind,
        });
    }
    let stage = Stage {
        recording,
        runner,
        plugin,
    };
    match recording.run.function.as_str() {
        "check" => stage.check().await,
        "evaluate" => stage.evaluate().await,
        "notify" => stage.notify().await,
        "receive" => stage.receive().await,
        "read" => stage.read().await,
        other => Err(ReplayError::Function(other.to_owned())),
    }
}

struct Stage<'a> {
    recording: &'a Recording,
    runner: &'a Runner,
    plugin: &'a LoadedPlugin,
}

impl Stage<'_> {
    async fn check(&self) -> Result<Replayed, ReplayError> {
        let context = self.argument(0)?;
        let (answer, usage, played) = self
            .run(async |store, instance| {
                let Exports::Probe(exports) = &self.plugin.exports else {
                    unreachable!("its kind was compared")
                };
                let guest = exports.load(&mut *store, instance)?;
                guest
                    .external_tracking_plugin_probes()
                    .call_check(&mut *store, &context)
                    .await
            })
            .await;
        let run = &self.recording.run;
        let service = run.subject.service.as_deref().unwrap_or_default();
        let probe = run.subject.probe.as_deref().unwrap_or_default();
        let blank = calls::unanswered(run.ts_ms, service, probe, &run.plugin, run.run_id);
        let Checked {
            observation,
            outcome,
            error,
            usage,
            ..
        } = calls::observed(blank, self.plugin, answer, usage);
        Ok(self.replayed(outcome, error, shown(&observation), &usage, played))
    }

    async fn evaluate(&self) -> Result<Replayed, ReplayError> {
        let context = self.argument(0)?;
        let (answer, usage, played) = self
            .run(async |store, instance| {
                let Exports::Rule(exports) = &self.plugin.exports else {
                    unreachable!("its kind was compared")
                };
                let guest = exports.load(&mut *store, instance)?;
                guest
                    .external_tracking_plugin_rules()
                    .call_evaluate(&mut *store, &context)
                    .await
            })
            .await;
        let (outcome, verdict) = calls::judged(answer);
        let result = verdict.as_ref().map(shown).unwrap_or_default();
        Ok(self.replayed(outcome, verdict.err(), result, &usage, played))
    }

    async fn notify(&self) -> Result<Replayed, ReplayError> {
        let (context, notification) = (self.argument(0)?, self.argument(1)?);
        let (answer, usage, played) = self
            .run(async |store, instance| {
                let Exports::Notifier(exports) = &self.plugin.exports else {
                    unreachable!("its kind was compared")
                };
                let guest = exports.load(&mut *store, instance)?;
                guest
                    .external_tracking_plugin_notifiers()
                    .call_notify(&mut *store, &context, &notification)
                    .await
            })
            .await;
        let (outcome, receipt) = calls::delivered(self.plugin, answer);
        let error = receipt.as_ref().err().map(ToString::to_string);
        let result = receipt.as_ref().map(shown).unwrap_or_default();
        Ok(self.replayed(outcome, error, result, &usage, played))
    }

    async fn receive(&self) -> Result<Replayed, ReplayError> {
        let (context, request, given) = (
            self.argument(0)?,
            self.argument(1)?,
            self.argument::<WebhookInput>(2)?,
        );
        let (answer, usage, played) = self
            .run(async |store, instance| {
                let Exports::Webhook(exports) = &self.plugin.exports else {
                    unreachable!("its kind was compared")
                };
                let guest = exports.load(&mut *store, instance)?;
                guest
                    .external_tracking_plugin_webhooks()
                    .call_receive(&mut *store, &context, &request)
                    .await
            })
            .await;
        let run_id = self.recording.run.run_id;
        let no_secrets = SealedSettings::default();
        let (outcome, reception) = calls::received(
            self.plugin,
            answer,
            &usage,
            given.unsigned,
            run_id,
            &no_secrets,
        );
        let error = reception.as_ref().err().map(ToString::to_string);
        let result = reception.as_ref().map(shown).unwrap_or_default();
        Ok(self.replayed(outcome, error, result, &usage, played))
    }

    async fn read(&self) -> Result<Replayed, ReplayError> {
        let context = self.argument(0)?;
        let (answer, usage, played) = self
            .run(async |store, instance| {
                let Exports::Meter(exports) = &self.plugin.exports else {
                    unreachable!("its kind was compared")
                };
                let guest = exports.load(&mut *store, instance)?;
                guest
                    .external_tracking_plugin_meters()
                    .call_read(&mut *store, &context)
                    .await
            })
            .await;
        let (outcome, figures) = calls::metered(&context, answer, &SealedSettings::default());
        let result = figures.as_ref().map(shown).unwrap_or_default();
        Ok(self.replayed(outcome, figures.err(), result, &usage, played))
    }

    /// Runs with nothing to reach: what the recording does not answer is not answered.
    async fn run<T>(
        &self,
        call: impl AsyncFnOnce(
            &mut wasmtime::Store<crate::plugin_host::capabilities::state::RunState>,
            &wasmtime::component::Instance,
        ) -> wasmtime::Result<T>,
    ) -> (Result<T, RunError>, RunUsage, ReplayedCalls) {
        let run = &self.recording.run;
        let was_cut_off = is_cut_off(run.outcome);
        let player = CallReplay::new(self.recording.calls.clone(), was_cut_off);
        let player = Arc::new(Mutex::new(
            player.with_answers(self.recording.answers.clone()),
        ));
        let access = Access {
            recorder: Recorder::Replay(player.clone()),
            frozen_ms: Some(run.ts_ms),
            secrets: SealedSettings::of_recording(self.settings()),
            ..Access::default()
        };
        let policy = Arc::new(Policy::new(PolicyOrigin::Default, run.budget.policy()));
        let label = self.plugin.label(run.subject.service.as_deref());
        let deadline = Instant::now() + Duration::from_millis(run.timeout_ms);
        let (answer, mut usage) = self
            .runner
            .run_under(policy, &self.plugin.pre, label, access, deadline, call)
            .await;
        let player = std::mem::replace(
            &mut *player.lock().unwrap_or_else(PoisonError::into_inner),
            CallReplay::new(Vec::new(), false),
        );
        let played = player.end();
        let answer = match &played.stop {
            None => answer.map_err(|broken| self.as_recorded(broken, &mut usage)),
            // Whatever the guest made of it.
            Some(ReplayStop::CutOff { .. }) => Err(self.as_recorded(
                RunError {
                    outcome: run.outcome,
                    reason: "was cut off".to_owned(),
                },
                &mut usage,
            )),
            Some(stop) => Err(RunError {
                outcome: RunOutcome::Error,
                reason: stop.to_string(),
            }),
        };
        (answer, usage, played)
    }

    /// Two runs that were cut off ended alike: how long it took is as recorded, which a replay
    /// can't repeat.
    fn as_recorded(&self, broken: RunError, usage: &mut RunUsage) -> RunError {
        let RecordedRun {
            outcome,
            error,
            cost,
            ..
        } = &self.recording.run;
        match error {
            Some(reason) if broken.outcome == *outcome && is_cut_off(*outcome) => {
                usage.duration = Duration::from_micros(cost.duration_us);
                usage.account.waited = cost.waited();
                usage.cpu = Duration::from_micros(cost.cpu_us);
                RunError {
                    outcome: *outcome,
                    reason: reason.clone(),
                }
            }
            _ => broken,
        }
    }

    /// The settings that every kind of plugin is given, in its first argument.
    fn settings(&self) -> &str {
        let context = self.recording.arguments.first();
        context
            .and_then(|context| context["settings"].as_str())
            .unwrap_or_default()
    }

    fn argument<T: DeserializeOwned>(&self, index: usize) -> Result<T, ReplayError> {
        let argument = self
            .recording
            .arguments
            .get(index)
            .cloned()
            .unwrap_or_default();
        from_value(argument).map_err(|source| ReplayError::Argument {
            position: index + 1,
            source,
        })
    }

    fn replayed(
        &self,
        outcome: RunOutcome,
        error: Option<String>,
        result: Value,
        usage: &RunUsage,
        played: ReplayedCalls,
    ) -> Replayed {
        Replayed {
            version: self.plugin.info.version.clone(),
            digest: self.plugin.digest.clone(),
            outcome,
            error: error.map(calls::cut),
            result,
            calls: played.calls,
            difference: played.difference,
            log: played.log,
            cost: usage.cost(),
        }
    }
}

fn is_cut_off(outcome: RunOutcome) -> bool {
    matches!(outcome, RunOutcome::Timeout | RunOutcome::Limit)
}

/// Returns a result in the shape of a recording.
fn shown<T: serde::Serialize + Send + Sync>(result: &T) -> Value {
    to_value(&result).unwrap_or_else(|error| json!(error.to_string()))
}

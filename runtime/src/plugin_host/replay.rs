//! Runs a recorded run again, offline: the same arguments, host calls answered from the recording,
//! nothing performed. Against the recorded version of the plugin, what comes out is the same to the
//! byte; against another, the difference is shown.

mod player;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::PluginHost;
use super::calls::{self, Checked, Given};
use super::run::{Broken, Runner, Used};
use crate::domain::{PluginKind, RunOutcome};
use crate::plugin_host::capabilities::state::Access;
use crate::plugin_host::policy::grants::{Policy, PolicyOrigin};
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::format::json::{from_value, to_value};
use crate::plugin_host::recording::format::{LogLine, RecordedRun, Recording, RunCost};
use crate::plugin_host::recording::recorder::Recorder;
use crate::plugin_host::versions::loader::{Exports, LoadedPlugin};

pub use player::{Asked, Difference};
pub(super) use player::{Played, Player, ReplayStop};

/// What a replay came to.
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
    /// Of the replay itself, which waits for nobody.
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

impl PluginHost {
    /// Replays against the version of the plugin that is active here. No network, no mail, no
    /// history: what the recording does not answer is not answered.
    pub async fn replay(
        &self,
        plugin: &str,
        recording: &Recording,
    ) -> Result<Replayed, ReplayError> {
        let plugin = self.shared.active.load().get(plugin).cloned();
        let plugin = plugin.ok_or_else(|| ReplayError::Plugin(recording.run.plugin.clone()))?;
        if plugin.kind != recording.run.kind {
            return Err(ReplayError::Kind {
                found: plugin.kind,
                recorded: recording.run.kind,
            });
        }
        let stage = Stage {
            recording,
            runner: &self.shared.runner,
            plugin: &plugin,
        };
        match recording.run.function.as_str() {
            "check" => stage.check().await,
            "evaluate" => stage.evaluate().await,
            "notify" => stage.notify().await,
            "receive" => stage.receive().await,
            other => Err(ReplayError::Function(other.to_owned())),
        }
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
        let (answer, used, played) = self
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
            used,
            ..
        } = calls::observed(blank, self.plugin, answer, used);
        Ok(self.replayed(outcome, error, shown(&observation), &used, played))
    }

    async fn evaluate(&self) -> Result<Replayed, ReplayError> {
        let context = self.argument(0)?;
        let (answer, used, played) = self
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
        Ok(self.replayed(outcome, verdict.err(), result, &used, played))
    }

    async fn notify(&self) -> Result<Replayed, ReplayError> {
        let (context, notification) = (self.argument(0)?, self.argument(1)?);
        let (answer, used, played) = self
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
        Ok(self.replayed(outcome, error, result, &used, played))
    }

    async fn receive(&self) -> Result<Replayed, ReplayError> {
        let (context, request, given) = (
            self.argument(0)?,
            self.argument(1)?,
            self.argument::<Given>(2)?,
        );
        let (answer, used, played) = self
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
            &used,
            given.unsigned,
            run_id,
            &no_secrets,
        );
        let error = reception.as_ref().err().map(ToString::to_string);
        let result = reception.as_ref().map(shown).unwrap_or_default();
        Ok(self.replayed(outcome, error, result, &used, played))
    }

    /// With nothing to reach: what the recording does not answer is not answered.
    async fn run<T>(
        &self,
        call: impl AsyncFnOnce(
            &mut wasmtime::Store<crate::plugin_host::capabilities::state::RunState>,
            &wasmtime::component::Instance,
        ) -> wasmtime::Result<T>,
    ) -> (Result<T, Broken>, Used, Played) {
        let run = &self.recording.run;
        let was_cut_off = is_cut_off(run.outcome);
        let player = Player::new(self.recording.calls.clone(), was_cut_off);
        let player = Arc::new(Mutex::new(
            player.with_answers(self.recording.answers.clone()),
        ));
        let access = Access {
            recorder: Recorder::Replay(player.clone()),
            frozen_ms: Some(run.ts_ms),
            ..Access::default()
        };
        let policy = Arc::new(Policy::new(PolicyOrigin::Default, run.budget.policy()));
        let label = self.plugin.label(run.subject.service.as_deref());
        let deadline = Instant::now() + Duration::from_millis(run.timeout_ms);
        let (answer, mut used) = self
            .runner
            .run_under(policy, &self.plugin.pre, label, access, deadline, call)
            .await;
        let player = std::mem::replace(
            &mut *player.lock().unwrap_or_else(PoisonError::into_inner),
            Player::new(Vec::new(), false),
        );
        let played = player.end();
        let answer = match &played.stop {
            None => answer.map_err(|broken| self.as_recorded(broken, &mut used)),
            // Whatever the guest made of it.
            Some(ReplayStop::CutOff { .. }) => Err(self.as_recorded(
                Broken {
                    outcome: run.outcome,
                    reason: "was cut off".to_owned(),
                },
                &mut used,
            )),
            Some(stop) => Err(Broken {
                outcome: RunOutcome::Error,
                reason: stop.to_string(),
            }),
        };
        (answer, used, played)
    }

    /// Two runs that were cut off ended alike: how long it took is as recorded, which a replay
    /// can't repeat.
    fn as_recorded(&self, broken: Broken, used: &mut Used) -> Broken {
        let RecordedRun {
            outcome,
            error,
            cost,
            ..
        } = &self.recording.run;
        match error {
            Some(reason) if broken.outcome == *outcome && is_cut_off(*outcome) => {
                used.duration = Duration::from_micros(cost.duration_us);
                used.account.waited =
                    Duration::from_micros(cost.duration_us.saturating_sub(cost.cpu_us));
                used.cpu = Duration::from_micros(cost.cpu_us);
                Broken {
                    outcome: *outcome,
                    reason: reason.clone(),
                }
            }
            _ => broken,
        }
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
        used: &Used,
        played: Played,
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
            cost: used.cost(),
        }
    }
}

fn is_cut_off(outcome: RunOutcome) -> bool {
    matches!(outcome, RunOutcome::Timeout | RunOutcome::Limit)
}

/// As a recording has it.
fn shown<T: serde::Serialize + Send + Sync>(result: &T) -> Value {
    to_value(&result).unwrap_or_else(|error| json!(error.to_string()))
}

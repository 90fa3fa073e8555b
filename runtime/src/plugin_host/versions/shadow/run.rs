//! The candidates' runs, taken from the queue by a task of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shadow;
use super::compare::{self, Compared};
use super::offer::{CheckCall, EvaluateCall, ShadowCall, ShadowJob, count, side};
use crate::domain::{CheckJob, PluginKind, RunOutcome, ShadowRun, ShadowSide, now_ms};
use crate::plugin_host::calls::account::row_of;
use crate::plugin_host::calls::request::RuleCall;
use crate::plugin_host::calls::{Calls, Checked, Evaluated};
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};
use crate::plugin_host::versions::loader::LoadedPlugin;
use crate::plugin_host::versions::users::PluginUsers;

/// Runs candidates.
pub struct ShadowRunner {
    pub(in crate::plugin_host) calls: Arc<Calls>,
    pub(in crate::plugin_host) users: Arc<PluginUsers>,
    pub(in crate::plugin_host) jobs: mpsc::Receiver<ShadowJob>,
}

impl ShadowRunner {
    /// Runs until the shutdown; nothing waits for a candidate, so what is under way then is
    /// dropped. `sink` takes what was compared.
    pub async fn run(mut self, sink: mpsc::Sender<ShadowRun>, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = self.learn_look_backs() => {}
        }
        let mut runs: JoinSet<()> = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = runs.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a candidate's run ended by a panic in the program itself");
                },
                // Bounded by the places of the candidates.
                Some(job) = self.jobs.recv() => {
                    let (calls, sink) = (self.calls.clone(), sink.clone());
                    runs.spawn(async move { run_candidate(&calls, job, &sink).await });
                }
            }
        }
        runs.shutdown().await;
    }

    /// Reads how far the candidates of rules look back, after a start: the settings in use are
    /// known only now.
    async fn learn_look_backs(&self) {
        for (name, shadow) in self.calls.shadows.all().iter() {
            if shadow.plugin.kind != PluginKind::Rule {
                continue;
            }
            match look_back_in_use(&self.calls, &self.users, &shadow.plugin).await {
                Ok(look_back) => shadow.set_look_back(look_back),
                Err(error) => {
                    tracing::warn!(plugin = name, %error, "the candidate does not say how far it looks back")
                }
            }
            self.calls.active.note_candidate(PluginKind::Rule);
        }
    }
}

/// One run of a candidate, and how it compares with the active version's.
struct CandidateRun {
    service: String,
    probe: Option<String>,
    side: ShadowSide,
    outcome: RunOutcome,
    /// Reason why the candidate broke.
    broken: Option<String>,
    compared: Compared,
}

async fn run_candidate(calls: &Calls, job: ShadowJob, sink: &mpsc::Sender<ShadowRun>) {
    let ShadowJob {
        shadow,
        active,
        call,
        _place,
    } = job;
    let Ok(_permit) = shadow.permits.acquire().await else {
        return;
    };
    // Discarded or promoted while this waited.
    let current = calls.shadows.get(&shadow.plugin.info.name);
    if !current.is_some_and(|current| Arc::ptr_eq(&current, &shadow)) {
        return;
    }
    let ts_ms = now_ms();
    let candidate = match call {
        ShadowCall::Check(call) => check(calls, &shadow.plugin, call).await,
        ShadowCall::Evaluate(call) => evaluate(calls, &shadow.plugin, call).await,
    };
    note(calls, &shadow, &candidate);
    let run = ShadowRun {
        ts_ms,
        plugin: shadow.plugin.info.name.clone(),
        kind: shadow.plugin.kind,
        service: candidate.service,
        probe: candidate.probe,
        active,
        candidate: candidate.side,
        outcome: candidate.outcome,
        is_agreed: candidate.compared.is_agreed,
        difference: candidate.compared.difference,
    };
    // Best effort, as the accounts of runs are.
    if sink.try_send(run).is_err() {
        metrics::counter!("extrack_plugin_runs_unrecorded_total").increment(1);
    }
}

async fn check(calls: &Calls, plugin: &LoadedPlugin, call: CheckCall) -> CandidateRun {
    let CheckCall { job, said } = call;
    let job = CheckJob {
        run_id: calls.next_run_id(),
        ..job
    };
    let mut checked = calls.check_with(plugin, &job).await;
    calls.keep_check(plugin, &job, &mut checked, false);
    let Checked {
        observation,
        outcome,
        error,
        usage,
        ..
    } = checked;
    let broke = compare::is_broken(outcome, &observation);
    let compared = compare::observations(&said, &observation, broke);
    let end = (outcome, error.clone());
    let service = job.service.slug.clone();
    let run = row_of(
        plugin,
        job.run_id,
        "shadow-check",
        Some(&service),
        end,
        &usage,
    );
    let side = side(&run, observation.status.as_str(), observation.latency_us);
    calls.hand_over(run);
    CandidateRun {
        service,
        probe: Some(job.probe.name),
        side,
        outcome,
        broken: error.filter(|_| broke),
        compared,
    }
}

async fn evaluate(calls: &Calls, plugin: &LoadedPlugin, call: EvaluateCall) -> CandidateRun {
    let run_id = calls.next_run_id();
    let EvaluateCall {
        service,
        settings,
        now_ms,
        history,
        said,
    } = call;
    let call = RuleCall {
        plugin: &plugin.info.name,
        service: &service,
        settings: &settings,
        now_ms,
        history,
    };
    let mut evaluated = calls.evaluate_with(plugin, &call).await;
    calls.keep_evaluation(plugin, &call, run_id, &mut evaluated);
    let Evaluated {
        verdict,
        outcome,
        usage,
        ..
    } = evaluated;
    let compared = compare::verdicts(&said, &verdict);
    let word = compare::word(&verdict);
    let broken = verdict.err();
    let end = (outcome, broken.clone());
    let run = row_of(
        plugin,
        run_id,
        "shadow-evaluate",
        Some(&service),
        end,
        &usage,
    );
    let side = side(&run, word, Some(run.duration_us));
    calls.hand_over(run);
    CandidateRun {
        service,
        probe: None,
        side,
        outcome,
        broken,
        compared,
    }
}

fn note(calls: &Calls, shadow: &Shadow, run: &CandidateRun) {
    let plugin = &shadow.plugin;
    let result = match (&run.broken, run.compared.is_agreed) {
        (Some(_), _) => "broken",
        (None, true) => "agreed",
        (None, false) => "differed",
    };
    count(plugin, result);
    if !shadow.note(run.broken.clone()) {
        return;
    }
    let (name, version) = (plugin.info.name.as_str(), plugin.info.version.as_str());
    match &run.broken {
        Some(error) => {
            tracing::warn!(
                plugin = name,
                version,
                error,
                "the candidate keeps breaking"
            )
        }
        None => tracing::info!(plugin = name, version, "the candidate answers again"),
    }
    // It does not decide anything, so only pages have to know.
    calls.active.note_change();
}

/// The longest look-back over all settings in use.
pub(super) async fn look_back_in_use(
    calls: &Calls,
    users: &PluginUsers,
    rule: &LoadedPlugin,
) -> Result<Duration, InstallError> {
    let mut longest = Duration::ZERO;
    for user in users.of(PluginKind::Rule, &rule.info.name) {
        let look_back = calls.look_back_of(rule, &user.settings).await;
        longest = longest
            .max(look_back.map_err(|error| {
                InstallStep::Settings.error(format!("{}: {error}", user.owner))
            })?);
    }
    Ok(longest)
}

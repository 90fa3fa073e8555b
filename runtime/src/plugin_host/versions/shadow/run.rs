//! The candidates' runs: offered by the active version's, taken from a queue by a task of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::compare::{self, Compared};
use super::{Shadow, WAITING};
use crate::domain::{
    History, Observation, PluginKind, Probe, Service, ShadowRun, ShadowSide, UnixMillis, Verdict,
    now_ms,
};
use crate::plugin_host::PluginHost;
use crate::plugin_host::calls::{Checked, Evaluated, ProbeCall, RuleCall};
use crate::plugin_host::run::Used;
use crate::plugin_host::versions::loader::LoadedPlugin;

/// Over all candidates; each has its own, smaller bound.
pub(in crate::plugin_host) const QUEUED: usize = 8 * WAITING;

/// One call that the active version got, for its candidate.
pub(in crate::plugin_host) struct Work {
    shadow: Arc<Shadow>,
    _place: OwnedSemaphorePermit,
    active: ShadowSide,
    call: Call,
}

enum Call {
    Check {
        service: Box<Service>,
        probe: Probe,
        ts_ms: UnixMillis,
        previous: Option<Arc<Observation>>,
        said: Box<Observation>,
    },
    Evaluate {
        service: String,
        settings: Value,
        now_ms: UnixMillis,
        history: Arc<dyn History>,
        said: Result<Verdict, String>,
    },
}

impl PluginHost {
    /// Never waits: without a free place the candidate misses this call.
    pub(in crate::plugin_host) fn offer_check(
        &self,
        active: &LoadedPlugin,
        call: &ProbeCall<'_>,
        checked: &Checked,
    ) {
        let Some((shadow, place)) = self.place(active) else {
            return;
        };
        let Checked {
            observation, used, ..
        } = checked;
        let status = observation.status.as_str();
        self.offer(Work {
            shadow,
            _place: place,
            active: side(
                active,
                observation.run_id,
                status,
                observation.latency_us,
                used,
            ),
            call: Call::Check {
                service: Box::new(call.service.clone()),
                probe: call.probe.clone(),
                ts_ms: call.ts_ms,
                previous: call.previous.clone(),
                said: Box::new(observation.clone()),
            },
        });
    }

    /// As [`Self::offer_check`]. The candidate sees the very history that the active version saw.
    pub(in crate::plugin_host) fn offer_evaluation(
        &self,
        active: &LoadedPlugin,
        call: &RuleCall<'_>,
        evaluated: &Evaluated,
        run_id: i64,
    ) {
        let Some((shadow, place)) = self.place(active) else {
            return;
        };
        let Evaluated { verdict, used, .. } = evaluated;
        let duration_us = used.duration.as_micros() as u64;
        self.offer(Work {
            shadow,
            _place: place,
            active: side(
                active,
                run_id,
                compare::word(verdict),
                Some(duration_us),
                used,
            ),
            call: Call::Evaluate {
                service: call.service.to_owned(),
                settings: call.settings.clone(),
                now_ms: call.now_ms,
                history: call.history.clone(),
                said: verdict.clone(),
            },
        });
    }

    fn place(&self, active: &LoadedPlugin) -> Option<(Arc<Shadow>, OwnedSemaphorePermit)> {
        let shadow = self.shadow(&active.info.name)?;
        let taken = super::WAITING - shadow.places.available_permits();
        let place = if shadow.is_failing() && taken > 0 {
            None
        } else {
            shadow.places.clone().try_acquire_owned().ok()
        };
        if place.is_none() {
            skipped(&shadow);
        }
        Some((shadow, place?))
    }

    fn offer(&self, work: Work) {
        if let Err(refused) = self.shared.shadow_work.try_send(work) {
            skipped(&refused.into_inner().shadow);
        }
    }

    /// Takes the queue of candidates' runs; once in the life of a host.
    pub fn shadow_runner(&self) -> Option<ShadowRunner> {
        let work = self.shared.shadow_inbox.lock().ok()?.take()?;
        Some(ShadowRunner {
            host: self.clone(),
            work,
        })
    }
}

fn skipped(shadow: &Shadow) {
    shadow.skipped.fetch_add(1, Ordering::Relaxed);
    count(&shadow.plugin, "skipped");
}

fn count(plugin: &LoadedPlugin, result: &'static str) {
    let name = plugin.info.name.clone();
    metrics::counter!("extrack_plugin_shadow_runs_total", "plugin" => name, "result" => result)
        .increment(1);
}

/// Runs candidates.
pub struct ShadowRunner {
    host: PluginHost,
    work: mpsc::Receiver<Work>,
}

impl ShadowRunner {
    /// Until the shutdown; nobody waits for a candidate, so what is under way then is dropped.
    /// `sink` gets what was compared.
    pub async fn run(mut self, sink: mpsc::Sender<ShadowRun>, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = self.host.learn_look_backs() => {}
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
                Some(work) = self.work.recv() => {
                    let (host, sink) = (self.host.clone(), sink.clone());
                    runs.spawn(async move { host.run_candidate(work, &sink).await });
                }
            }
        }
        runs.shutdown().await;
    }
}

impl PluginHost {
    async fn run_candidate(&self, work: Work, sink: &mpsc::Sender<ShadowRun>) {
        let Work {
            shadow,
            active,
            call,
            _place,
        } = work;
        let Ok(_permit) = shadow.permits.acquire().await else {
            return;
        };
        // Discarded or promoted while this waited.
        if !self
            .shadow(&shadow.plugin.info.name)
            .is_some_and(|current| Arc::ptr_eq(&current, &shadow))
        {
            return;
        }
        let plugin = &shadow.plugin;
        let (ts_ms, run_id) = (now_ms(), self.next_run_id());
        let (
            service,
            probe,
            candidate,
            outcome,
            broken,
            Compared {
                is_agreed,
                difference,
            },
        ) = match call {
            Call::Check {
                service,
                probe,
                ts_ms,
                previous,
                said,
            } => {
                let call = ProbeCall {
                    service: &service,
                    probe: &probe,
                    ts_ms,
                    previous,
                };
                let mut checked = self.check_with(plugin, &call, run_id).await;
                self.keep_check(plugin, &call, run_id, &mut checked, false);
                let Checked {
                    observation,
                    outcome,
                    error,
                    used,
                    ..
                } = checked;
                let broke = compare::is_broken(outcome, &observation);
                let compared = compare::observations(&said, &observation, broke);
                let candidate = side(
                    plugin,
                    run_id,
                    observation.status.as_str(),
                    observation.latency_us,
                    &used,
                );
                self.write_down(
                    plugin,
                    run_id,
                    "shadow-check",
                    Some(&service.slug),
                    outcome,
                    error.clone(),
                    used,
                );
                (
                    service.slug,
                    Some(probe.name),
                    candidate,
                    outcome,
                    error.filter(|_| broke),
                    compared,
                )
            }
            Call::Evaluate {
                service,
                settings,
                now_ms,
                history,
                said,
            } => {
                let call = RuleCall {
                    plugin: &plugin.info.name,
                    service: &service,
                    settings: &settings,
                    now_ms,
                    history,
                };
                let mut evaluated = self.evaluate_with(plugin, &call).await;
                self.keep_evaluation(plugin, &call, run_id, &mut evaluated);
                let Evaluated {
                    verdict,
                    outcome,
                    used,
                    ..
                } = evaluated;
                let compared = compare::verdicts(&said, &verdict);
                let duration_us = used.duration.as_micros() as u64;
                let candidate = side(
                    plugin,
                    run_id,
                    compare::word(&verdict),
                    Some(duration_us),
                    &used,
                );
                let error = verdict.err();
                self.write_down(
                    plugin,
                    run_id,
                    "shadow-evaluate",
                    Some(&service),
                    outcome,
                    error.clone(),
                    used,
                );
                (service, None, candidate, outcome, error, compared)
            }
        };
        count(
            plugin,
            match (&broken, is_agreed) {
                (Some(_), _) => "broken",
                (None, true) => "agreed",
                (None, false) => "differed",
            },
        );
        if shadow.note(broken.clone()) {
            let (plugin, version) = (plugin.info.name.as_str(), plugin.info.version.as_str());
            match broken {
                Some(error) => {
                    tracing::warn!(plugin, version, error, "the candidate keeps breaking")
                }
                None => tracing::info!(plugin, version, "the candidate answers again"),
            }
            // It does not decide anything, so only pages have to know.
            self.changed(PluginKind::Probe);
        }
        let name = plugin.info.name.clone();
        let kind = plugin.kind;
        let run = ShadowRun {
            ts_ms,
            plugin: name,
            kind,
            service,
            probe,
            active,
            candidate,
            outcome,
            is_agreed,
            difference,
        };
        // Best effort, as the accounts of runs are.
        if sink.try_send(run).is_err() {
            metrics::counter!("extrack_plugin_runs_unrecorded_total").increment(1);
        }
    }
}

fn side(
    plugin: &LoadedPlugin,
    run_id: i64,
    status: &str,
    latency_us: Option<u64>,
    used: &Used,
) -> ShadowSide {
    ShadowSide {
        run_id,
        version: plugin.info.version.clone(),
        digest: plugin.digest.clone(),
        status: status.to_owned(),
        latency_us,
        cpu_us: used.cpu_us(),
        memory_bytes: used.memory_peak,
    }
}

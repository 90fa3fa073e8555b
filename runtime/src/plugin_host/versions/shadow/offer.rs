//! Calls of the active version, offered to its candidate.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::{Shadow, Shadows, WAITING, compare};
use crate::domain::{CheckJob, History, Observation, PluginRun, ShadowSide, UnixMillis, Verdict};
use crate::plugin_host::calls::request::RuleCall;
use crate::plugin_host::versions::loader::LoadedPlugin;

/// One call that the active version got, for its candidate.
pub(in crate::plugin_host) struct ShadowJob {
    pub(super) shadow: Arc<Shadow>,
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) active: ShadowSide,
    pub(super) call: ShadowCall,
}

pub(super) enum ShadowCall {
    Check(CheckCall),
    Evaluate(EvaluateCall),
}

pub(super) struct CheckCall {
    pub(super) job: CheckJob,
    /// Answer of the active version.
    pub(super) said: Box<Observation>,
}

pub(super) struct EvaluateCall {
    pub(super) service: String,
    pub(super) settings: Value,
    pub(super) now_ms: UnixMillis,
    pub(super) history: Arc<dyn History>,
    /// Answer of the active version.
    pub(super) said: Result<Verdict, String>,
}

impl Shadows {
    /// Offers a check of the active version to its candidate. Never waits: without a free place the
    /// candidate misses this call.
    pub(in crate::plugin_host) fn offer_check(
        &self,
        active: &LoadedPlugin,
        job: &CheckJob,
        observation: &Observation,
        run: &PluginRun,
    ) {
        let Some((shadow, place)) = self.place(active) else {
            return;
        };
        let status = observation.status.as_str();
        self.offer(ShadowJob {
            shadow,
            _place: place,
            active: side(run, status, observation.latency_us),
            call: ShadowCall::Check(CheckCall {
                job: job.clone(),
                said: Box::new(observation.clone()),
            }),
        });
    }

    /// Offers an evaluation, as [`Self::offer_check`] does a check. The candidate sees the very
    /// history that the active version saw.
    pub(in crate::plugin_host) fn offer_evaluation(
        &self,
        active: &LoadedPlugin,
        call: &RuleCall<'_>,
        verdict: &Result<Verdict, String>,
        run: &PluginRun,
    ) {
        let Some((shadow, place)) = self.place(active) else {
            return;
        };
        self.offer(ShadowJob {
            shadow,
            _place: place,
            active: side(run, compare::word(verdict), Some(run.duration_us)),
            call: ShadowCall::Evaluate(EvaluateCall {
                service: call.service.to_owned(),
                settings: call.settings.clone(),
                now_ms: call.now_ms,
                history: call.history.clone(),
                said: verdict.clone(),
            }),
        });
    }

    fn place(&self, active: &LoadedPlugin) -> Option<(Arc<Shadow>, OwnedSemaphorePermit)> {
        let shadow = self.get(&active.info.name)?;
        let taken = WAITING - shadow.places.available_permits();
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

    fn offer(&self, job: ShadowJob) {
        if let Err(refused) = self.queue.try_send(job) {
            skipped(&refused.into_inner().shadow);
        }
    }
}

fn skipped(shadow: &Shadow) {
    shadow.skipped.fetch_add(1, Ordering::Relaxed);
    count(&shadow.plugin, "skipped");
}

pub(super) fn count(plugin: &LoadedPlugin, result: &'static str) {
    let name = plugin.info.name.clone();
    metrics::counter!("extrack_plugin_shadow_runs_total", "plugin" => name, "result" => result)
        .increment(1);
}

/// Returns one side of a comparison.
pub(super) fn side(run: &PluginRun, status: &str, latency_us: Option<u64>) -> ShadowSide {
    ShadowSide {
        run_id: run.run_id,
        version: run.version.clone(),
        digest: run.digest.clone(),
        status: status.to_owned(),
        latency_us,
        cpu_us: run.cpu_us,
        memory_bytes: run.memory_bytes,
    }
}

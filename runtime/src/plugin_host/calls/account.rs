//! The account of a run: its row, and what it shows of the plugin's health.

use super::Calls;
use crate::domain::RUNS_THAT_DECIDE;
use crate::domain::{PluginRun, RunOutcome, now_ms};
use crate::plugin_host::health::is_work;
use crate::plugin_host::run::RunUsage;
use crate::plugin_host::versions::loader::LoadedPlugin;
use crate::plugin_host::versions::trial::{TrialNews, Verdict, Withdrawal};

impl Calls {
    /// Counts a run of the active version, or of one that is being replaced, and hands over its
    /// row. A run that was crowded out is no evidence about the plugin.
    pub(super) fn account(&self, plugin: &LoadedPlugin, run: PluginRun, is_crowded_out: bool) {
        if !is_crowded_out {
            self.note_health(plugin, &run);
        }
        if run.denials > 0 {
            metrics::counter!("extrack_plugin_denials_total", "plugin" => run.plugin.clone())
                .increment(u64::from(run.denials));
        }
        self.hand_over(run);
    }

    /// Hands over the row alone. No call waits for its account to be written: one that finds no
    /// room is counted and dropped.
    pub(in crate::plugin_host) fn hand_over(&self, run: PluginRun) {
        if self.runs.try_send(run).is_err() {
            metrics::counter!("extrack_plugin_runs_unrecorded_total").increment(1);
        }
    }

    fn note_health(&self, plugin: &LoadedPlugin, run: &PluginRun) {
        if is_work(&run.function) {
            self.note_trial(plugin, run);
        }
        if !plugin.health.note(run, &self.labels) {
            return;
        }
        let (name, version) = (run.plugin.as_str(), run.version.as_str());
        match plugin.health.shown(run.ts_ms).failing {
            Some(failing) => tracing::error!(
                plugin = name,
                version,
                reason = failing.reason,
                "the plugin is failing"
            ),
            None => tracing::info!(plugin = name, version, "the plugin works again"),
        }
        self.active.note_change();
    }

    /// Counts the first runs of a version that took the place of one that worked.
    fn note_trial(&self, plugin: &LoadedPlugin, run: &PluginRun) {
        let Some(trial) = &plugin.trial else {
            return;
        };
        let Some(verdict) = trial.note(run.is_broken()) else {
            return;
        };
        let count = |broken| TrialNews::Count {
            name: plugin.info.name.clone(),
            digest: plugin.digest.clone(),
            broken,
        };
        let news = match verdict {
            Verdict::Broken(broken) => count(Some(broken)),
            Verdict::Passed => count(None),
            Verdict::Failed => {
                let last = run.error.as_deref().unwrap_or(run.outcome.as_str());
                TrialNews::Failed(Withdrawal {
                    name: plugin.info.name.clone(),
                    digest: plugin.digest.clone(),
                    previous: trial.previous().to_owned(),
                    reason: format!("its first {RUNS_THAT_DECIDE} runs all broke: {last}"),
                })
            }
        };
        if self.trial_news.try_send(news).is_err() {
            tracing::error!(
                plugin = plugin.info.name,
                "too many trials of plugin versions wait to be decided; this version stays"
            );
        }
    }
}

/// Returns the row of a run that has ended.
pub(in crate::plugin_host) fn row_of(
    plugin: &LoadedPlugin,
    run_id: i64,
    function: &'static str,
    service: Option<&str>,
    (outcome, error): (RunOutcome, Option<String>),
    usage: &RunUsage,
) -> PluginRun {
    PluginRun {
        run_id,
        ts_ms: now_ms() - usage.duration.as_millis() as i64,
        plugin: plugin.info.name.clone(),
        kind: plugin.kind,
        version: plugin.info.version.clone(),
        digest: plugin.digest.clone(),
        function: function.into(),
        service: service.map(str::to_owned),
        outcome,
        error: error.map(super::cut),
        duration_us: usage.duration.as_micros() as u64,
        cpu_us: usage.cpu_us(),
        memory_bytes: usage.memory_peak,
        host_calls: usage.account.host_calls,
        log_bytes: usage.account.log_bytes,
        denials: usage.account.denials,
        denied: usage.account.denied.clone().map(super::cut),
        bytes_in: usage.account.bytes_in,
        bytes_out: usage.account.bytes_out,
    }
}

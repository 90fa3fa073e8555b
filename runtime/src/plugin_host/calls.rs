//! The calls other parts make: check a service, evaluate a rule, send a message, take in a
//! delivery, look at settings. One file each.

mod keep;
mod notifier;
mod probe;
mod rule;
mod rule_row;
mod settings;
mod webhook;

use std::sync::Arc;

use super::PluginHost;
use super::run::{Broken, Used};
use crate::domain::{PluginKind, PluginRun, RunOutcome, now_ms};
use crate::plugin_host::versions::loader::LoadedPlugin;

pub(super) use keep::cut;
pub(super) use notifier::delivered;
pub use probe::ProbeCall;
pub(super) use probe::{Checked, observed, unanswered};
pub use rule::RuleCall;
pub(super) use rule::{Evaluated, judged};
pub use rule_row::{RuleRow, RuleVersion};
pub(super) use webhook::{Given, received};
pub use webhook::{ReceiveError, WebhookCall};

/// A plugin gave no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    #[error("there is no {kind} plugin `{name}`", kind = kind.as_str())]
    Unknown { kind: PluginKind, name: String },
    #[error("plugin `{plugin}` {reason}")]
    Broken {
        plugin: String,
        outcome: RunOutcome,
        reason: String,
    },
}

impl PluginHost {
    fn known(&self, kind: PluginKind, name: &str) -> Result<Arc<LoadedPlugin>, PluginError> {
        self.plugin(kind, name).ok_or_else(|| PluginError::Unknown {
            kind,
            name: name.to_owned(),
        })
    }

    /// Every call is a row, however it ended.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    fn account(
        &self,
        plugin: &LoadedPlugin,
        run_id: i64,
        function: &'static str,
        service: Option<&str>,
        outcome: RunOutcome,
        error: Option<String>,
        used: Used,
    ) {
        let is_crowded_out = used.is_crowded_out;
        let run = run_of(plugin, run_id, function, service, outcome, error, used);
        if !is_crowded_out {
            self.note_health(plugin, &run);
        }
        if run.denials > 0 {
            metrics::counter!("extrack_plugin_denials_total", "plugin" => run.plugin.clone())
                .increment(u64::from(run.denials));
        }
        self.hand_over(run);
    }

    /// The row alone: what a candidate does is no news of the plugin.
    #[expect(clippy::too_many_arguments, reason = "the columns of one row")]
    pub(super) fn write_down(
        &self,
        plugin: &LoadedPlugin,
        run_id: i64,
        function: &'static str,
        service: Option<&str>,
        outcome: RunOutcome,
        error: Option<String>,
        used: Used,
    ) {
        self.hand_over(run_of(
            plugin, run_id, function, service, outcome, error, used,
        ));
    }

    /// No call waits for its account to be written: one that finds no room is counted and dropped.
    fn hand_over(&self, run: PluginRun) {
        if self.shared.runs.try_send(run).is_err() {
            metrics::counter!("extrack_plugin_runs_unrecorded_total").increment(1);
        }
    }
}

fn run_of(
    plugin: &LoadedPlugin,
    run_id: i64,
    function: &'static str,
    service: Option<&str>,
    outcome: RunOutcome,
    error: Option<String>,
    used: Used,
) -> PluginRun {
    PluginRun {
        run_id,
        ts_ms: now_ms() - used.duration.as_millis() as i64,
        plugin: plugin.info.name.clone(),
        kind: plugin.kind,
        version: plugin.info.version.clone(),
        digest: plugin.digest.clone(),
        function,
        service: service.map(str::to_owned),
        outcome,
        error: error.map(keep::cut),
        duration_us: used.duration.as_micros() as u64,
        cpu_us: used.cpu_us(),
        memory_bytes: used.memory_peak,
        host_calls: used.account.host_calls,
        log_bytes: used.account.log_bytes,
        denials: used.account.denials,
        denied: used.account.denied.map(keep::cut),
        bytes_in: used.account.bytes_in,
        bytes_out: used.account.bytes_out,
    }
}

fn end<T>(answer: &Result<T, Broken>) -> (RunOutcome, Option<String>) {
    match answer {
        Ok(_) => (RunOutcome::Ok, None),
        Err(broken) => (broken.outcome, Some(broken.reason.clone())),
    }
}

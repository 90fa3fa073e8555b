//! From a run that ended to a recording of it.

use std::time::Duration;

use crate::domain::{ErrorKind, Failure, RunOutcome, Status, UnixMillis};
use crate::plugin_host::PluginHost;
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::recording::format::json::Json;
use crate::plugin_host::recording::format::{RecordedRun, RunBudget, Subject};
use crate::plugin_host::recording::recorder::Recorder;
use crate::plugin_host::recording::recordings::Draft;
use crate::plugin_host::run::Used;
use crate::plugin_host::versions::loader::LoadedPlugin;

/// What a recording tells of a run beside its calls and its account.
pub(super) struct Told {
    pub(super) run_id: i64,
    pub(super) ts_ms: UnixMillis,
    /// The exported function.
    pub(super) function: &'static str,
    pub(super) subject: Subject,
    pub(super) status: Option<Status>,
    pub(super) outcome: RunOutcome,
    pub(super) error: Option<String>,
    /// What the observation says is wrong.
    pub(super) message: Option<String>,
    pub(super) timeout: Duration,
    /// What the function was given, without secrets.
    pub(super) arguments: Vec<Box<dyn Json>>,
    /// What came out.
    pub(super) result: Box<dyn Json>,
    /// Taken out of the recording wherever they still stand.
    pub(super) secrets: Redactor,
}

impl PluginHost {
    /// For a run that may be worth keeping.
    pub(super) fn recorder(&self) -> Recorder {
        if self.shared.recordings.is_on() {
            Recorder::tape()
        } else {
            Recorder::Off
        }
    }

    /// Hands the tape of a run over to be kept; the run does not wait for it. A run that went well
    /// is kept for a while, to be compared with the next one that does not.
    pub(super) fn keep(
        &self,
        plugin: &LoadedPlugin,
        used: &mut Used,
        failed: bool,
        told: impl FnOnce() -> Told,
    ) {
        let Some(tape) = used.tape.take() else { return };
        let Told {
            run_id,
            ts_ms,
            function,
            subject,
            status,
            outcome,
            error,
            message,
            timeout,
            arguments,
            result,
            secrets,
        } = told();
        let run = RecordedRun {
            run_id,
            ts_ms,
            plugin: plugin.info.name.clone(),
            kind: plugin.kind,
            version: plugin.info.version.clone(),
            digest: plugin.digest.clone(),
            function: function.to_owned(),
            subject,
            status,
            outcome,
            error: error.map(cut),
            message,
            timeout_ms: timeout.as_millis() as u64,
            budget: RunBudget::of(self.allowance(plugin).budget()),
            cost: used.cost(),
            truncated: tape.truncated(),
        };
        self.shared
            .recordings
            .keep(Draft::new(run, arguments, tape, result, secrets), failed);
    }
}

/// As the rows of runs have it.
pub(in crate::plugin_host) fn cut(error: String) -> String {
    Failure::new(ErrorKind::Plugin, error).message
}

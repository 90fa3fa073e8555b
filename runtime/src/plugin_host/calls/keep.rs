//! Recordings made from runs that have ended.

use std::time::Duration;

use super::Calls;
use crate::domain::{ErrorKind, Failure, RunOutcome, Status, UnixMillis};
use crate::plugin_host::policy::redaction::Redactor;
use crate::plugin_host::recording::format::json::Json;
use crate::plugin_host::recording::format::{RecordedRun, RunBudget, Subject};
use crate::plugin_host::recording::recorder::Recorder;
use crate::plugin_host::recording::recordings::Draft;
use crate::plugin_host::run::RunUsage;
use crate::plugin_host::versions::loader::LoadedPlugin;

/// A recording's part of a run, beside its calls and its account.
pub(super) struct RunSummary {
    pub(super) run_id: i64,
    pub(super) ts_ms: UnixMillis,
    /// The exported function.
    pub(super) function: &'static str,
    pub(super) subject: Subject,
    pub(super) status: Option<Status>,
    pub(super) outcome: RunOutcome,
    pub(super) error: Option<String>,
    /// The failure of the service, from the observation.
    pub(super) message: Option<String>,
    pub(super) timeout: Duration,
    /// Arguments of the function, without secrets.
    pub(super) arguments: Vec<Box<dyn Json>>,
    /// Answer of the function.
    pub(super) result: Box<dyn Json>,
    /// Taken out of the recording wherever they still stand.
    pub(super) secrets: Redactor,
}

impl Calls {
    /// Returns a recorder for a run that may be worth keeping.
    pub(super) fn recorder(&self) -> Recorder {
        if self.recordings.is_on() {
            Recorder::record()
        } else {
            Recorder::Off
        }
    }

    /// Hands the call_log of a run over to be kept; the run does not wait for it. A run that went well
    /// is kept for a while, to be compared with the next one that does not.
    pub(super) fn keep(
        &self,
        plugin: &LoadedPlugin,
        usage: &mut RunUsage,
        failed: bool,
        told: impl FnOnce() -> RunSummary,
    ) {
        let Some(call_log) = usage.call_log.take() else {
            return;
        };
        let RunSummary {
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
            budget: RunBudget::of(self.grants_of(plugin).budget()),
            cost: usage.cost(),
            truncated: call_log.truncated(),
        };
        self.recordings.keep(
            Draft::new(run, arguments, call_log, result, secrets),
            failed,
        );
    }
}

/// Cuts an error to the length that rows of runs keep.
pub(in crate::plugin_host) fn cut(error: String) -> String {
    Failure::new(ErrorKind::Plugin, error).message
}

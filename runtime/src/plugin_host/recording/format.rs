//! A recording: one run of a plugin with everything it was given, asked and answered, as one JSON
//! file. Requests and answers are as the guest saw them, so that secrets are named by their
//! settings and bodies are redacted already.

pub(in crate::plugin_host) mod json;
pub(in crate::plugin_host) mod weight;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::{
    Budget, BudgetChanges, Failure, Phases, PluginKind, PluginPolicy, RunOutcome, Status,
    UnixMillis,
};
use crate::plugin_host::contract::bindings::imports::log::Level;

/// Value of [`Recording::format`]; another number is another shape.
pub(in crate::plugin_host) const FORMAT: u32 = 2;

/// One run, ready to be looked at or run again.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recording {
    pub format: u32,
    pub run: RecordedRun,
    /// Arguments of the exported function, in order.
    pub arguments: Vec<Value>,
    /// Host calls in the order they began.
    pub calls: Vec<RecordedCall>,
    #[serde(default)]
    pub log: Vec<LogLine>,
    /// Answer: an observation, a verdict, a receipt, events, or null.
    #[serde(default)]
    pub result: Value,
    /// Answers to requests that the recorded run did not make, for a replay of another version.
    #[serde(skip)]
    pub answers: Vec<GivenAnswer>,
}

/// Answer that a server would have given to a request that was not recorded: status 200 with this
/// body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenAnswer {
    pub method: String,
    pub url: String,
    pub body: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum NotARecording {
    #[error("is not a recording of a run: {0}")]
    Malformed(serde_json::Error),
    #[error("is a recording of format {0}; this program reads format {FORMAT}")]
    Format(u64),
}

impl Recording {
    pub fn parse(bytes: &[u8]) -> Result<Self, NotARecording> {
        #[derive(Deserialize)]
        struct Versioned {
            format: u64,
        }
        let Versioned { format } =
            serde_json::from_slice(bytes).map_err(NotARecording::Malformed)?;
        if format != u64::from(FORMAT) {
            return Err(NotARecording::Format(format));
        }
        serde_json::from_slice(bytes).map_err(NotARecording::Malformed)
    }
}

/// Subject and end of a run; the first line of the file, from which a start lists what is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRun {
    pub run_id: i64,
    /// When it was due, or when it began.
    pub ts_ms: UnixMillis,
    pub plugin: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// The exported function, e.g. `check`.
    pub function: String,
    #[serde(flatten)]
    pub subject: Subject,
    /// Status of the observation.
    pub status: Option<Status>,
    pub outcome: RunOutcome,
    /// Why it did not end well.
    pub error: Option<String>,
    /// Failure of the service, from the observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub timeout_ms: u64,
    pub budget: RunBudget,
    pub cost: RunCost,
    /// Parts missing from the recording, because they were too much to keep.
    pub truncated: Option<String>,
}

/// Subject of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Slug.
    pub service: Option<String>,
    /// Name of the service's probe.
    pub probe: Option<String>,
    /// Name of the service's webhook.
    pub webhook: Option<String>,
    /// Name of the service's meter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meter: Option<String>,
    /// Name of the channel a message went to.
    pub channel: Option<String>,
}

/// Budget of the run, as far as a replay can hold to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunBudget {
    pub wall_clock_ms: Option<u64>,
    pub cpu_ms: u64,
    pub memory_bytes: u64,
    pub host_calls: u32,
    pub log_bytes: u64,
}

impl RunBudget {
    pub(in crate::plugin_host) fn of(budget: &Budget) -> Self {
        let ms = |duration: Duration| duration.as_millis() as u64;
        Self {
            wall_clock_ms: budget.wall_clock.map(ms),
            cpu_ms: ms(budget.cpu),
            memory_bytes: budget.memory_bytes,
            host_calls: budget.host_calls,
            log_bytes: budget.log_bytes,
        }
    }

    pub(in crate::plugin_host) fn policy(&self) -> PluginPolicy {
        let budget = BudgetChanges {
            wall_clock: self.wall_clock_ms.map(Duration::from_millis),
            cpu: Some(Duration::from_millis(self.cpu_ms)),
            memory_bytes: Some(self.memory_bytes.min(Budget::MAX_MEMORY_BYTES)),
            host_calls: Some(self.host_calls),
            log_bytes: Some(self.log_bytes),
            ..BudgetChanges::default()
        };
        PluginPolicy {
            budget,
            ..PluginPolicy::default()
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunCost {
    pub duration_us: u64,
    pub cpu_us: u64,
    /// Time in host calls that wait; not in recordings of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_us: Option<u64>,
    pub memory_bytes: u64,
    pub host_calls: u32,
    pub log_bytes: u64,
}

impl RunCost {
    /// Returns how long the run waited. Where that is not recorded, everything that was not CPU time
    /// counts, which is too much for a run that had to share its processor.
    pub(in crate::plugin_host) fn waited(&self) -> Duration {
        let unrecorded = self.duration_us.saturating_sub(self.cpu_us);
        Duration::from_micros(self.waited_us.unwrap_or(unrecorded))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedCall {
    /// Interface and function, e.g. `http.send`.
    pub function: String,
    /// Time since the run began.
    #[serde(default)]
    pub at_us: u64,
    #[serde(default)]
    pub request: Value,
    #[serde(default)]
    pub answer: Value,
    /// Why there is no answer.
    #[serde(default)]
    pub missing: Option<Missing>,
    #[serde(default)]
    pub cost: CallCost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// The run was cut off while it waited for the answer.
    CutOff,
    /// Larger than what is kept of a run.
    TooLarge,
}

/// Cost of one call in the run's account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CallCost {
    /// Time in the host.
    pub waited_us: u64,
    /// Time on the network; `None` for other calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net_us: Option<u64>,
    #[serde(skip_serializing_if = "is_none")]
    pub phases: Phases,
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes_in: u64,
    /// Why there was no answer from the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

fn is_none(phases: &Phases) -> bool {
    *phases == Phases::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// `debug`, `info`, `warn` or `error`.
    pub level: LogLevel,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        }
    }
}

impl LogLevel {
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_shared_its_processor_did_not_wait_for_a_service() {
        let starved = RunCost {
            duration_us: 703_000,
            cpu_us: 115_000,
            waited_us: Some(0),
            ..RunCost::default()
        };
        assert_eq!(starved.waited(), Duration::ZERO);
        let text = serde_json::to_string(&starved).unwrap();
        assert_eq!(serde_json::from_str::<RunCost>(&text).unwrap(), starved);
        let earlier = text.replace(r#""waitedUs":0,"#, "");
        let earlier: RunCost = serde_json::from_str(&earlier).unwrap();
        assert_eq!(earlier.waited(), Duration::from_micros(588_000));
    }
}

//! Plugins as the other parts know them: names, versions and runs, no WebAssembly.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UnixMillis;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum PluginKind {
    Probe,
    Rule,
    Notifier,
    Webhook,
    Meter,
}

impl PluginKind {
    pub const ALL: [PluginKind; 5] = [
        PluginKind::Probe,
        PluginKind::Rule,
        PluginKind::Notifier,
        PluginKind::Webhook,
        PluginKind::Meter,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            PluginKind::Probe => "probe",
            PluginKind::Rule => "rule",
            PluginKind::Notifier => "notifier",
            PluginKind::Webhook => "webhook",
            PluginKind::Meter => "meter",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Permission that a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    Host(String),
    Credential(String),
    Capability(String),
    /// A feature of the host that the plugin can't work without.
    Feature(String),
}

/// Description of a plugin by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PluginInfo {
    pub name: String,
    pub version: String,
    pub summary: String,
    pub settings_schema: serde_json::Value,
    pub wants: Vec<Want>,
    /// The rule is evaluated as time passes, and not only when an observation arrives.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub evaluated_over_time: bool,
}

/// How one execution of a plugin ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// The plugin answered.
    Ok,
    /// The plugin answered with an error of its own.
    Error,
    /// The plugin crashed.
    Trap,
    /// The plugin was cut off at its deadline.
    Timeout,
    /// The plugin was cut off at a cap on memory, output or host calls.
    Limit,
}

impl RunOutcome {
    pub const ALL: [RunOutcome; 5] = [
        RunOutcome::Ok,
        RunOutcome::Error,
        RunOutcome::Trap,
        RunOutcome::Timeout,
        RunOutcome::Limit,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            RunOutcome::Ok => "ok",
            RunOutcome::Error => "error",
            RunOutcome::Trap => "trap",
            RunOutcome::Timeout => "timeout",
            RunOutcome::Limit => "limit",
        }
    }
}

/// The account of one execution; a row of `plugin_runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginRun {
    pub run_id: i64,
    pub ts_ms: UnixMillis,
    pub plugin: String,
    pub kind: PluginKind,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// The exported function, e.g. `check`.
    pub function: Cow<'static, str>,
    /// Slug, when the run was for a service.
    pub service: Option<String>,
    pub outcome: RunOutcome,
    /// Why it did not end well.
    pub error: Option<String>,
    /// Wall clock from instantiation to the end.
    pub duration_us: u64,
    /// Wall clock less the time spent waiting in host calls.
    pub cpu_us: u64,
    /// High-water mark of linear memory.
    pub memory_bytes: u64,
    pub host_calls: u32,
    pub log_bytes: u64,
    /// Calls that the policy refused, for want of a grant or for good.
    pub denials: u32,
    /// Answer to the last of them, which names the setting that would allow it.
    pub denied: Option<String>,
    /// Bodies of answers, and reads.
    pub bytes_in: u64,
    /// Requests, writes and mail.
    pub bytes_out: u64,
}

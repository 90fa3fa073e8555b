//! Backtests: what is asked, and the report.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BacktestBody {
    pub rule: RuleBody,
    /// How long ago it begins, as `30d`, or a moment in RFC 3339. Default: `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The same for its end. Default: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Slugs. Default: every service that the rule looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// A version of the rule's plugin to try, in base64: a WebAssembly component. Needs the scope
    /// `deploy`. Default: the active version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// A rule in force by its name, or an entry as of `alerts` in `alerts.yaml`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RuleBody {
    Named(String),
    Entry(Map<String, Value>),
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportBody {
    pub rule: String,
    pub plugin: String,
    pub plugin_version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    pub since: String,
    pub until: String,
    pub evaluations: u64,
    /// Null when nothing was evaluated.
    pub evaluations_per_second: Option<u64>,
    /// Alerts that would have fired.
    pub fired: usize,
    /// How long, all together.
    pub firing_ms: i64,
    /// Alerts that really fired, and how many of them are among those that would have.
    pub really_fired: usize,
    pub really_found: usize,
    /// True when the rule returns different verdicts for the same history: nothing here can be
    /// relied on.
    pub impure: bool,
    /// Messages by the name of their channel, after routing, grouping, repeats and escalation,
    /// without acknowledgements. Silences and maintenance are those of that time, everything else
    /// is as it is configured now.
    pub messages: BTreeMap<String, u64>,
    /// There would have been more messages than were counted.
    pub messages_cut: bool,
    pub services: Vec<ServiceBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBody {
    pub service: String,
    pub evaluations: u64,
    /// Evaluations that gave no verdict, and why the first of them did not.
    pub failures: u64,
    pub first_failure: Option<String>,
    /// Breaches that ended before they fired.
    pub cleared: u64,
    pub alerts: Vec<EpisodeBody>,
    /// Alerts beyond those that are listed.
    pub omitted: u64,
    /// Alerts that the rule of that name really fired in the same time.
    pub really: Vec<EpisodeBody>,
    /// Alerts that the rule in force would have fired; null where it is the one that was tried.
    pub current: Option<Vec<EpisodeBody>>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EpisodeBody {
    pub started_at: String,
    pub fired_at: String,
    /// Null: it fires still at the end.
    pub resolved_at: Option<String>,
    pub firing_ms: i64,
    pub summary: String,
    /// Name of what would have muted the alert when it fired, such as `silence 3`; only in
    /// `alerts`.
    pub suppressed_by: Option<String>,
    /// True in `alerts` when the alert really fired as well; in `really` and `current` when it
    /// would have fired too.
    pub matched: bool,
}

/// One line of a streamed backtest.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BacktestLine {
    Progress(ProgressBody),
    Report(Box<ReportBody>),
    Error(String),
}

/// Progress of a backtest that runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgressBody {
    pub observations: u64,
    pub of_observations: u64,
}

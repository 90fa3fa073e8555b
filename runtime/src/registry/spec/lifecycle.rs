//! How an alert lives: the keys that every alert's spec shares.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DurationSpec;
use crate::domain::NoData;

/// Options of an alert's life.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleSpec {
    /// Another word for `duration`.
    #[serde(rename = "for", default, skip_serializing_if = "Option::is_none")]
    pub duration_for: Option<DurationSpec>,
    /// How long the rule has to be satisfied before the alert is resolved: seconds, or text such
    /// as `5m`. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<DurationSpec>,
    /// How many of the last judgements have to be breaches. Default: the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<FailuresSpec>,
    /// When an alert counts as flapping: `true` for above 30 percent of change until 25, or
    /// thresholds of its own. Default: `false`, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flapping: Option<FlappingSpec>,
    /// Name of one of `escalations`: who else is told if nobody acknowledges it. Default: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<String>,
    /// What it counts as when the rule can't be judged for long: `ok`, `alert`, or `keep` for
    /// neither. Default: `keep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
    /// After how long without a verdict there is no data: seconds, or text such as `15m`. Default:
    /// three intervals of the slowest probe it looks at, and at least 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data_after: Option<DurationSpec>,
}

impl LifecycleSpec {
    pub const KEYS: [&'static str; 7] = [
        "for",
        "keepFiringFor",
        "failures",
        "flapping",
        "escalation",
        "noData",
        "noDataAfter",
    ];
}

/// `count` of the last `of` judgements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailuresSpec {
    /// At least 1.
    pub count: u32,
    /// At least `count`, at most 60.
    pub of: u32,
}

/// On or off, or with thresholds of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FlappingSpec {
    Switch(bool),
    Thresholds(FlappingThresholdsSpec),
}

/// Percent of the last 20 judgements that were a change, newer ones weighing more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FlappingThresholdsSpec {
    /// Above it, it begins.
    pub high: f64,
    /// At or below it, it ends.
    pub low: f64,
}

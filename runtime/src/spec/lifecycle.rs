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
    /// Name of one of `escalations`: further channels if the alert is not acknowledged. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalation: Option<String>,
    /// State while the rule can't be evaluated for long: `ok`, `alert`, or `keep` for neither.
    /// Default: `keep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
    /// Time without a verdict after which there is no data: seconds, or text such as `15m`.
    /// Default: three intervals of the slowest probe it looks at, and at least 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data_after: Option<DurationSpec>,
}

/// `count` of the last `of` judgements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailuresSpec {
    /// Number of breaches, at least 1.
    pub count: u32,
    /// Number of judgements, at least `count`, at most 60.
    pub of: u32,
}

/// Flapping detection: on or off, or with thresholds of its own.
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
    /// Percentage above which flapping begins.
    pub high: f64,
    /// Percentage at or below which flapping ends.
    pub low: f64,
}

//! How an alert lives: what a rule wants of its alert's life, what is kept of a rule from one
//! judgement to the next, and what marks an alert beside its state.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::UnixMillis;

/// A rule's options beside its `duration`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AlertOptions {
    pub failures: Failures,
    /// How long the rule has to be satisfied before a fired alert is resolved.
    pub keep_firing_for: Duration,
    /// Thresholds of flapping; none: the alert never counts as flapping.
    pub flapping: Option<FlappingThresholds>,
    pub no_data: NoData,
    /// How long there is no verdict before that counts as no data; none: by the interval of the
    /// probes.
    pub no_data_after: Option<Duration>,
}

/// So many of the last judgements have to be breaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    pub count: u32,
    /// Number of judgements that are looked at, at most [`Failures::MOST`].
    pub of: u32,
}

impl Failures {
    /// Number of judgements that a [`RuleMemory`] holds.
    pub const MOST: u32 = 60;
}

impl Default for Failures {
    fn default() -> Self {
        Self { count: 1, of: 1 }
    }
}

/// Percent of change, 0 to 99, above which an alert starts and below which it stops to flap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlappingThresholds {
    pub high: f64,
    pub low: f64,
}

/// Icinga's.
impl Default for FlappingThresholds {
    fn default() -> Self {
        Self {
            high: 30.0,
            low: 25.0,
        }
    }
}

/// Outcome of a rule that could not be judged for long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoData {
    /// Satisfied.
    Ok,
    /// Breached.
    Alert,
    /// Neither: its alert stays as it is.
    #[default]
    Keep,
}

impl NoData {
    pub fn as_str(self) -> &'static str {
        match self {
            NoData::Ok => "ok",
            NoData::Alert => "alert",
            NoData::Keep => "keep",
        }
    }
}

/// Flags of an alert beside its state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AlertFlags {
    /// The acknowledgement; kept after it ran out or the alert ended.
    pub acknowledged: Option<Acknowledgement>,
    /// Whether it changes so often that only its beginning and its end are sent.
    pub flapping: bool,
    /// Whether it is open because its rule could not be judged.
    pub no_data: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Acknowledgement {
    pub by: String,
    pub at_ms: UnixMillis,
    /// End of the acknowledgement; none: the end of the alert.
    pub until_ms: Option<UnixMillis>,
    pub note: String,
}

/// Memory of a rule from one judgement to the next, beside its open alert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuleMemory {
    /// One bit a judgement, set for a breach; the lowest is the newest.
    pub breaches: u64,
    /// One bit a judgement, set where breached turned to satisfied or back; the lowest is the
    /// newest.
    pub changes: u32,
    pub is_flapping: bool,
    /// Enough of the last judgements were breaches.
    pub was_breached: bool,
    /// Moment since which the rule of a fired alert has been satisfied without a break.
    pub clear_since_ms: Option<UnixMillis>,
    /// A person resolved the alert: no new one before the rule is satisfied.
    pub is_held: bool,
}

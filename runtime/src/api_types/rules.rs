//! Rules in force, and escalations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{NoData, Severity};

/// One rule for one service, and its last verdict.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleBody {
    /// `SERVICE/NAME`
    pub key: String,
    pub name: String,
    /// Slug.
    pub service: String,
    pub plugin: String,
    pub severity: Severity,
    /// How long a breach lasts before the alert fires.
    pub duration: String,
    pub keep_firing_for: String,
    pub failures: FailuresBody,
    pub no_data: NoData,
    /// Name of its escalation.
    pub escalation: Option<String>,
    pub standing: StandingBody,
}

/// So many of the last judgements have to be breaches.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct FailuresBody {
    pub count: u32,
    pub of: u32,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum VerdictWord {
    Ok,
    Breached,
    NoOpinion,
    /// The evaluation failed.
    Failed,
}

/// Status of the rule since the program started.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandingBody {
    /// Null before the first evaluation.
    pub verdict: Option<VerdictWord>,
    /// Text of the rule, or the error.
    pub text: String,
    pub evaluated_at: Option<String>,
    /// Begin of a long time without a verdict; null while there are verdicts.
    pub no_data_since: Option<String>,
    pub flapping: bool,
    /// A person resolved its alert, and it has not been satisfied since.
    pub held: bool,
    /// Breaches count for nothing until the retries of the probe are over.
    pub retrying: bool,
}

/// Escalation: channels that are notified while no person acknowledges an alert.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EscalationBody {
    pub name: String,
    pub steps: Vec<EscalationStepBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EscalationStepBody {
    /// Time after the step before; for the first one, after the alert fired.
    pub wait: String,
    /// Names of channels.
    pub notify: Vec<String>,
    pub repeat: Option<RepeatBody>,
    /// Null: at any time.
    pub hours: Option<HoursBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RepeatBody {
    pub every: String,
    /// Number of repeats; null: until the alert is acknowledged.
    pub times: Option<u32>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoursBody {
    /// Monday is 0; empty: every day.
    pub weekdays: Vec<u8>,
    /// Minutes since midnight.
    pub from: u32,
    pub to: u32,
    pub timezone: String,
}

//! Comparison of a candidate with the active version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plugins::CandidateBody;
use crate::domain::PluginKind;

/// How a candidate compares with the active version. Times are in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShadowBody {
    pub plugin: String,
    pub kind: PluginKind,
    /// Version it is compared with: runs beside an earlier active version do not count.
    pub active: SideBody,
    pub candidate: CandidateBody,
    /// Compared runs, stored so far.
    pub runs: u64,
    /// Runs in which both came to the same verdict.
    pub agreed: u64,
    /// Percent of the runs; null before the first one.
    pub agreement: Option<f64>,
    /// Runs of the candidate that gave no usable answer.
    pub broken: BrokenBody,
    pub cost: CostBody,
    /// The last ones, newest first. `SELECT * FROM shadow_runs WHERE NOT agree` has all.
    pub disagreements: Vec<DisagreementBody>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SideBody {
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
}

/// Broken runs by their outcome.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokenBody {
    pub errors: u64,
    pub traps: u64,
    /// Also those in which the service kept it waiting.
    pub timeouts: u64,
    pub limits: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CostBody {
    pub active: SideCostBody,
    pub candidate: SideCostBody,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SideCostBody {
    /// Latency of the service for a probe, wall clock for a rule.
    pub latency_us: QuantilesBody,
    pub cpu_us: QuantilesBody,
    pub memory_bytes: QuantilesBody,
}

/// Null where no run has the value.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct QuantilesBody {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisagreementBody {
    /// When the candidate ran, RFC 3339.
    pub ts: String,
    /// Slug.
    pub service: String,
    /// Null for a rule.
    pub probe: Option<String>,
    pub active_status: String,
    pub candidate_status: String,
    /// Description of the difference, for people.
    pub difference: Option<String>,
    pub active_run_id: i64,
    pub candidate_run_id: i64,
}

//! A candidate beside the active version of a plugin: what both said of the same call.

use super::{PluginKind, RunOutcome, UnixMillis};

/// One call that both versions got; a row of `shadow_runs`.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowRun {
    /// When the candidate ran.
    pub ts_ms: UnixMillis,
    pub plugin: String,
    pub kind: PluginKind,
    pub service: String,
    /// Probe; none for a rule.
    pub probe: Option<String>,
    pub active: ShadowSide,
    pub candidate: ShadowSide,
    /// How the candidate's run ended.
    pub outcome: RunOutcome,
    /// Both came to the same verdict, and the candidate did not break.
    pub is_agreed: bool,
    /// Difference of the candidate's result; text for people.
    pub difference: Option<String>,
}

/// One of the two.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowSide {
    /// Id of `plugin_runs`, and for the active version of a probe of `observations`.
    pub run_id: i64,
    pub version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    /// A probe's status; of a rule `ok`, `breached`, `no-opinion` or `broken`.
    pub status: String,
    /// A probe's latency of its service, a rule's wall clock.
    pub latency_us: Option<u64>,
    pub cpu_us: u64,
    pub memory_bytes: u64,
}

/// All comparisons of one candidate with one active version.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ShadowSummary {
    pub runs: u64,
    pub agreed: u64,
    /// Runs of the candidate that gave no usable answer, by outcome.
    pub errors: u64,
    pub traps: u64,
    pub timeouts: u64,
    pub limits: u64,
    pub active: SideCost,
    pub candidate: SideCost,
    /// Newest first, a few.
    pub disagreements: Vec<ShadowRun>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SideCost {
    pub latency_us: Quantiles,
    pub cpu_us: Quantiles,
    pub memory_bytes: Quantiles,
}

/// Quantiles of one figure; none without a run that has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quantiles {
    pub p50: Option<f64>,
    pub p95: Option<f64>,
    pub p99: Option<f64>,
}

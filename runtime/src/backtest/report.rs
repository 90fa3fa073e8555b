//! Request and report of a backtest over several services.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{BacktestOutcome, Compared};
use crate::alerts::message_simulation::Episode;
use crate::domain::{Fault, UnixMillis};

/// Rule to be tested.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleChoice {
    /// The rule in force under this name, or `SERVICE/NAME`.
    Named(String),
    /// An entry as of `alerts` in `alerts.yaml`.
    Spec(Value),
}

#[derive(Debug, Clone, PartialEq)]
pub struct BacktestRequest {
    pub rule: RuleChoice,
    /// Version of the rule's plugin to use in place of the active one.
    pub component: Option<Bytes>,
    /// Name of the token or person that asks.
    pub by: String,
    pub since_ms: UnixMillis,
    pub until_ms: UnixMillis,
    /// Slugs; none: all that the rule looks at.
    pub services: Option<Vec<String>>,
}

/// Progress of a backtest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacktestProgress {
    pub observations: u64,
    pub of_observations: u64,
}

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceBacktest {
    pub service: String,
    pub outcome: BacktestOutcome,
    /// The mute of an alert when it fired, by its place among the episodes.
    pub suppressed_by: BTreeMap<usize, String>,
    /// Alerts of the rule of that name in the same time.
    pub really: Vec<Episode>,
    pub with_really: Compared,
    /// Alerts that the rule in force would have made, where another one was asked for.
    pub current: Option<Vec<Episode>>,
    pub with_current: Option<Compared>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct BacktestReport {
    pub rule: String,
    pub plugin: String,
    pub plugin_version: String,
    /// sha256 of the component, in hex.
    pub digest: String,
    pub since_ms: UnixMillis,
    pub until_ms: UnixMillis,
    pub services: Vec<ServiceBacktest>,
    /// Messages by the name of the channel, without any acknowledgement.
    pub messages: BTreeMap<String, u64>,
    /// There would have been more than were counted.
    pub messages_cut: bool,
    /// Time of the evaluations, without those of the rule in force.
    pub took: Duration,
}

impl BacktestReport {
    pub fn evaluations(&self) -> u64 {
        self.services
            .iter()
            .map(|service| service.outcome.evaluations)
            .sum()
    }

    /// Returns none when nothing was evaluated.
    pub fn evaluations_per_second(&self) -> Option<u64> {
        let seconds = self.took.as_secs_f64();
        (self.evaluations() > 0 && seconds > 0.0)
            .then(|| (self.evaluations() as f64 / seconds) as u64)
    }

    /// How long alerts would have fired, all together.
    pub fn firing_ms(&self) -> i64 {
        let lasted =
            |episode: &Episode| episode.resolved_ms.unwrap_or(self.until_ms) - episode.fired_ms;
        self.services
            .iter()
            .flat_map(|service| &service.outcome.episodes)
            .map(lasted)
            .map(|ms| ms.max(0))
            .sum()
    }
}

/// Reason why there is no backtest.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    #[error(
        "no rule is named `{0}`; `extrack rule list` lists those in force, or give an entry as in alerts.yaml"
    )]
    UnknownRule(String),
    #[error("the rule looks at none of these services")]
    NoService,
    #[error("there is no service `{0}` that the rule looks at")]
    UnknownService(String),
    #[error("the rule has {} fault(s)", .0.len())]
    Invalid(Vec<Fault>),
    #[error("{0}")]
    Plugin(String),
    #[error("another backtest is under way; come again when it is done")]
    Busy,
    #[error("{0}")]
    Failed(String),
}

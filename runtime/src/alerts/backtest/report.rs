//! What is asked of a backtest over several services, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::{BacktestOutcome, Compared, Episode};
use crate::domain::{Fault, UnixMillis};

/// Which rule is played.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleChoice {
    /// In force under this name, or `SERVICE/NAME`.
    Named(String),
    /// An entry as of `alerts` in `alerts.yaml`.
    Spec(Value),
}

#[derive(Debug, Clone, PartialEq)]
pub struct BacktestRequest {
    pub rule: RuleChoice,
    /// In place of the active version of the rule's plugin.
    pub component: Option<Bytes>,
    /// Who asks.
    pub by: String,
    pub since_ms: UnixMillis,
    pub until_ms: UnixMillis,
    /// Slugs; none: all that the rule looks at.
    pub services: Option<Vec<String>>,
}

/// How far it is.
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
    /// By its place among the episodes: what would have kept people from hearing of it when it
    /// fired.
    pub suppressed_by: BTreeMap<usize, String>,
    /// What the rule of that name did in the same time.
    pub really: Vec<Episode>,
    pub with_really: Compared,
    /// What the rule that is in force would have done, where another one was asked for.
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
    /// By the name of the channel, if nobody had acknowledged anything.
    pub messages: BTreeMap<String, u64>,
    /// There would have been more than were counted.
    pub messages_cut: bool,
    /// In which the observations were played, without those of the rule in force.
    pub took: Duration,
}

impl BacktestReport {
    pub fn evaluations(&self) -> u64 {
        self.services
            .iter()
            .map(|service| service.outcome.evaluations)
            .sum()
    }

    /// None when nothing was evaluated.
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

/// Why there is no backtest.
#[derive(Debug, thiserror::Error)]
pub enum BacktestRefusal {
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

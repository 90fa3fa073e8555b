//! Evaluation of one rule of one service, shared by the live engine and the backtest.
//!
//! A [`RuleEvaluator`] decides as of which moment and over which part of the history its rule is
//! evaluated, whether a breach waits for the retries of a probe, and when the rule is without data.
//! It asks the rule itself through a [`RuleSession`]. What follows from an [`Outcome`] for the
//! rule's alert is in [`RuleState`]. The live engine adds commits, the backtest a list of alerts.

mod state;
#[cfg(test)]
mod tests;
mod tick;

use std::sync::Arc;
use std::time::Duration;

use super::history::ServiceHistory;
use super::lifecycle;
use super::ports::PortResult;
use crate::domain::{AlertRule, Finding, History, NoData, Observation, UnixMillis, Verdict};

pub use state::{RuleState, UNSAVED};
pub use tick::TickPeriod;

/// Evaluates one rule of one service, again and again.
pub trait RuleSession: Send {
    fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> impl Future<Output = PortResult<Verdict>> + Send;

    /// Whether the rule remembers what it must not, so that its verdicts can't be relied on.
    fn is_impure(&self) -> bool {
        false
    }
}

/// News about a rule that may change its alert.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// `ok` or `breached`.
    Verdict {
        verdict: Verdict,
        now_ms: UnixMillis,
    },
    /// No verdict for too long.
    NoData {
        finding: Finding,
        now_ms: UnixMillis,
    },
}

/// Result of one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    pub verdict: PortResult<Verdict>,
    /// Moment as of which the rule was evaluated.
    pub now_ms: UnixMillis,
    /// The rule is breached, and the probe repeats its run before that counts.
    pub is_retrying: bool,
}

impl Evaluation {
    /// Whether the verdict is `ok` or `breached`.
    pub fn is_decided(&self) -> bool {
        matches!(self.verdict, Ok(Verdict::Ok(_) | Verdict::Breached(_)))
    }

    /// Returns the outcome to be applied to the alert, if there is one.
    pub fn into_outcome(self) -> Option<Outcome> {
        if !self.is_decided() || self.is_retrying {
            return None;
        }
        let now_ms = self.now_ms;
        let verdict = self.verdict.ok()?;
        Some(Outcome::Verdict { verdict, now_ms })
    }
}

/// Notice that a rule has been without a verdict for too long.
#[derive(Debug, Clone, PartialEq)]
pub struct NoDataNotice {
    pub since_ms: UnixMillis,
    pub finding: Finding,
    /// The rule was not without data before.
    pub is_new: bool,
    /// Outcome that the rule counts it as; none: its alert stays as it is.
    pub outcome: Option<Outcome>,
}

#[derive(Debug)]
enum Undecided {
    NoOpinion(String),
    Failed(String),
}

/// One rule of one service, with its alert and its times.
#[derive(Debug)]
pub struct RuleEvaluator {
    rule: Arc<AlertRule>,
    /// Longest time without a verdict; none: no limit.
    no_data_after: Option<Duration>,
    state: RuleState,
    /// Moment of the last tick. The rule is never evaluated as of an earlier one.
    ticked_ms: UnixMillis,
    /// Moment of the last `ok` or `breached`, else when the evaluator was made.
    decided_ms: UnixMillis,
    /// Why the last evaluation led to neither.
    undecided: Option<Undecided>,
    is_silent: bool,
}

impl RuleEvaluator {
    pub fn new(
        rule: Arc<AlertRule>,
        no_data_after: Option<Duration>,
        state: RuleState,
        now_ms: UnixMillis,
    ) -> Self {
        Self {
            rule,
            no_data_after,
            state,
            ticked_ms: UnixMillis::MIN,
            decided_ms: now_ms,
            undecided: None,
            is_silent: false,
        }
    }

    pub fn rule(&self) -> &Arc<AlertRule> {
        &self.rule
    }

    pub fn state(&self) -> &RuleState {
        &self.state
    }

    pub fn state_mut(&mut self) -> &mut RuleState {
        &mut self.state
    }

    pub fn into_state(self) -> RuleState {
        self.state
    }

    /// Takes over an edited rule whose plugin and settings are the same.
    pub fn set_rule(&mut self, rule: Arc<AlertRule>, no_data_after: Option<Duration>) {
        (self.rule, self.no_data_after) = (rule, no_data_after);
    }

    /// Brings moments that lie in the future since the clock was set back to now.
    pub fn set_clock_back(&mut self, now_ms: UnixMillis) {
        self.decided_ms = self.decided_ms.min(now_ms);
        self.ticked_ms = self.ticked_ms.min(now_ms);
    }

    /// Returns the moment as of which the rule is evaluated when this is the history.
    pub fn moment(&self, history: &ServiceHistory) -> UnixMillis {
        history.now_ms().max(self.ticked_ms)
    }

    /// Evaluates the rule as an observation arrives, which is the last of the history. `retries`:
    /// how often its probe repeats a failed run.
    pub async fn on_observation(
        &mut self,
        history: &Arc<ServiceHistory>,
        observation: &Observation,
        retries: Option<u32>,
        session: &mut impl RuleSession,
    ) -> Evaluation {
        let later =
            (self.ticked_ms > history.now_ms()).then(|| Arc::new(history.at(self.ticked_ms)));
        let mut evaluation = self
            .evaluate(later.as_ref().unwrap_or(history), session)
            .await;
        // The service has another chance before it is suspected.
        evaluation.is_retrying = matches!(evaluation.verdict, Ok(Verdict::Breached(_)))
            && self.state.alert.is_none()
            && retries.is_some_and(|times| history.is_retried(observation, times));
        evaluation
    }

    /// Evaluates the rule as time passes, as of the moment of this history.
    pub async fn on_tick(
        &mut self,
        history: &Arc<ServiceHistory>,
        session: &mut impl RuleSession,
    ) -> Evaluation {
        self.ticked_ms = history.now_ms();
        self.evaluate(history, session).await
    }

    async fn evaluate(
        &mut self,
        history: &Arc<ServiceHistory>,
        session: &mut impl RuleSession,
    ) -> Evaluation {
        let now_ms = history.now_ms();
        let seen: Arc<dyn History> = match &self.rule.probes {
            Some(probes) => Arc::new(history.of_probes(probes)),
            None => Arc::clone(history) as Arc<dyn History>,
        };
        let evaluation = Evaluation {
            verdict: session.evaluate(seen, now_ms).await,
            now_ms,
            is_retrying: false,
        };
        if evaluation.is_decided() {
            self.decided_ms = self.decided_ms.max(now_ms);
            self.is_silent = false;
        }
        self.undecided = match &evaluation.verdict {
            Ok(Verdict::Ok(_) | Verdict::Breached(_)) => None,
            Ok(Verdict::NoOpinion(reason)) => Some(Undecided::NoOpinion(reason.clone())),
            Err(error) => Some(Undecided::Failed(error.0.clone())),
        };
        evaluation
    }

    /// Returns from when on [`on_silence`](Self::on_silence) has something to do, unless the rule
    /// decides before; none: never.
    pub fn silence_due_ms(&self) -> Option<UnixMillis> {
        let is_done = self.is_silent
            && match self.rule.options.no_data {
                NoData::Keep | NoData::Ok => true,
                // It may have to wait for its duration.
                NoData::Alert => self.state.alert.as_ref().is_some_and(|alert| {
                    alert.fired_ms.is_some()
                        && alert.severity == self.rule.severity
                        && !alert.flags.flapping
                }),
            };
        let after_ms = i64::try_from(self.no_data_after?.as_millis()).unwrap_or(i64::MAX);
        (!is_done).then(|| self.decided_ms.saturating_add(after_ms))
    }

    /// Looks whether the rule has been without a verdict for too long. `broken`: why the last run
    /// of the service's probes gave no answer.
    pub fn on_silence(&mut self, now_ms: UnixMillis, broken: Option<&str>) -> Option<NoDataNotice> {
        self.silence_due_ms().filter(|due_ms| *due_ms <= now_ms)?;
        let is_new = !std::mem::replace(&mut self.is_silent, true);
        let no_run = "no run of its probes gave an answer";
        let reason = match (&self.undecided, broken) {
            (Some(Undecided::Failed(error)), _) => format!("the rule fails: {error}"),
            (_, Some(broken)) => format!("{no_run}; the last one: {broken}"),
            (Some(Undecided::NoOpinion(reason)), None) => reason.clone(),
            (None, None) => no_run.to_owned(),
        };
        let finding = lifecycle::no_data_finding(self.decided_ms, now_ms, &reason);
        let outcome = (self.rule.options.no_data != NoData::Keep).then(|| Outcome::NoData {
            finding: finding.clone(),
            now_ms,
        });
        Some(NoDataNotice {
            since_ms: self.decided_ms,
            finding,
            is_new,
            outcome,
        })
    }
}

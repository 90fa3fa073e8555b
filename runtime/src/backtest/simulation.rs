//! One rule, evaluated over the stored observations of one service, with the observations' own time
//! for a clock.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};

use crate::alerts::evaluator::{
    Evaluation, Outcome, RuleEvaluator, RuleSession, RuleState, TickPeriod,
};
use crate::alerts::history::{Reach, ServiceHistory};
use crate::alerts::lifecycle::Change;
use crate::alerts::message_simulation::Episode;
use crate::alerts::ports::PortResult;
use crate::domain::{AlertRule, Observation, UnixMillis};

/// Observations read at once: a few megabytes, and the next ones are read while these are evaluated.
pub const PAGE: usize = 10_000;

/// Evaluations before other tasks may run: a millisecond or two.
const EVALUATIONS_IN_A_ROW: u64 = 64;

/// Alerts of one rule in one service that are kept; a longer list is of no use.
const MAX_EPISODES: usize = 1_000;

/// One rule, one service, one span of time.
#[derive(Debug, Clone)]
pub struct BacktestRun {
    pub rule: Arc<AlertRule>,
    /// Part of the history that the rule looks at.
    pub look_back: Duration,
    /// The longest interval of the service's probes.
    pub interval: Duration,
    /// Repeats of a failed run before the service is suspected, by probe.
    pub retries: BTreeMap<String, u32>,
    /// Time between the engine's ticks, at which it evaluates rules that ask for it and looks for
    /// those without data.
    pub tick: Duration,
    /// Whether the rule asks to be evaluated at ticks.
    pub ticks: bool,
    /// Longest time without a verdict; none: no limit.
    pub no_data_after: Option<Duration>,
    pub since_ms: UnixMillis,
    pub until_ms: UnixMillis,
}

/// Result of a backtest of one rule for one service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BacktestOutcome {
    pub evaluations: u64,
    /// Evaluations that failed.
    pub failures: u64,
    /// Error of the first of them.
    pub first_failure: Option<String>,
    /// Breaches that ended before they fired.
    pub cleared: u64,
    pub episodes: Vec<Episode>,
    /// Episodes beyond those that are kept.
    pub omitted: u64,
    pub is_impure: bool,
}

impl BacktestRun {
    fn reach(&self) -> Reach {
        Reach {
            look_back: self.look_back,
            interval: self.interval,
        }
    }

    /// Time whose observations are needed: those before the first moment are part of the history,
    /// and not evaluated.
    pub fn observed_range(&self) -> (UnixMillis, UnixMillis) {
        let since_ms = self.since_ms.saturating_sub(self.reach().kept_ms());
        (since_ms, self.until_ms)
    }
}

/// Pages of observations, read one behind another. `read` returns up to [`PAGE`] observations
/// behind a run, in the order of their runs.
pub fn pages<R, F>(read: R) -> impl Stream<Item = PortResult<Vec<Observation>>>
where
    R: Fn(i64) -> F,
    F: Future<Output = PortResult<Vec<Observation>>>,
{
    stream::try_unfold(Some(i64::MIN), move |after_run| {
        let reading = after_run.map(&read);
        async move {
            let Some(reading) = reading else {
                return Ok(None);
            };
            let page = reading.await?;
            let last = page.last().map(|observation| observation.run_id);
            let next = last.filter(|_| page.len() >= PAGE);
            Ok(last.map(|_| (page, next)))
        }
    })
}

/// Evaluates a rule over pages of observations. `progress` is called with the number of
/// observations since the call before.
pub async fn simulate(
    run: &BacktestRun,
    pages: impl Stream<Item = PortResult<Vec<Observation>>>,
    session: &mut impl RuleSession,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> PortResult<BacktestOutcome> {
    let mut simulation = RuleSimulation::new(run, session);
    let mut pages = pin!(pages);
    let mut page = pages.next().await.transpose()?;
    while let Some(observations) = page {
        let count = observations.len() as u64;
        // The next page is read while this one is evaluated.
        let ((), next) = futures::future::join(simulation.run(observations), pages.next()).await;
        page = next.transpose()?;
        progress(count);
    }
    simulation.tick_until(run.until_ms).await;
    Ok(simulation.finish())
}

struct RuleSimulation<'a, S> {
    run: &'a BacktestRun,
    session: &'a mut S,
    period: TickPeriod,
    history: Arc<ServiceHistory>,
    evaluator: RuleEvaluator,
    /// Flapping of the open alert.
    flapping: Vec<(UnixMillis, bool)>,
    ticked_ms: UnixMillis,
    /// Why the last run of the service's probes gave no answer, if it did not.
    broken: Option<String>,
    outcome: BacktestOutcome,
}

impl<'a, S: RuleSession> RuleSimulation<'a, S> {
    fn new(run: &'a BacktestRun, session: &'a mut S) -> Self {
        let mut history = ServiceHistory::new(run.reach());
        // A run that was missed while the program was stopped looks like one that did not happen.
        history.watch_since(run.observed_range().0);
        let evaluator = RuleEvaluator::new(
            run.rule.clone(),
            run.no_data_after,
            RuleState::default(),
            run.since_ms,
        );
        Self {
            run,
            session,
            period: run.tick.into(),
            history: Arc::new(history),
            evaluator,
            flapping: Vec::new(),
            ticked_ms: run.since_ms.saturating_sub(1),
            broken: None,
            outcome: BacktestOutcome::default(),
        }
    }

    async fn run(&mut self, observations: Vec<Observation>) {
        for observation in observations {
            self.tick_until(observation.ts_ms).await;
            if observation.is_check_broken() {
                self.broken = observation.failure.map(|failure| failure.message);
                continue;
            }
            self.broken = None;
            let observation = Arc::new(observation);
            let is_evaluated = observation.ts_ms >= self.run.since_ms
                && self.run.rule.looks_at(&observation.probe);
            // No other handle is left between evaluations.
            Arc::make_mut(&mut self.history).push(observation.clone());
            if is_evaluated {
                let retries = self.run.retries.get(&observation.probe).copied();
                let evaluation = self
                    .evaluator
                    .on_observation(&self.history, &observation, retries, self.session)
                    .await;
                self.take_evaluation(evaluation).await;
            }
        }
    }

    /// Takes the engine's ticks before a moment.
    async fn tick_until(&mut self, until_ms: UnixMillis) {
        while let Some(tick_ms) = self.next_tick_ms().filter(|tick_ms| *tick_ms < until_ms) {
            self.ticked_ms = tick_ms;
            if self.run.ticks {
                let later = Arc::new(self.history.at(tick_ms));
                let evaluation = self.evaluator.on_tick(&later, self.session).await;
                self.take_evaluation(evaluation).await;
            }
            let notice = self.evaluator.on_silence(tick_ms, self.broken.as_deref());
            if let Some(outcome) = notice.and_then(|notice| notice.outcome) {
                self.apply(&outcome);
            }
        }
    }

    /// Returns the next tick at which there is something to do.
    fn next_tick_ms(&self) -> Option<UnixMillis> {
        let next_ms = self.period.at_or_after(self.ticked_ms.saturating_add(1));
        if self.run.ticks {
            return Some(next_ms);
        }
        let due_ms = self.evaluator.silence_due_ms()?;
        Some(next_ms.max(self.period.at_or_after(due_ms)))
    }

    async fn take_evaluation(&mut self, evaluation: Evaluation) {
        self.outcome.evaluations += 1;
        if let Err(error) = &evaluation.verdict {
            self.outcome.failures += 1;
            self.outcome
                .first_failure
                .get_or_insert_with(|| error.0.clone());
        }
        if let Some(outcome) = evaluation.into_outcome() {
            self.apply(&outcome);
        }
        if self
            .outcome
            .evaluations
            .is_multiple_of(EVALUATIONS_IN_A_ROW)
        {
            tokio::task::yield_now().await;
        }
    }

    fn apply(&mut self, outcome: &Outcome) {
        let decided = self.evaluator.state().decide(outcome, &self.run.rule);
        if let Some(change) = &decided.change {
            self.note_change(change);
        }
        self.evaluator.state_mut().apply(&decided);
    }

    /// Notes a change of the alert before it is applied.
    fn note_change(&mut self, change: &Change) {
        let before = self.evaluator.state().alert.as_ref();
        let after = &change.alert;
        if after.state.is_open() {
            let was_flapping = before.is_some_and(|alert| alert.flags.flapping);
            if was_flapping != after.flags.flapping {
                self.flapping.push((after.updated_ms, after.flags.flapping));
            }
            return;
        }
        let fired = before.filter(|alert| alert.fired_ms.is_some());
        let episode = fired.and_then(Episode::of).map(|episode| Episode {
            resolved_ms: after.resolved_ms,
            ..episode
        });
        self.keep(episode);
    }

    fn keep(&mut self, episode: Option<Episode>) {
        let flapping = std::mem::take(&mut self.flapping);
        match episode {
            None => self.outcome.cleared += 1,
            Some(_) if self.outcome.episodes.len() >= MAX_EPISODES => self.outcome.omitted += 1,
            Some(episode) => self.outcome.episodes.push(Episode {
                flapping,
                ..episode
            }),
        }
    }

    fn finish(mut self) -> BacktestOutcome {
        // An alert that does not fire yet is neither an episode nor cleared.
        let open = self.evaluator.state().alert.as_ref();
        if let Some(episode) = open.and_then(Episode::of) {
            self.keep(Some(episode));
        }
        self.outcome.is_impure = self.session.is_impure();
        self.outcome
    }
}

//! What a rule would have said over stored history: the same history, the same lifecycle and the
//! same plugins as live, with the observations' own time for a clock. Writes nothing and tells
//! nobody.

mod compare;
mod report;
mod telling;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{
    Alert, AlertId, AlertRule, History, NoData, Observation, RuleMemory, UnixMillis, Verdict,
};
use futures::future::BoxFuture;

use super::history::{Reach, ServiceHistory};
use super::lifecycle::{self, Judgement};
use super::ports::PortResult;

pub use compare::{Compared, compare};
pub use report::{
    BacktestProgress, BacktestRefusal, BacktestReport, BacktestRequest, RuleChoice, ServiceBacktest,
};
pub use telling::{Played, Telling, tell};

/// Observations read at once: a few megabytes, and the next ones are read while these are judged.
const PAGE: usize = 10_000;

/// Others get their turn after so many evaluations: a millisecond or two.
const EVALUATIONS_IN_A_ROW: u64 = 64;

/// A rule that fires more often than this in one service is not worth a longer list.
const MOST_EPISODES: usize = 1_000;

/// Reads back what was observed.
pub trait ObservationPages: Send + Sync + 'static {
    /// Observations of the service behind a run and between two moments, in the order of their
    /// runs.
    fn page<'a>(
        &'a self,
        service: &'a str,
        after_run: i64,
        between: (UnixMillis, UnixMillis),
        limit: usize,
    ) -> BoxFuture<'a, PortResult<Vec<Observation>>>;

    fn count<'a>(
        &'a self,
        service: &'a str,
        between: (UnixMillis, UnixMillis),
    ) -> BoxFuture<'a, PortResult<u64>>;
}

/// Evaluates one rule for one service, again and again.
pub trait RuleRow: Send {
    fn evaluate(
        &mut self,
        history: Arc<dyn History>,
        now_ms: UnixMillis,
    ) -> BoxFuture<'_, PortResult<Verdict>>;

    /// The rule remembers what it must not, and what it says can't be relied on.
    fn is_impure(&self) -> bool;
}

/// One rule, one service, one span of time.
#[derive(Debug, Clone)]
pub struct BacktestRun {
    pub rule: Arc<AlertRule>,
    /// How much history the rule looks at.
    pub look_back: Duration,
    /// The longest interval of the service's probes.
    pub interval: Duration,
    /// How often a failed run is repeated before anybody suspects the service, by probe.
    pub retries: BTreeMap<String, u32>,
    /// How often the engine judges rules that ask for it although nothing arrived, and looks for
    /// those without data.
    pub tick: Duration,
    /// The rule asks for that.
    pub ticks: bool,
    /// How long it may be without a verdict; none: for ever.
    pub no_data_after: Option<Duration>,
    pub since_ms: UnixMillis,
    pub until_ms: UnixMillis,
}

/// An alert that would have fired, or did.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// First breach.
    pub started_ms: UnixMillis,
    pub fired_ms: UnixMillis,
    /// Null: it fires still at the end.
    pub resolved_ms: Option<UnixMillis>,
    /// The value found beside the value wanted, as it fired.
    pub summary: String,
    /// When it began and ceased to flap.
    pub flapping: Vec<(UnixMillis, bool)>,
}

impl Episode {
    /// None for an alert that never fired.
    pub fn of(alert: &Alert) -> Option<Self> {
        Some(Self {
            started_ms: alert.started_ms,
            fired_ms: alert.fired_ms?,
            resolved_ms: alert.resolved_ms,
            summary: alert.summary.clone(),
            flapping: Vec::new(),
        })
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BacktestOutcome {
    pub evaluations: u64,
    /// Evaluations that gave no verdict.
    pub failures: u64,
    /// Why the first of them did not.
    pub first_failure: Option<String>,
    /// Breaches that ended before they fired.
    pub cleared: u64,
    pub episodes: Vec<Episode>,
    /// Episodes beyond those that are kept.
    pub omitted: u64,
    pub is_impure: bool,
}

/// Plays the observations of one service to one rule. `progress` is told how many were played since
/// it was told last.
pub async fn backtest(
    run: &BacktestRun,
    pages: &dyn ObservationPages,
    row: &mut dyn RuleRow,
    progress: &(dyn Fn(u64) + Send + Sync),
) -> PortResult<BacktestOutcome> {
    let mut player = Player::new(run);
    // What was known before the first moment is looked at, and not judged.
    let between = (
        run.since_ms.saturating_sub(player.reach.kept_ms()),
        run.until_ms,
    );
    let service = run.rule.service.as_str();
    let mut page = pages.page(service, i64::MIN, between, PAGE).await?;
    while let Some(last) = page.last().map(|observation| observation.run_id) {
        let is_last = page.len() < PAGE;
        let next = async {
            match is_last {
                true => Ok(Vec::new()),
                false => pages.page(service, last, between, PAGE).await,
            }
        };
        let played = page.len() as u64;
        let ((), next) = futures::future::join(player.play(page, row), next).await;
        page = next?;
        progress(played);
    }
    player.tick_until(run.until_ms, row).await;
    Ok(player.finish(row))
}

struct Player<'a> {
    run: &'a BacktestRun,
    reach: Reach,
    history: Arc<ServiceHistory>,
    open: Option<Alert>,
    /// Of the open alert.
    flapping: Vec<(UnixMillis, bool)>,
    memory: RuleMemory,
    /// As of when the engine looked at it last although nothing arrived: it is never judged as of
    /// an earlier moment.
    ticked_ms: UnixMillis,
    /// As of when it last said `ok` or `breached`.
    judged_ms: UnixMillis,
    /// Why it says neither.
    unjudged: String,
    is_silent: bool,
    outcome: BacktestOutcome,
}

impl<'a> Player<'a> {
    fn new(run: &'a BacktestRun) -> Self {
        let reach = Reach {
            look_back: run.look_back,
            interval: run.interval,
        };
        let mut history = ServiceHistory::new(reach);
        // What was missed while the program did not run can't be told from what did not happen.
        history.watch_since(run.since_ms.saturating_sub(reach.kept_ms()));
        Self {
            run,
            reach,
            history: Arc::new(history),
            open: None,
            flapping: Vec::new(),
            memory: RuleMemory::default(),
            ticked_ms: run.since_ms.saturating_sub(1),
            judged_ms: run.since_ms,
            unjudged: String::new(),
            is_silent: false,
            outcome: BacktestOutcome::default(),
        }
    }

    async fn play(&mut self, observations: Vec<Observation>, row: &mut dyn RuleRow) {
        for observation in observations {
            if observation.is_check_broken() {
                continue;
            }
            self.tick_until(observation.ts_ms, row).await;
            let observation = Arc::new(observation);
            let is_judged = observation.ts_ms >= self.run.since_ms
                && self.run.rule.looks_at(&observation.probe);
            // Nobody else holds it between evaluations.
            Arc::make_mut(&mut self.history).push(observation.clone());
            if is_judged {
                self.judge(Some(&observation), row).await;
            }
        }
    }

    /// The moments before this one at which the engine would have looked at it although nothing
    /// arrived.
    async fn tick_until(&mut self, until_ms: UnixMillis, row: &mut dyn RuleRow) {
        while let Some(next_ms) = self.next_tick_ms().filter(|next_ms| *next_ms < until_ms) {
            self.ticked_ms = next_ms;
            if self.run.ticks {
                self.judge(None, row).await;
            }
            if lifecycle::is_without_data(self.judged_ms, self.run.no_data_after, next_ms) {
                self.notice_silence(next_ms);
            }
        }
    }

    /// Of the moments at which there is something to do.
    fn next_tick_ms(&self) -> Option<UnixMillis> {
        let period_ms = i64::try_from(self.run.tick.as_millis())
            .unwrap_or(i64::MAX)
            .max(1);
        let from = |at_ms: UnixMillis| {
            at_ms.saturating_add((period_ms - at_ms.rem_euclid(period_ms)) % period_ms)
        };
        let next_ms = from(self.ticked_ms.saturating_add(1));
        if self.run.ticks {
            return Some(next_ms);
        }
        // One that fired has nothing more to say of the silence; one that is pending has to wait
        // for its duration.
        let is_done = match self.run.rule.life.no_data {
            NoData::Keep => true,
            NoData::Ok => self.is_silent,
            NoData::Alert => {
                self.is_silent
                    && self
                        .open
                        .as_ref()
                        .is_none_or(|alert| alert.fired_ms.is_some())
            }
        };
        let after_ms = i64::try_from(self.run.no_data_after?.as_millis()).unwrap_or(i64::MAX);
        (!is_done).then(|| next_ms.max(from(self.judged_ms.saturating_add(after_ms))))
    }

    /// As an observation arrives, or none.
    async fn judge(&mut self, judged: Option<&Observation>, row: &mut dyn RuleRow) {
        let history = match self.run.ticks && self.ticked_ms > self.history.now_ms() {
            true => Arc::new(self.history.at(self.ticked_ms)),
            false => self.history.clone(),
        };
        let now_ms = history.now_ms();
        let seen: Arc<dyn History> = match &self.run.rule.probes {
            Some(probes) => Arc::new(history.of_probes(probes)),
            None => history,
        };
        self.outcome.evaluations += 1;
        let verdict = row.evaluate(seen, now_ms).await;
        if matches!(verdict, Ok(Verdict::Ok(_) | Verdict::Breached(_))) {
            self.judged_ms = self.judged_ms.max(now_ms);
            self.is_silent = false;
            self.unjudged.clear();
        }
        match verdict {
            Ok(Verdict::Breached(_))
                if self.open.is_none() && judged.is_some_and(|run| self.is_retried(run)) => {}
            Ok(verdict @ (Verdict::Ok(_) | Verdict::Breached(_))) => {
                let judged = lifecycle::judge(
                    self.open.as_ref(),
                    &self.memory,
                    &verdict,
                    &self.run.rule,
                    now_ms,
                );
                self.take_over(judged, now_ms);
            }
            Ok(Verdict::NoOpinion(reason)) => self.unjudged = reason,
            Err(error) => {
                self.outcome.failures += 1;
                self.unjudged = format!("the rule fails: {}", error.0);
                self.outcome.first_failure.get_or_insert(error.0);
            }
        }
        if self
            .outcome
            .evaluations
            .is_multiple_of(EVALUATIONS_IN_A_ROW)
        {
            tokio::task::yield_now().await;
        }
    }

    /// It could not be judged for long.
    fn notice_silence(&mut self, now_ms: UnixMillis) {
        if std::mem::replace(&mut self.is_silent, true)
            && self.run.rule.life.no_data != NoData::Alert
        {
            return;
        }
        let reason = match self.unjudged.as_str() {
            "" => "no run of its probes gave an answer",
            reason => reason,
        };
        let finding = lifecycle::no_data_finding(self.judged_ms, now_ms, reason);
        let judged = lifecycle::judge_no_data(
            self.open.as_ref(),
            &self.memory,
            finding,
            &self.run.rule,
            now_ms,
        );
        self.take_over(judged, now_ms);
    }

    /// The service has another chance before anybody suspects it.
    fn is_retried(&self, judged: &Observation) -> bool {
        self.run
            .retries
            .get(&judged.probe)
            .is_some_and(|times| self.history.is_retried(judged, *times))
    }

    fn take_over(&mut self, judged: Judgement, now_ms: UnixMillis) {
        self.memory = judged.memory;
        let Some(change) = judged.change else { return };
        let before = self.open.take();
        let mut alert = lifecycle::alert_of(&change.alert, AlertId(0));
        if alert.state.is_open() {
            if before.is_some_and(|before| before.marks.flapping) != alert.marks.flapping {
                self.flapping.push((now_ms, alert.marks.flapping));
            }
            self.open = Some(alert);
            return;
        }
        if let Some(fired) = before.filter(|alert| alert.fired_ms.is_some()) {
            // As it was when it fired.
            alert.summary = fired.summary;
        }
        self.keep(&alert);
    }

    fn keep(&mut self, alert: &Alert) {
        let flapping = std::mem::take(&mut self.flapping);
        match Episode::of(alert) {
            None => self.outcome.cleared += 1,
            Some(_) if self.outcome.episodes.len() >= MOST_EPISODES => self.outcome.omitted += 1,
            Some(episode) => self.outcome.episodes.push(Episode {
                flapping,
                ..episode
            }),
        }
    }

    fn finish(mut self, row: &dyn RuleRow) -> BacktestOutcome {
        // One that does not fire yet is neither an episode nor cleared.
        if let Some(open) = self.open.take().filter(|alert| alert.fired_ms.is_some()) {
            self.keep(&open);
        }
        self.outcome.is_impure = row.is_impure();
        self.outcome
    }
}

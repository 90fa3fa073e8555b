//! How each loaded version is doing, counted as its runs end. Lives and goes with the version: a
//! new one starts afresh.

mod labels;
mod streak;
mod tally;

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::domain::{
    BrokenRun, Failing, PluginHealth, PluginRun, StoredRun, StoredRuns, UnixMillis, is_broken,
};

pub(super) use labels::Labels;

use labels::Meters;
use streak::Streak;
use tally::Tally;

/// The last hour is counted in slots of this length, so that it can be forgotten bit by bit.
const SLOT_MS: i64 = 5 * 60 * 1_000;

/// An hour of them.
const SLOTS: usize = 12;

/// One loaded version; about 8 KB.
pub(super) struct Health(Mutex<Inner>);

struct Inner {
    since_ms: UnixMillis,
    total: Tally,
    /// Begin and figures, oldest first.
    slots: VecDeque<(UnixMillis, Tally)>,
    streak: Streak,
    last_broken: Option<BrokenRun>,
    /// Whether the last run that did the plugin's work broke.
    last_work_broke: Option<bool>,
    meters: Option<Meters>,
}

impl Health {
    pub(super) fn new(since_ms: UnixMillis) -> Self {
        Self(Mutex::new(Inner {
            since_ms,
            total: Tally::default(),
            slots: VecDeque::new(),
            streak: Streak::default(),
            last_broken: None,
            last_work_broke: None,
            meters: None,
        }))
    }

    /// True when it began or ceased to be failing with this run.
    pub(super) fn note(&self, run: &PluginRun, labels: &Labels) -> bool {
        let mut inner = self.lock();
        let meters = inner
            .meters
            .get_or_insert_with(|| Meters::new(labels.of(&run.plugin, &run.version)));
        meters.note(run);
        inner.total.add(run);
        inner.slot(run.ts_ms).add(run);
        if is_work(&run.function) {
            inner.last_work_broke = Some(run.is_broken());
        }
        inner.judge(run.ts_ms, run.is_broken(), || BrokenRun {
            ts_ms: run.ts_ms,
            function: run.function.clone().into_owned(),
            outcome: run.outcome,
            reason: run
                .error
                .clone()
                .unwrap_or_else(|| run.outcome.as_str().to_owned()),
        })
    }

    pub(super) fn shown(&self, now_ms: UnixMillis) -> PluginHealth {
        let mut inner = self.lock();
        inner.forget(now_ms);
        let mut hour = Tally::default();
        inner.slots.iter().for_each(|(_, tally)| hour.merge(tally));
        PluginHealth {
            since_ms: inner.since_ms,
            total: inner.total.figures(),
            last_hour: hour.figures(),
            recent: inner.streak.recent(),
            failing: inner.streak.failing.clone(),
            last_broken: inner.last_broken.clone(),
        }
    }

    pub(super) fn is_failing(&self) -> bool {
        self.lock().streak.failing.is_some()
    }

    /// There is proof that it works: its last run did, and it is not failing.
    pub(super) fn works(&self) -> bool {
        let inner = self.lock();
        inner.streak.failing.is_none() && inner.last_work_broke == Some(false)
    }

    /// Adds what was stored before this start, the runs oldest first. Returns whether the plugin is
    /// failing.
    pub(super) fn restore(
        &self,
        since_ms: UnixMillis,
        groups: &[StoredRuns],
        last: Vec<StoredRun>,
    ) -> bool {
        let mut inner = self.lock();
        inner.since_ms = since_ms;
        for group in groups {
            inner.total.restore(group);
            if group.slot_ms > 0 {
                inner.slot(group.slot_ms).restore(group);
            }
        }
        let now = std::mem::take(&mut inner.streak);
        let mut last_work_broke = None;
        for run in last {
            let broke = is_broken(&run.function, run.outcome, run.duration_us, run.cpu_us);
            if is_work(&run.function) {
                last_work_broke = Some(broke);
            }
            inner.judge(run.ts_ms, broke, || BrokenRun {
                ts_ms: run.ts_ms,
                reason: run.error.unwrap_or_else(|| run.outcome.as_str().to_owned()),
                function: run.function,
                outcome: run.outcome,
            });
        }
        inner.last_work_broke = inner.last_work_broke.or(last_work_broke);
        inner.streak.go_on(now);
        inner.streak.failing.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The slot of a moment. Runs end out of order, and clocks are set back: what is older than the
    /// oldest counts there.
    fn slot(&mut self, ts_ms: UnixMillis) -> &mut Tally {
        let begin_ms = ts_ms - ts_ms.rem_euclid(SLOT_MS);
        let index = match self.slots.iter().rposition(|(begin, _)| *begin <= begin_ms) {
            Some(index) if self.slots[index].0 == begin_ms => index,
            found => {
                let index = found.map_or(0, |index| index + 1);
                self.slots.insert(index, (begin_ms, Tally::default()));
                if self.slots.len() > SLOTS {
                    self.slots.pop_front();
                    index.saturating_sub(1)
                } else {
                    index
                }
            }
        };
        &mut self.slots[index].1
    }

    fn forget(&mut self, now_ms: UnixMillis) {
        self.slots
            .retain(|(begin_ms, _)| *begin_ms > now_ms - SLOT_MS * SLOTS as i64);
    }

    fn judge(&mut self, ts_ms: UnixMillis, broke: bool, run: impl FnOnce() -> BrokenRun) -> bool {
        let was_failing = self.streak.failing.is_some();
        if broke {
            self.last_broken = Some(run());
        }
        if let Some(text) = self.streak.note(broke) {
            let last = self
                .last_broken
                .as_ref()
                .map_or("", |last| last.reason.as_str());
            self.streak.failing = Some(Failing {
                since_ms: ts_ms,
                reason: format!("{text}: {last}"),
            });
        }
        was_failing != self.streak.failing.is_some()
    }
}

/// Returns true for functions that do a plugin's work, and false for checks of its settings.
pub(super) fn is_work(function: &str) -> bool {
    matches!(
        function,
        "check" | "evaluate" | "notify" | "receive" | "read"
    )
}

#[cfg(test)]
mod tests;

//! A service's history, and the part of it that has yet to be read back: it is asked for until it
//! is there, and meanwhile rules that look back further than what is known have no opinion.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::alerts::engine::EngineSettings;
use crate::alerts::engine::loads::{HistoryRequest, Loaded};
use crate::alerts::history::{
    LEAST_SAMPLES, MAX_SAMPLES, MAX_WHOLE, REORDER_MS, Reach, ServiceHistory,
};
use crate::domain::duration::format_duration;
use crate::domain::{History, Observation, PastRuns, UnixMillis};

/// One for each request of the process, so that an answer to an evaluator that was lost is not taken
/// for another's.
static TOKENS: AtomicU64 = AtomicU64::new(1);

#[derive(Default)]
pub(super) struct Recall {
    /// History that rules see.
    history: Option<Arc<ServiceHistory>>,
    missing: Option<Missing>,
}

/// Part of the history from before that is not there yet.
struct Missing {
    reach: Reach,
    /// Beginning of what is known without a gap.
    known_since_ms: UnixMillis,
    /// Runs since then, where `history` has others from before; they stand at the end of the whole
    /// history.
    fresh: Option<ServiceHistory>,
    /// Moment of the first of those runs.
    first_ms: Option<UnixMillis>,
    /// The runs among them that the results may answer with as well.
    ids: HashSet<i64>,
    /// Number of the request under way.
    token: Option<u64>,
    failures: u32,
    error: Option<String>,
    /// Moment before which observations are not evaluated, because an answer is expected.
    held_until: Option<Instant>,
}

/// Result of an answer.
pub(super) enum Recalled {
    /// The history is whole, after some failures.
    Whole {
        failures: u32,
    },
    Failed {
        failures: u32,
        error: String,
    },
    /// The answer is to a request that was given up.
    Stale,
}

impl Recall {
    pub(super) fn history(&self) -> Option<&Arc<ServiceHistory>> {
        self.history.as_ref()
    }

    pub(super) fn is_missing(&self) -> bool {
        self.missing.is_some()
    }

    /// Whether an answer failed or did not come in time.
    pub(super) fn is_overdue(&self) -> bool {
        let is_overdue = |missing: &Missing| {
            missing.failures > 0
                || missing
                    .held_until
                    .is_some_and(|until| Instant::now() >= until)
        };
        self.missing.as_ref().is_some_and(is_overdue)
    }

    pub(super) fn watch_since(&mut self, now_ms: UnixMillis) {
        if let Some(history) = &mut self.history {
            Arc::make_mut(history).watch_since(now_ms);
        }
        if let Some(fresh) = self
            .missing
            .as_mut()
            .and_then(|missing| missing.fresh.as_mut())
        {
            fresh.watch_since(now_ms);
        }
    }

    /// The clock was set back: what is known stays as long ago as it is.
    pub(super) fn set_back(&mut self, by_ms: i64, watched_since_ms: Option<UnixMillis>) {
        if let Some(missing) = &mut self.missing {
            missing.known_since_ms = missing.known_since_ms.saturating_sub(by_ms);
            missing.first_ms = missing.first_ms.map(|ms| ms.saturating_sub(by_ms));
            // What is under way asks for other moments.
            missing.token = None;
        }
        let fresh = self
            .missing
            .as_mut()
            .and_then(|missing| missing.fresh.as_mut());
        for history in self
            .history
            .as_mut()
            .map(Arc::make_mut)
            .into_iter()
            .chain(fresh)
        {
            history.set_back(by_ms);
            if let Some(since_ms) = watched_since_ms {
                history.watch_since(since_ms);
            }
        }
    }

    /// Sets how far the rules look back now. `now_ms`: beginning of what is known, where nothing is
    /// known yet.
    pub(super) fn set_reach(
        &mut self,
        reach: Reach,
        watched_since_ms: Option<UnixMillis>,
        now_ms: UnixMillis,
    ) {
        let Some(history) = &mut self.history else {
            let mut history = ServiceHistory::new(reach);
            if let Some(since_ms) = watched_since_ms {
                history.watch_since(since_ms);
            }
            self.history = Some(Arc::new(history));
            self.missing = Some(Missing::new(reach, now_ms, None));
            return;
        };
        let before = history.reach();
        if before != reach {
            Arc::make_mut(history).set_reach(reach);
        }
        match &mut self.missing {
            Some(missing) if missing.reach != reach => {
                missing.reach = reach;
                // What is under way may not reach far enough.
                missing.token = None;
            }
            None if before.kept_ms() < reach.kept_ms() => {
                let look_back_ms = i64::try_from(before.look_back.as_millis()).unwrap_or(i64::MAX);
                let known_since_ms = history.now_ms().saturating_sub(look_back_ms);
                let mut fresh = ServiceHistory::new(reach);
                if let Some(since_ms) = watched_since_ms {
                    fresh.watch_since(since_ms);
                }
                let mut missing = Missing::new(reach, known_since_ms, Some(fresh));
                // The last ones may not have reached the results yet.
                history
                    .samples(MAX_WHOLE)
                    .into_iter()
                    .for_each(|run| missing.push(&run));
                self.missing = Some(missing);
            }
            _ => {}
        }
    }

    pub(super) fn push(&mut self, observation: &Arc<Observation>) {
        let Some(history) = &mut self.history else {
            return;
        };
        Arc::make_mut(history).push(Arc::clone(observation));
        if let Some(missing) = &mut self.missing {
            missing.push(observation);
        }
    }

    /// Whether everything is there that a rule looks at which looks back so far.
    pub(super) fn reaches(&self, look_back: Duration, now_ms: UnixMillis) -> bool {
        let look_back_ms = i64::try_from(look_back.as_millis()).unwrap_or(i64::MAX);
        let is_known =
            |missing: &Missing| now_ms.saturating_sub(look_back_ms) >= missing.known_since_ms;
        look_back.is_zero() || self.missing.as_ref().is_none_or(is_known)
    }

    /// Returns for people why a rule has no opinion.
    pub(super) fn why(&self, look_back: Duration) -> String {
        let looks_back = if look_back.is_zero() {
            "it counts runs".to_owned()
        } else {
            format!("it looks back {}", format_duration(look_back))
        };
        match self
            .missing
            .as_ref()
            .and_then(|missing| missing.error.as_ref())
        {
            Some(error) => {
                format!("{looks_back}, and the history can't be read: {error}; it is tried again")
            }
            None => format!("{looks_back}, and the history is still being read"),
        }
    }

    /// Observations are worth to wait this long, because an answer is expected soon.
    pub(super) fn held_until(&self) -> Option<Instant> {
        self.missing.as_ref()?.held_until
    }

    /// False once that has been over.
    pub(super) fn hold(&mut self, patience: Duration) -> bool {
        let Some(missing) = self
            .missing
            .as_mut()
            .filter(|missing| missing.failures == 0)
        else {
            return false;
        };
        Instant::now()
            < *missing
                .held_until
                .get_or_insert_with(|| Instant::now() + patience)
    }

    /// Returns the request to be made now, and how long it has to wait before. None while an answer
    /// is awaited.
    pub(super) fn request(
        &mut self,
        service: &str,
        settings: &EngineSettings,
        now_ms: UnixMillis,
    ) -> Option<(HistoryRequest, Duration)> {
        let missing = self
            .missing
            .as_mut()
            .filter(|missing| missing.token.is_none())?;
        let token = TOKENS.fetch_add(1, Ordering::Relaxed);
        missing.token = Some(token);
        let as_of_ms = missing.first_ms.unwrap_or(now_ms);
        let request = HistoryRequest {
            service: service.to_owned(),
            token,
            as_of_ms,
            failures: missing.failures,
            since_ms: as_of_ms.saturating_sub(kept_ms(missing.reach)),
            until_ms: missing.first_ms.map_or(UnixMillis::MAX, |first_ms| {
                first_ms.saturating_add(REORDER_MS)
            }),
            reach: missing.reach,
        };
        let wait = match missing.failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(before) => {
                let longest = settings
                    .history_first_retry
                    .saturating_mul(1 << before.min(16));
                // A quarter off by chance: services that failed together do not come back together.
                longest
                    .min(settings.history_longest_retry)
                    .mul_f64(1.0 - 0.25 * rand::random::<f64>())
            }
        };
        Some((request, wait))
    }

    /// `later`: runs that are not in the history yet.
    pub(super) fn take_in(&mut self, loaded: Loaded, later: &HashSet<i64>) -> Recalled {
        let Some(missing) = self
            .missing
            .as_mut()
            .filter(|missing| missing.token == Some(loaded.token))
        else {
            return Recalled::Stale;
        };
        missing.token = None;
        missing.held_until = None;
        let past = match loaded.past {
            Ok(past) => past,
            Err(error) => {
                missing.failures = missing.failures.saturating_add(1);
                missing.error = Some(error.to_string());
                return Recalled::Failed {
                    failures: missing.failures,
                    error: error.to_string(),
                };
            }
        };
        let failures = missing.failures;
        if let Some(missing) = self.missing.take() {
            let live = missing.fresh.as_ref().or(self.history.as_deref());
            self.history = Some(Arc::new(whole(&missing, past, later, live)));
        }
        Recalled::Whole { failures }
    }
}

/// Returns how far back runs are read: as far as the rules look back, and as far as runs in a row
/// are counted.
fn kept_ms(reach: Reach) -> i64 {
    let in_a_row = reach.interval.saturating_mul(LEAST_SAMPLES as u32);
    reach
        .kept_ms()
        .max(i64::try_from(in_a_row.as_millis()).unwrap_or(i64::MAX))
}

/// Each run once: what was read, then what has happened since.
fn whole(
    missing: &Missing,
    past: PastRuns,
    later: &HashSet<i64>,
    live: Option<&ServiceHistory>,
) -> ServiceHistory {
    let mut history = ServiceHistory::new(missing.reach);
    history.take_in(past, |run_id| {
        missing.ids.contains(&run_id) || later.contains(&run_id)
    });
    if let Some(live) = live {
        history.append(live);
    }
    history
}

impl Missing {
    fn new(reach: Reach, known_since_ms: UnixMillis, fresh: Option<ServiceHistory>) -> Self {
        Self {
            reach,
            known_since_ms,
            fresh,
            first_ms: None,
            ids: HashSet::new(),
            token: None,
            failures: 0,
            error: None,
            held_until: None,
        }
    }

    fn push(&mut self, run: &Arc<Observation>) {
        if let Some(fresh) = &mut self.fresh {
            fresh.push(Arc::clone(run));
        }
        let first_ms = *self.first_ms.get_or_insert(run.ts_ms);
        // Runs that began later are never asked for.
        if run.ts_ms < first_ms.saturating_add(REORDER_MS) && self.ids.len() < MAX_SAMPLES {
            self.ids.insert(run.run_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::fakes::{EPOCH_MS, observation};
    use crate::alerts::ports::PortError;
    use crate::domain::Status;

    fn run(run_id: i64) -> Observation {
        Observation {
            run_id,
            ..observation("shop-api", EPOCH_MS + run_id * 10_000, Status::Healthy)
        }
    }

    fn reach(minutes: u64) -> Reach {
        Reach {
            look_back: Duration::from_secs(60 * minutes),
            interval: Duration::from_secs(10),
        }
    }

    fn ids(recall: &Recall) -> Vec<i64> {
        let runs = recall.history().unwrap().samples(MAX_WHOLE);
        runs.iter().map(|run| run.run_id).collect()
    }

    fn request(recall: &mut Recall) -> Option<(HistoryRequest, Duration)> {
        recall.request("shop-api", &EngineSettings::default(), EPOCH_MS)
    }

    fn answer(token: u64, runs: impl Iterator<Item = i64>) -> Loaded {
        Loaded {
            token,
            past: Ok(PastRuns::of(runs.map(run).collect())),
        }
    }

    #[test]
    fn each_run_is_in_the_history_once_and_in_its_order() {
        let mut recall = Recall::default();
        recall.set_reach(reach(10), None, EPOCH_MS + 200_000);
        (20..25).for_each(|n| recall.push(&Arc::new(run(n))));
        let (asked, wait) = request(&mut recall).unwrap();
        assert_eq!(
            (asked.since_ms, wait),
            (run(20).ts_ms - 640_000, Duration::ZERO)
        );
        assert!(request(&mut recall).is_none(), "one question at a time");
        (25..30).for_each(|n| recall.push(&Arc::new(run(n))));
        assert!(!recall.reaches(Duration::from_secs(300), run(29).ts_ms));
        assert!(
            recall.reaches(Duration::from_secs(60), run(29).ts_ms)
                && recall.reaches(Duration::ZERO, 0)
        );
        // The answer has runs that are here, and one whose turn has yet to come.
        let later = HashSet::from([30]);
        assert!(matches!(
            recall.take_in(answer(asked.token, 0..=30), &later),
            Recalled::Whole { failures: 0 }
        ));
        recall.push(&Arc::new(run(30)));
        assert_eq!(ids(&recall), (0..=30).collect::<Vec<i64>>());
        assert!(!recall.is_missing() && request(&mut recall).is_none());
    }

    #[test]
    fn a_longer_look_back_keeps_what_is_there_until_the_rest_comes() {
        let mut recall = Recall::default();
        recall.set_reach(reach(1), None, EPOCH_MS);
        let (asked, _) = request(&mut recall).unwrap();
        recall.take_in(answer(asked.token, 0..0), &HashSet::new());
        (0..100).for_each(|n| recall.push(&Arc::new(run(n))));
        recall.set_reach(reach(10), None, EPOCH_MS);
        let now_ms = run(99).ts_ms;
        assert!(
            recall.reaches(Duration::from_secs(60), now_ms)
                && !recall.reaches(Duration::from_secs(600), now_ms)
        );
        let (asked, _) = request(&mut recall).unwrap();
        recall.push(&Arc::new(run(100)));
        recall.take_in(answer(asked.token, 0..=99), &HashSet::new());
        let all = recall
            .history()
            .unwrap()
            .summary(Duration::from_secs(600))
            .count;
        assert_eq!(all, 60, "ten minutes of them");
    }

    #[test]
    fn failures_wait_longer_each_time_and_an_answer_to_an_old_question_is_none() {
        let mut recall = Recall::default();
        recall.set_reach(reach(10), None, EPOCH_MS);
        let mut waits = Vec::new();
        for failures in 1..=12 {
            let (asked, wait) = request(&mut recall).unwrap();
            waits.push(wait);
            let failed = Loaded {
                token: asked.token,
                past: Err(PortError("busy".to_owned())),
            };
            assert!(
                matches!(recall.take_in(failed, &HashSet::new()), Recalled::Failed { failures: found, .. } if found == failures)
            );
        }
        let longest = EngineSettings::default().history_longest_retry;
        assert!(waits[1] < waits[3] && waits[3] < waits[6], "{waits:?}");
        assert!(
            waits[11] <= longest && waits[11] >= longest.mul_f64(0.75),
            "{waits:?}"
        );
        assert!(recall.is_overdue() && recall.why(Duration::from_secs(600)).contains("busy"));
        let (asked, _) = request(&mut recall).unwrap();
        recall.set_reach(reach(20), None, EPOCH_MS);
        assert!(matches!(
            recall.take_in(answer(asked.token, 0..9), &HashSet::new()),
            Recalled::Stale
        ));
        let (asked, _) = request(&mut recall).unwrap();
        assert!(matches!(
            recall.take_in(answer(asked.token, 0..9), &HashSet::new()),
            Recalled::Whole { failures: 12 }
        ));
    }
}

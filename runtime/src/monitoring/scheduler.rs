//! The loop over the schedule: starts what is due, counts what can't be started, and follows the
//! clock and the catalog.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::clock::WallClock;
use super::in_flight::PERIOD;
use super::missed::{Gap, Reason};
use super::pulse::Pulse;
use super::runner::Monitoring;
use super::schedule::{Due, Schedule};
use super::shared::Shared;
use crate::domain::{Catalog, LOCAL, Observation, Probe, ProbeKey, Service, UnixMillis};

/// The loop over the schedule.
pub struct Scheduler {
    shared: Arc<Shared>,
    /// How long runs may take to end after the stop.
    pub grace: Duration,
}

impl Monitoring {
    pub fn scheduler(&self, grace: Duration) -> Scheduler {
        Scheduler {
            shared: self.shared.clone(),
            grace,
        }
    }
}

/// A run under way, and the moments of its probe that came meanwhile.
#[derive(Debug, Default)]
struct UnderWay {
    overlapped: Option<Gap>,
}

/// State of the loop; each map is bounded by the number of probes.
struct State {
    clock: WallClock,
    schedule: Schedule,
    under_way: HashMap<ProbeKey, UnderWay>,
    /// Moments that a run overlapped; the next run of the probe takes them along.
    overlapped: HashMap<ProbeKey, Gap>,
    /// Failed runs in a row.
    streaks: HashMap<ProbeKey, u32>,
}

impl Scheduler {
    /// Runs until the shutdown; then no new run starts, and those under way end or meet the grace
    /// period.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut catalog_changes = self.shared.catalog.clone();
        let mut catalog = catalog_changes.borrow_and_update().clone();
        let mut state = State::new();
        state.apply_catalog(&catalog);
        self.shared.pulse.beat();
        let mut runs: JoinSet<RunEnd> = JoinSet::new();
        let mut adapt_at = Instant::now() + PERIOD;
        loop {
            self.follow_clock(&mut state);
            let now = Instant::now();
            if now >= adapt_at {
                self.shared.in_flight.adapt(now - adapt_at);
                adapt_at = now + PERIOD;
            }
            while let Some(due) = state.schedule.pop(now) {
                self.start(&catalog, due, &mut runs, &mut state);
            }
            // The clocks are compared and the limit is looked at, also while nothing is due.
            let next = state
                .schedule
                .next_due()
                .map_or(adapt_at, |at| at.min(adapt_at));
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep_until(next) => {}
                Some(ended) = runs.join_next() => state.end(ended, &catalog, &self.shared.pulse),
                changed = catalog_changes.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let before = catalog;
                    catalog = catalog_changes.borrow_and_update().clone();
                    state.apply_catalog(&catalog);
                    if probes(&before).next().is_none() || before.paused != catalog.paused {
                        self.shared.pulse.beat();
                    }
                    self.shared.apply_catalog(&catalog);
                }
            }
            while let Some(ended) = runs.try_join_next() {
                state.end(ended, &catalog, &self.shared.pulse);
            }
        }
        let ended = tokio::time::timeout(self.grace, async {
            while runs.join_next().await.is_some() {}
        })
        .await;
        if ended.is_err() {
            tracing::warn!(
                runs = runs.len(),
                "runs were still under way at the end of the grace period and are cut off"
            );
        }
    }

    fn follow_clock(&self, state: &mut State) {
        let Some(jump_ms) = state.clock.follow(WallClock::read()) else {
            return;
        };
        self.shared.jumps.add(jump_ms);
        let length = Duration::from_millis(jump_ms.unsigned_abs());
        let (direction, what) = if jump_ms < 0 {
            ("back", "was set back")
        } else {
            (
                "ahead",
                "jumped ahead: the machine was suspended, or the clock was set",
            )
        };
        metrics::counter!("extrack_clock_jumps_total", "direction" => direction).increment(1);
        tracing::warn!(
            jump_ms,
            "the wall clock {what}; checks go on in their rhythm"
        );
        if jump_ms > 0 {
            state.schedule.sleep(length);
        }
    }

    fn start(&self, catalog: &Catalog, due: Due, runs: &mut JoinSet<RunEnd>, state: &mut State) {
        let Some(service) = catalog.services.get(&due.key.service).cloned() else {
            return;
        };
        let Some(probe) = service
            .probes
            .iter()
            .find(|probe| probe.name == due.key.probe)
            .cloned()
        else {
            return;
        };
        let ts_ms = state.clock.stamp(due.at);
        if let Some(pause) = catalog.paused.get(&due.key.service) {
            state.overlapped.remove(&due.key);
            self.shared.note_paused(&service, &probe, pause, ts_ms);
            return;
        }
        let moments_before = |count: u64| {
            let interval_ms = i64::try_from(due.interval.as_millis()).unwrap_or(i64::MAX);
            ts_ms.saturating_sub(
                interval_ms.saturating_mul(i64::try_from(count).unwrap_or(i64::MAX)),
            )
        };
        let passed = due.late.saturating_add(due.asleep);
        // No task for a moment that can't be used: there may be many of them before the run ends.
        if let Some(under_way) = state.under_way.get_mut(&due.key) {
            let first = Gap {
                reason: Reason::Overlap,
                runs: 0,
                since_ms: moments_before(passed),
            };
            let gap = under_way.overlapped.get_or_insert(first);
            gap.runs = gap.runs.saturating_add(passed).saturating_add(1);
            return;
        }
        let late = Gap {
            reason: Reason::Late,
            runs: due.late,
            since_ms: moments_before(due.late),
        };
        let asleep = Gap {
            reason: Reason::Asleep,
            runs: due.asleep,
            since_ms: moments_before(passed),
        };
        let overlapped = state.overlapped.remove(&due.key);
        let gaps = overlapped.into_iter().chain([asleep, late]);
        let rows = self.show_gaps(&service, &probe, gaps);
        metrics::histogram!("extrack_probe_start_lag_seconds")
            .record(due.at.elapsed().as_secs_f64());
        state.under_way.insert(due.key.clone(), UnderWay::default());
        let shared = self.shared.clone();
        runs.spawn(async move { shared.run_due(&service, &probe, ts_ms, due.key, rows).await });
    }

    /// Shows runs that did not take place in the status cache at once. Returns their rows for the
    /// recorder, which gets them after the run, because that must not wait.
    fn show_gaps(
        &self,
        service: &Service,
        probe: &Probe,
        gaps: impl Iterator<Item = Gap>,
    ) -> Vec<Arc<Observation>> {
        gaps.filter(|gap| gap.runs > 0)
            .map(|gap| {
                let (missed, reason) = (gap.runs, gap.reason);
                if reason != Reason::Overlap {
                    let (service, probe) = (service.slug.as_str(), probe.name.as_str());
                    tracing::warn!(service, probe, missed, ?reason, "runs were missed");
                }
                self.shared.show_gap(service, probe, gap)
            })
            .collect()
    }
}

impl Shared {
    /// Runs a probe that is due, and records the runs before it that were missed.
    async fn run_due(
        &self,
        service: &Arc<Service>,
        probe: &Probe,
        ts_ms: UnixMillis,
        key: ProbeKey,
        missed: Vec<Arc<Observation>>,
    ) -> RunEnd {
        let ran = self.run(service, probe, ts_ms).await;
        let has_run = ran.is_some();
        let observation = ran.unwrap_or_else(|| {
            let gap = Gap {
                reason: Reason::NoSlot,
                runs: 1,
                since_ms: ts_ms,
            };
            gap.observation(service, probe, self.host.next_run_id())
        });
        let has_failed =
            (!observation.is_check_broken()).then(|| !observation.status.is_available());
        self.publish(observation).await;
        for row in missed {
            self.record(row);
        }
        RunEnd {
            key,
            has_run,
            has_failed,
        }
    }
}

/// End of a run.
struct RunEnd {
    key: ProbeKey,
    /// The run got a slot.
    has_run: bool,
    /// Whether the service failed; none: the run is no news of it.
    has_failed: Option<bool>,
}

impl State {
    fn new() -> Self {
        Self {
            clock: WallClock::read(),
            schedule: Schedule::default(),
            under_way: HashMap::new(),
            overlapped: HashMap::new(),
            streaks: HashMap::new(),
        }
    }

    fn apply_catalog(&mut self, catalog: &Catalog) {
        let now = Instant::now();
        self.schedule
            .replace(probes(catalog), now, self.clock.stamp(now));
        self.streaks
            .retain(|key, _| probe_of(catalog, key).is_some());
        self.overlapped
            .retain(|key, _| probe_of(catalog, key).is_some());
    }

    fn end(
        &mut self,
        ended: Result<RunEnd, tokio::task::JoinError>,
        catalog: &Catalog,
        pulse: &Pulse,
    ) {
        let end = match ended {
            Ok(end) => end,
            // Which one it was is not known any more: all may start again.
            Err(error) => {
                tracing::error!(%error, "a run ended by a panic in the program itself");
                self.under_way.clear();
                return;
            }
        };
        if end.has_run {
            pulse.beat();
        }
        let overlapped = self
            .under_way
            .remove(&end.key)
            .and_then(|under_way| under_way.overlapped);
        if let Some(gap) = overlapped.filter(|_| probe_of(catalog, &end.key).is_some()) {
            self.overlapped.insert(end.key.clone(), gap);
        }
        self.retry(end, catalog);
    }

    /// A run that failed is repeated, up to the probe's retries in a row.
    fn retry(&mut self, end: RunEnd, catalog: &Catalog) {
        let RunEnd {
            key,
            has_failed: Some(has_failed),
            ..
        } = end
        else {
            return;
        };
        let Some(retry) = probe_of(catalog, &key).and_then(|probe| probe.retry) else {
            return;
        };
        if !has_failed {
            self.streaks.remove(&key);
            return;
        }
        let failed = self.streaks.entry(key.clone()).or_default();
        *failed = failed.saturating_add(1);
        if *failed <= retry.times {
            metrics::counter!("extrack_probe_retries_total").increment(1);
            self.schedule.retry(&key, Instant::now() + retry.every);
        }
    }
}

fn probe_of<'a>(catalog: &'a Catalog, key: &ProbeKey) -> Option<&'a Probe> {
    catalog
        .services
        .get(&key.service)?
        .probes
        .iter()
        .find(|probe| probe.name == key.probe)
}

fn probes(catalog: &Catalog) -> impl Iterator<Item = (ProbeKey, Duration)> + '_ {
    catalog.services.values().flat_map(move |service| {
        let is_run = move |probe: &&Probe| !catalog.is_heartbeat(&service.slug, &probe.name);
        service.probes.iter().filter(is_run).map(|probe| {
            (
                ProbeKey {
                    service: service.slug.clone(),
                    probe: probe.name.clone(),
                    location: LOCAL.to_owned(),
                },
                probe.interval,
            )
        })
    })
}

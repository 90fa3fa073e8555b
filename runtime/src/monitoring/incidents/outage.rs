//! The outages of one service: pure, over its runs. An incident begins with the first run of a probe
//! that failed once its retries are used up, and ends with the first good run of the last probe to
//! recover. It is over once the service has been available for some runs; if it fails again within
//! [`REOPENS`] it goes on, and needs twice as many good runs from then on. So a service that comes
//! and goes has one incident, and few changes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::{
    Exclusion, Failure, IncidentFacts, IncidentKind, IncidentOutcome, IncidentSource, Observation,
    UnixMillis, WEBHOOK,
};

/// An incident that ended less long ago goes on when the service fails again. Also the longest time
/// of good runs that an end takes.
const REOPENS: Duration = Duration::from_secs(300);

/// Good runs in a row that end an incident which was not reopened.
const CALM_RUNS: u32 = 2;

/// Facts about a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProbeTraits {
    /// Times that a run which failed is repeated.
    pub(super) retries: u32,
    pub(super) interval: Duration,
}

impl ProbeTraits {
    /// Good runs in a row after which the probe has recovered.
    fn calm_runs(&self, reopened: u32) -> u32 {
        let wanted = CALM_RUNS.saturating_mul(1 << reopened.min(16));
        let interval_ms = self.interval.as_millis().max(1);
        let most = REOPENS.as_millis().div_ceil(interval_ms);
        wanted.min(u32::try_from(most).unwrap_or(u32::MAX)).max(1)
    }
}

/// A run that is evidence about the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a> {
    service: &'a str,
    probe: &'a str,
    ts_ms: UnixMillis,
    is_available: bool,
    status: &'static str,
    failure: Option<&'a Failure>,
}

impl<'a> Run<'a> {
    /// Returns none for a run that is no evidence: it did not take place, its check broke, it failed
    /// while the service is worked on, the service was paused, or it is the service's own report.
    pub(super) fn of(observation: &'a Observation) -> Option<Self> {
        let is_available = observation.status.is_available();
        let is_expected = match observation.excluded {
            None => false,
            Some(Exclusion::Maintenance) => !is_available,
            Some(Exclusion::Paused) => true,
        };
        let is_report = observation.location == WEBHOOK;
        let is_evidence = !is_report && !is_expected && !observation.is_check_broken();
        is_evidence.then(|| Self {
            service: &observation.service,
            probe: &observation.probe,
            ts_ms: observation.ts_ms,
            is_available,
            status: observation.status.as_str(),
            failure: observation.failure.as_ref(),
        })
    }
}

/// A probe whose last runs failed, or that has not recovered for long enough.
#[derive(Debug)]
struct Failing {
    since_ms: UnixMillis,
    runs: u32,
    /// Good ones in a row.
    good: u32,
    good_since_ms: UnixMillis,
    error_kind: Option<String>,
    cause: String,
}

impl Failing {
    fn begin(run: &Run<'_>) -> Self {
        let cause = match run.failure {
            Some(failure) => failure.message.clone(),
            None => format!("the check `{}` found it {}", run.probe, run.status),
        };
        Self {
            since_ms: run.ts_ms,
            runs: 0,
            good: 0,
            good_since_ms: run.ts_ms,
            error_kind: run.failure.map(|failure| failure.kind.as_str().to_owned()),
            cause,
        }
    }

    fn note(&mut self, run: &Run<'_>) {
        match (run.is_available, self.good) {
            (false, _) => {
                self.runs = self.runs.saturating_add(1);
                self.good = 0;
            }
            (true, 0) => (self.good, self.good_since_ms) = (1, run.ts_ms),
            (true, good) => self.good = good.saturating_add(1),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Outages {
    probes: BTreeMap<String, ProbeTraits>,
    failing: BTreeMap<String, Failing>,
    /// The last one, open or not.
    last: Option<IncidentFacts>,
}

impl Outages {
    pub(super) fn adopt(&mut self, facts: IncidentFacts) {
        self.last = Some(facts);
    }

    /// Moment of the run that led to the last decision.
    pub(super) fn decided_ms(&self) -> Option<UnixMillis> {
        self.last.as_ref().map(|last| last.decided_ms)
    }

    pub(super) fn open_since_ms(&self) -> Option<UnixMillis> {
        self.open().map(|open| open.started_ms)
    }

    fn open(&self) -> Option<&IncidentFacts> {
        self.last.as_ref().filter(|last| last.ended_ms.is_none())
    }

    /// Takes over the probes. What failed and is gone is not waited for.
    pub(super) fn apply(
        &mut self,
        probes: BTreeMap<String, ProbeTraits>,
        now_ms: UnixMillis,
    ) -> Option<IncidentFacts> {
        self.probes = probes;
        let had_failing = !self.failing.is_empty();
        self.failing
            .retain(|probe, _| self.probes.contains_key(probe));
        // Nothing was replayed yet: then its first probe is what is known.
        let first = self.open()?.probe.as_ref();
        let is_first_gone = first.is_none_or(|probe| !self.probes.contains_key(probe));
        let is_gone = self.failing.is_empty() && (had_failing || is_first_gone);
        if is_gone {
            return self.end(now_ms, now_ms, IncidentOutcome::Removed);
        }
        None
    }

    /// Ends the incident of a service that is no longer watched.
    pub(super) fn remove(&mut self, now_ms: UnixMillis) -> Option<IncidentFacts> {
        self.failing.clear();
        self.open()?;
        self.end(now_ms, now_ms, IncidentOutcome::Removed)
    }

    /// Recalls a run of the incident that is open, which was decided on before the start.
    pub(super) fn recall(&mut self, run: &Run<'_>) {
        if !self.probes.contains_key(run.probe) {
            return;
        }
        if run.is_available && !self.failing.contains_key(run.probe) {
            return;
        }
        let failing = self.failing.entry(run.probe.to_owned());
        failing.or_insert_with(|| Failing::begin(run)).note(run);
    }

    /// Takes in a run, and returns the incident if it changes.
    pub(super) fn note(&mut self, run: &Run<'_>) -> Option<IncidentFacts> {
        let traits = *self.probes.get(run.probe)?;
        let is_open = self.open().is_some();
        if run.is_available {
            if !is_open {
                self.failing.remove(run.probe);
                return None;
            }
            self.await_first(run);
            self.failing.get_mut(run.probe)?.note(run);
            return self
                .calm_since_ms()
                .and_then(|ended_ms| self.end(ended_ms, run.ts_ms, IncidentOutcome::Recovered));
        }
        let failing = self.failing.entry(run.probe.to_owned());
        let failing = failing.or_insert_with(|| Failing::begin(run));
        failing.note(run);
        if is_open {
            let last = self.last.as_mut()?;
            last.runs = last.runs.saturating_add(1);
            return None;
        }
        let is_confirmed = failing.runs > traits.retries;
        is_confirmed.then(|| self.begin(run)).flatten()
    }

    /// Expects the probe that failed first to recover: after a start without the runs of before it is
    /// all that is known.
    fn await_first(&mut self, run: &Run<'_>) {
        let open = self.last.as_ref().filter(|last| last.ended_ms.is_none());
        let is_first = open.is_some_and(|open| open.probe.as_deref() == Some(run.probe));
        if self.failing.is_empty() && is_first {
            self.failing
                .insert(run.probe.to_owned(), Failing::begin(run));
        }
    }

    /// Moment since which all probes are good; none while one has to prove it.
    fn calm_since_ms(&self) -> Option<UnixMillis> {
        let reopened = self.last.as_ref().map_or(0, |last| last.reopened);
        let is_calm = self.failing.iter().all(|(probe, failing)| {
            let traits = self.probes.get(probe);
            traits.is_none_or(|traits| failing.good >= traits.calm_runs(reopened))
        });
        let since = self.failing.values().map(|failing| failing.good_since_ms);
        since.max().filter(|_| is_calm)
    }

    /// Begins an incident with what this probe found, or goes on with the last one.
    fn begin(&mut self, run: &Run<'_>) -> Option<IncidentFacts> {
        let failing = self.failing.get(run.probe)?;
        let reopens_ms = REOPENS.as_millis() as i64;
        let last = self.last.take().filter(|last| {
            let since_end = |ended_ms| failing.since_ms.saturating_sub(ended_ms) <= reopens_ms;
            last.outcome == Some(IncidentOutcome::Recovered) && last.ended_ms.is_some_and(since_end)
        });
        let facts = match last {
            Some(last) => IncidentFacts {
                ended_ms: None,
                outcome: None,
                runs: last.runs.saturating_add(failing.runs.into()),
                reopened: last.reopened.saturating_add(1),
                decided_ms: run.ts_ms,
                ..last
            },
            None => IncidentFacts {
                service: run.service.to_owned(),
                source: IncidentSource::Ours,
                reference: failing.since_ms.to_string(),
                kind: IncidentKind::Outage,
                cause: failing.cause.clone(),
                error_kind: failing.error_kind.clone(),
                probe: Some(run.probe.to_owned()),
                started_ms: failing.since_ms,
                ended_ms: None,
                outcome: None,
                runs: failing.runs.into(),
                reopened: 0,
                decided_ms: run.ts_ms,
            },
        };
        self.last = Some(facts.clone());
        Some(facts)
    }

    fn end(
        &mut self,
        ended_ms: UnixMillis,
        decided_ms: UnixMillis,
        outcome: IncidentOutcome,
    ) -> Option<IncidentFacts> {
        self.failing.clear();
        let last = self.last.as_mut()?;
        // A clock that was set back ends nothing before it began.
        last.ended_ms = Some(ended_ms.max(last.started_ms));
        last.outcome = Some(outcome);
        last.decided_ms = decided_ms;
        Some(last.clone())
    }
}

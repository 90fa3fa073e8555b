//! Sums over runs, with a histogram of their durations.

use crate::domain::{
    DURATION_BUCKETS, DurationQuantiles, PluginRun, RunFigures, RunOutcome, StoredRuns,
    bucket_middle_us, duration_bucket,
};

#[derive(Debug, Clone)]
pub(super) struct Tally {
    /// All but the duration.
    figures: RunFigures,
    durations: Box<[u32; DURATION_BUCKETS]>,
    max_us: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            figures: RunFigures::default(),
            durations: Box::new([0; DURATION_BUCKETS]),
            max_us: 0,
        }
    }
}

impl Tally {
    pub(super) fn add(&mut self, run: &PluginRun) {
        self.restore(&StoredRuns {
            slot_ms: 0,
            outcome: run.outcome,
            bucket: duration_bucket(run.duration_us),
            runs: 1,
            denials: run.denials.into(),
            cpu_us: run.cpu_us,
            memory_bytes: run.memory_bytes,
            max_duration_us: run.duration_us,
        });
    }

    pub(super) fn restore(&mut self, group: &StoredRuns) {
        let figures = &mut self.figures;
        figures.runs += group.runs;
        *match group.outcome {
            RunOutcome::Ok => &mut figures.ok,
            RunOutcome::Error => &mut figures.errors,
            RunOutcome::Trap => &mut figures.traps,
            RunOutcome::Timeout => &mut figures.timeouts,
            RunOutcome::Limit => &mut figures.limits,
        } += group.runs;
        figures.denials += group.denials;
        figures.cpu_us += group.cpu_us;
        figures.memory_bytes = figures.memory_bytes.max(group.memory_bytes);
        let bucket = &mut self.durations[group.bucket.min(DURATION_BUCKETS - 1)];
        *bucket = bucket.saturating_add(u32::try_from(group.runs).unwrap_or(u32::MAX));
        self.max_us = self.max_us.max(group.max_duration_us);
    }

    pub(super) fn merge(&mut self, other: &Tally) {
        let (mine, theirs) = (&mut self.figures, &other.figures);
        mine.runs += theirs.runs;
        mine.ok += theirs.ok;
        mine.errors += theirs.errors;
        mine.traps += theirs.traps;
        mine.timeouts += theirs.timeouts;
        mine.limits += theirs.limits;
        mine.denials += theirs.denials;
        mine.cpu_us += theirs.cpu_us;
        mine.memory_bytes = mine.memory_bytes.max(theirs.memory_bytes);
        for (mine, theirs) in self.durations.iter_mut().zip(other.durations.iter()) {
            *mine = mine.saturating_add(*theirs);
        }
        self.max_us = self.max_us.max(other.max_us);
    }

    pub(super) fn figures(&self) -> RunFigures {
        let duration = (self.figures.runs > 0).then(|| DurationQuantiles {
            p50_us: self.quantile(0.5),
            p95_us: self.quantile(0.95),
            p99_us: self.quantile(0.99),
            max_us: self.max_us,
        });
        RunFigures {
            duration,
            ..self.figures.clone()
        }
    }

    /// Returns a quantile by nearest rank, as the middle of the bucket it falls into.
    fn quantile(&self, quantile: f64) -> u64 {
        let counted: u64 = self.durations.iter().map(|count| u64::from(*count)).sum();
        let rank = ((counted as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.durations.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return bucket_middle_us(bucket).min(self.max_us);
            }
        }
        self.max_us
    }
}

//! Compiles the lifecycle keys of an alert.

use std::time::Duration;

use super::Compiler;
use crate::domain::fault::child;
use crate::domain::{AlertOptions, Failures, FlappingThresholds, Retry};
use crate::spec::{DurationSpec, FailuresSpec, FlappingSpec, LifecycleSpec};

/// More makes a probe of its own.
const MAX_RETRIES: u32 = 10;

/// Time between a failed run and its repetition, where the interval is not shorter.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl Compiler<'_> {
    /// The duration of a rule under either of its names, and the other options.
    pub(super) fn options(
        &mut self,
        spec: &LifecycleSpec,
        duration: Option<&DurationSpec>,
        at: &str,
    ) -> (Duration, AlertOptions) {
        let long = self.duration(duration, 1_000, &child(at, "duration"));
        let short = self.duration(spec.duration_for.as_ref(), 1_000, &child(at, "for"));
        if duration.is_some() && spec.duration_for.is_some() {
            self.report.fault(
                child(at, "for"),
                "is another word for `duration`, which is given too; remove one",
            );
        }
        let keep = self.duration(
            spec.keep_firing_for.as_ref(),
            1_000,
            &child(at, "keepFiringFor"),
        );
        let no_data_after = self.duration(
            spec.no_data_after.as_ref(),
            1_000,
            &child(at, "noDataAfter"),
        );
        if no_data_after.is_some_and(|after| after.is_zero()) {
            self.report
                .fault(child(at, "noDataAfter"), "must be longer than 0");
        }
        let options = AlertOptions {
            failures: self.failures(spec.failures.as_ref(), &child(at, "failures")),
            keep_firing_for: keep.unwrap_or_default(),
            flapping: self.flapping(spec.flapping.as_ref(), &child(at, "flapping")),
            no_data: spec.no_data.unwrap_or_default(),
            no_data_after,
        };
        (long.or(short).unwrap_or_default(), options)
    }

    fn failures(&mut self, spec: Option<&FailuresSpec>, at: &str) -> Failures {
        let Some(&FailuresSpec { count, of }) = spec else {
            return Failures::default();
        };
        if count == 0 {
            self.report.fault(child(at, "count"), "must be at least 1");
        }
        if !(1..=Failures::MOST).contains(&of) {
            self.report.fault(
                child(at, "of"),
                format!("must be between 1 and {}", Failures::MOST),
            );
        } else if count > of {
            self.report.fault(
                child(at, "count"),
                format!("is more than `of`: {count} of {of} can't be"),
            );
        }
        Failures { count, of }
    }

    fn flapping(&mut self, spec: Option<&FlappingSpec>, at: &str) -> Option<FlappingThresholds> {
        match spec {
            None | Some(FlappingSpec::Switch(false)) => None,
            Some(FlappingSpec::Switch(true)) => Some(FlappingThresholds::default()),
            Some(FlappingSpec::Thresholds(thresholds)) => {
                let (high, low) = (thresholds.high, thresholds.low);
                if !(0.0 < high && high < 99.0) {
                    self.report
                        .fault(child(at, "high"), "must be above 0 and below 99 percent");
                }
                if !(0.0..=high).contains(&low) {
                    self.report
                        .fault(child(at, "low"), "must be between 0 and `high`");
                }
                Some(FlappingThresholds { high, low })
            }
        }
    }

    pub(super) fn retry(
        &mut self,
        retries: Option<u32>,
        every: Option<&DurationSpec>,
        interval: Duration,
        at: &str,
    ) -> Option<Retry> {
        let place = child(at, "retryInterval");
        let given = self.duration(every, 1_000, &place);
        let Some(times) = retries.filter(|times| *times > 0) else {
            if every.is_some() {
                self.report.fault(place, "has no effect without `retries`");
            }
            return None;
        };
        if times > MAX_RETRIES {
            self.report.fault(
                child(at, "retries"),
                format!("must be at most {MAX_RETRIES}"),
            );
        }
        match given {
            Some(every) if every < MIN_RETRY_INTERVAL => {
                self.report.fault(place, "must be at least 1s")
            }
            Some(every) if every >= interval => {
                self.report.fault(
                    place,
                    "must be shorter than the interval; retries are there to be faster",
                );
            }
            _ => {}
        }
        // A second of the shortest interval has no room for anything faster.
        let every = given.unwrap_or_else(|| RETRY_INTERVAL.min(interval / 2));
        Some(Retry { times, every })
    }
}

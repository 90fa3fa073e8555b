//! Whether probes run: for the readiness, and for the sign of life to the outside.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Catalog;
use crate::domain::duration::format_duration;

/// Intervals of the probe that runs most often without the end of any run.
const INTERVALS: u32 = 3;

/// However short the interval: a machine may be busy for some seconds.
const LEAST: Duration = Duration::from_secs(60);

/// When a run ended last.
#[derive(Debug)]
pub(super) struct Pulse {
    last: Mutex<Instant>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            last: Mutex::new(Instant::now()),
        }
    }
}

impl Pulse {
    pub(super) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn missing(&self, catalog: &Catalog) -> Option<String> {
        let services = catalog.services.values();
        let running = services.filter(|service| !catalog.paused.contains_key(&service.slug));
        let probes = running.flat_map(|service| {
            let probes = service.probes.iter();
            probes.filter(|probe| !catalog.is_heartbeat(&service.slug, &probe.name))
        });
        self.missing_of(probes.map(|probe| (probe.interval, probe.timeout)))
    }

    /// Returns the longest pause of probes with these intervals and time-outs.
    fn missing_of(&self, probes: impl Iterator<Item = (Duration, Duration)>) -> Option<String> {
        let (shortest, longest_run) = probes.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        // A run may take as long as its time-out.
        let most = shortest
            .saturating_mul(INTERVALS)
            .max(LEAST)
            .saturating_add(longest_run);
        let silent = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed();
        (silent > most).then(|| {
            format!(
                "no probe ran in the last {}",
                format_duration(whole_seconds(silent))
            )
        })
    }
}

fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_missing_after_three_of_the_shortest_intervals_and_the_longest_time_out() {
        for (what, intervals, silent_s, wanted) in [
            ("no probes", vec![], 1_000_000, None),
            ("a minute and the time-out at least", vec![1], 65, None),
            (
                "and then",
                vec![1],
                66,
                Some("no probe ran in the last 66s"),
            ),
            ("of the shortest", vec![3_600, 100], 305, None),
            (
                "and then",
                vec![3_600, 100],
                306,
                Some("no probe ran in the last 306s"),
            ),
        ] {
            let pulse = Pulse::default();
            let missing = || {
                let probe =
                    |interval: &u64| (Duration::from_secs(*interval), Duration::from_secs(5));
                pulse.missing_of(intervals.iter().map(probe))
            };
            tokio::time::advance(Duration::from_secs(silent_s)).await;
            assert_eq!(missing().as_deref(), wanted, "{what}");
            pulse.beat();
            assert_eq!(missing(), None);
        }
    }
}

//! Metrics of the runs, by plugin and version. Labels are bounded: a version a day for years must
//! not fill the memory of a scraper.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use metrics::{Counter, Gauge, Histogram};

use crate::domain::{PluginRun, RunOutcome};

/// Plugins with labels of their own since the start; those after them share one.
const PLUGINS: usize = 256;

/// Versions of one plugin with labels of their own since the start; those after them share one.
const VERSIONS: usize = 16;

/// Label of what came after the bound.
const OTHER: &str = "other";

/// The labels given out so far.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct Labels(Mutex<HashMap<String, HashSet<String>>>);

pub(super) struct Pair {
    plugin: String,
    version: String,
}

impl Labels {
    pub(super) fn of(&self, plugin: &str, version: &str) -> Pair {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !given.contains_key(plugin) && given.len() >= PLUGINS {
            return Pair {
                plugin: OTHER.to_owned(),
                version: OTHER.to_owned(),
            };
        }
        let versions = given.entry(plugin.to_owned()).or_default();
        let is_new = !versions.contains(version);
        if is_new && versions.len() >= VERSIONS {
            return Pair {
                plugin: plugin.to_owned(),
                version: OTHER.to_owned(),
            };
        }
        if is_new {
            versions.insert(version.to_owned());
        }
        Pair {
            plugin: plugin.to_owned(),
            version: version.to_owned(),
        }
    }
}

/// Found once, so that a run pays for no look-up.
pub(super) struct Meters {
    outcomes: [(Counter, Histogram); RunOutcome::ALL.len()],
    cpu: Histogram,
    memory: Gauge,
    memory_bytes: u64,
}

impl Meters {
    pub(super) fn new(labels: Pair) -> Self {
        let Pair { plugin, version } = labels;
        let of = |outcome: RunOutcome| {
            let labels = [
                ("plugin", plugin.clone()),
                ("version", version.clone()),
                ("outcome", outcome.as_str().into()),
            ];
            (
                metrics::counter!("extrack_plugin_runs_total", &labels),
                metrics::histogram!("extrack_plugin_run_duration_seconds", &labels),
            )
        };
        let labels = [("plugin", plugin.clone()), ("version", version.clone())];
        Self {
            outcomes: RunOutcome::ALL.map(of),
            cpu: metrics::histogram!("extrack_plugin_cpu_seconds", &labels),
            memory: metrics::gauge!("extrack_plugin_memory_peak_bytes", &labels),
            memory_bytes: 0,
        }
    }

    pub(super) fn note(&mut self, run: &PluginRun) {
        let (runs, duration) = &self.outcomes[run.outcome as usize];
        runs.increment(1);
        duration.record(run.duration_us as f64 / 1e6);
        self.cpu.record(run.cpu_us as f64 / 1e6);
        if run.memory_bytes > self.memory_bytes {
            self.memory_bytes = run.memory_bytes;
            self.memory.set(run.memory_bytes as f64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_whatever_is_deployed() {
        let labels = Labels::default();
        let mut given = HashSet::new();
        for plugin in 0..PLUGINS + 50 {
            for version in 0..VERSIONS + 50 {
                let pair = labels.of(&format!("p{plugin}"), &format!("1.0.{version}"));
                given.insert((pair.plugin, pair.version));
            }
        }
        assert_eq!(given.len(), PLUGINS * (VERSIONS + 1) + 1);
        assert_eq!(
            labels.of("p3", "1.0.2").version,
            "1.0.2",
            "one that has its label keeps it"
        );
    }

    #[test]
    fn outcomes_are_listed_in_the_order_of_their_numbers() {
        for (index, outcome) in RunOutcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}

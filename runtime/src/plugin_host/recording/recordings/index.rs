//! Index of the recordings on disk, and the choice of what to remove.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{RecordingEntry, RecordingFilter};
use crate::domain::RunOutcome;
use crate::plugin_host::recording::format::{RecordedRun, Subject};

/// Failed runs of one probe, rule or channel; a day's flapping is in it, and an outage does not
/// push others out.
pub(super) const FAILED: usize = 20;

/// Recordings kept from the beginning of an outage, which show why it began, however long it takes.
pub(super) const FIRST: usize = 3;

/// Runs of one probe that went well, to compare with.
pub(super) const GOOD: usize = 3;

/// All recordings together; the list of them takes about 4 MB of memory.
pub(super) const FILES: usize = 5_000;

/// All recordings together, on disk.
pub(super) const FILE_BYTES: u64 = 256 << 20;

#[derive(Default)]
pub(super) struct Index {
    entries: BTreeMap<i64, RecordingEntry>,
    of: HashMap<Series, Runs>,
    bytes: u64,
}

/// The runs of one series.
#[derive(Default)]
struct Runs {
    /// Oldest first.
    ids: VecDeque<i64>,
    /// Runs that failed: the first ones of the last outage.
    first: Vec<i64>,
}

impl Runs {
    fn push(&mut self, run_id: i64, begins_an_outage: bool) {
        if begins_an_outage {
            self.first.clear();
        }
        if self.first.len() < FIRST {
            self.first.push(run_id);
        }
        self.ids.push_back(run_id);
    }

    /// Takes out the oldest that are over `most`, but for the first ones of an outage.
    fn drain_over(&mut self, most: usize) -> Vec<i64> {
        let mut over = Vec::new();
        while self.ids.len() > most {
            let Some(position) = self.ids.iter().position(|id| !self.first.contains(id)) else {
                break;
            };
            over.extend(self.ids.remove(position));
        }
        over
    }
}

/// Runs that are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Series {
    plugin: String,
    subject: Subject,
    is_good: bool,
}

impl Series {
    fn of(run: &RecordedRun) -> Self {
        Self {
            plugin: run.plugin.clone(),
            subject: run.subject.clone(),
            is_good: is_good(run),
        }
    }
}

/// Returns true for a run that ended well and found nothing wrong.
fn is_good(run: &RecordedRun) -> bool {
    run.outcome == RunOutcome::Ok && run.status.is_none_or(|status| status.is_available())
}

impl Index {
    /// Answers with the runs whose files have to go.
    pub(super) fn insert(&mut self, entry: RecordingEntry) -> Vec<i64> {
        let (run_id, series) = (entry.run.run_id, Series::of(&entry.run));
        // Its file was replaced: ids are given again after a crash.
        self.remove(run_id);
        self.bytes += entry.size.unwrap_or(0);
        let most = if series.is_good { GOOD } else { FAILED };
        let begins_an_outage = !series.is_good && self.went_well_before(&series);
        self.entries.insert(run_id, entry);
        let runs = self.of.entry(series.clone()).or_default();
        // Runs that went well have no outage to begin.
        if series.is_good {
            runs.ids.push_back(run_id)
        } else {
            runs.push(run_id, begins_an_outage)
        }
        let mut over = runs.drain_over(most);
        for run_id in &over {
            self.remove(*run_id);
        }
        while self.entries.len() > FILES || self.bytes > FILE_BYTES {
            let Some(oldest) = self.entries.keys().next().copied() else {
                break;
            };
            self.remove(oldest);
            over.push(oldest);
        }
        over
    }

    pub(super) fn page(
        &self,
        filter: &RecordingFilter,
        before: i64,
        limit: usize,
    ) -> Vec<RecordingEntry> {
        let entries = self.entries.range(..before).rev().map(|(_, entry)| entry);
        entries
            .filter(|entry| filter.takes(&entry.run))
            .take(limit)
            .cloned()
            .collect()
    }

    /// Whether a run went well after the last one that failed.
    fn went_well_before(&self, failed: &Series) -> bool {
        let good = Series {
            is_good: true,
            ..failed.clone()
        };
        let last = |series: &Series| self.of.get(series).and_then(|runs| runs.ids.back());
        last(&good) > last(failed)
    }

    fn remove(&mut self, run_id: i64) {
        let Some(entry) = self.entries.remove(&run_id) else {
            return;
        };
        self.bytes -= entry.size.unwrap_or(0);
        let series = Series::of(&entry.run);
        if let Some(runs) = self.of.get_mut(&series) {
            runs.ids.retain(|run| *run != run_id);
            runs.first.retain(|run| *run != run_id);
            if runs.ids.is_empty() {
                self.of.remove(&series);
            }
        }
    }
}

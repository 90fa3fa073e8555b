//! What is on disk, in memory, and what has to go.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{RecordingEntry, RecordingFilter};
use crate::domain::RunOutcome;
use crate::plugin_host::recording::{RecordedRun, Subject};

/// Failed runs of one probe, rule or channel; a day's flapping is in it, and an outage does not push others out.
pub(super) const FAILED: usize = 20;

/// Runs of one probe that went well, to compare with.
pub(super) const GOOD: usize = 3;

/// All recordings together; the list of them takes about 4 MB of memory.
pub(super) const FILES: usize = 5_000;

/// All recordings together, on disk.
pub(super) const FILE_BYTES: u64 = 256 << 20;

#[derive(Default)]
pub(super) struct Index {
    entries: BTreeMap<i64, RecordingEntry>,
    of: HashMap<Series, VecDeque<i64>>,
    bytes: u64,
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
        Self { plugin: run.plugin.clone(), subject: run.subject.clone(), is_good: is_good(run) }
    }
}

/// It ended well, and found nothing wrong.
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
        self.entries.insert(run_id, entry);
        let runs = self.of.entry(series).or_default();
        runs.push_back(run_id);
        let mut over: Vec<i64> = runs.drain(..runs.len().saturating_sub(most)).collect();
        for run_id in &over {
            self.remove(*run_id);
        }
        while self.entries.len() > FILES || self.bytes > FILE_BYTES {
            let Some(oldest) = self.entries.keys().next().copied() else { break };
            self.remove(oldest);
            over.push(oldest);
        }
        over
    }

    pub(super) fn page(&self, filter: &RecordingFilter, before: i64, limit: usize) -> Vec<RecordingEntry> {
        let entries = self.entries.range(..before).rev().map(|(_, entry)| entry);
        entries.filter(|entry| filter.takes(&entry.run)).take(limit).cloned().collect()
    }

    fn remove(&mut self, run_id: i64) {
        let Some(entry) = self.entries.remove(&run_id) else { return };
        self.bytes -= entry.size.unwrap_or(0);
        let series = Series::of(&entry.run);
        if let Some(runs) = self.of.get_mut(&series) {
            runs.retain(|run| *run != run_id);
            if runs.is_empty() {
                self.of.remove(&series);
            }
        }
    }
}

//! Runs that went well, in memory: the last ones of each probe.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use super::index::GOOD;
use super::{Draft, RecordingEntry, RecordingFilter};
use crate::plugin_host::recording::format::Subject;

/// All together. A usual run takes 3 KB: from half of this on, each probe has its last run only,
/// which is enough for 10,000 probes.
const BYTES: usize = 32 << 20;

#[derive(Default)]
pub(super) struct Recent {
    drafts: BTreeMap<i64, Arc<Draft>>,
    of: HashMap<Subject, VecDeque<i64>>,
    bytes: usize,
}

impl Recent {
    /// Answers with those that had to go.
    pub(super) fn insert(&mut self, draft: Draft) -> Vec<Arc<Draft>> {
        let (run_id, subject) = (draft.run.run_id, draft.run.subject.clone());
        let mut over: Vec<_> = self.remove(run_id).into_iter().collect();
        self.bytes += draft.weight();
        self.drafts.insert(run_id, Arc::new(draft));
        let runs = self.of.entry(subject).or_default();
        runs.push_back(run_id);
        let most = if self.bytes > BYTES / 2 { 1 } else { GOOD };
        let old: Vec<i64> = runs
            .iter()
            .take(runs.len().saturating_sub(most))
            .copied()
            .collect();
        over.extend(old.into_iter().filter_map(|run_id| self.remove(run_id)));
        while self.bytes > BYTES {
            let Some(oldest) = self.drafts.keys().next().copied() else {
                break;
            };
            over.extend(self.remove(oldest));
        }
        over
    }

    pub(super) fn get(&self, run_id: i64) -> Option<Arc<Draft>> {
        self.drafts.get(&run_id).cloned()
    }

    /// Oldest first.
    pub(super) fn of(&self, subject: &Subject) -> Vec<Arc<Draft>> {
        let runs = self.of.get(subject).into_iter().flatten();
        runs.filter_map(|run_id| self.get(*run_id)).collect()
    }

    pub(super) fn page(
        &self,
        filter: &RecordingFilter,
        before: i64,
        limit: usize,
    ) -> Vec<RecordingEntry> {
        let drafts = self.drafts.range(..before).rev().map(|(_, draft)| draft);
        let wanted = drafts.filter(|draft| filter.takes(&draft.run)).take(limit);
        wanted
            .map(|draft| RecordingEntry {
                run: draft.run.clone(),
                size: None,
            })
            .collect()
    }

    pub(super) fn remove(&mut self, run_id: i64) -> Option<Arc<Draft>> {
        let draft = self.drafts.remove(&run_id)?;
        self.bytes -= draft.weight();
        if let Some(runs) = self.of.get_mut(&draft.run.subject) {
            runs.retain(|run| *run != run_id);
            if runs.is_empty() {
                self.of.remove(&draft.run.subject);
            }
        }
        Some(draft)
    }
}

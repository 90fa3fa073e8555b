//! The recordings that are kept. A run that failed becomes a file, written by one task beside the
//! runs; runs that went well stay in memory and become files with the next run of the same probe
//! that fails, so that there is something to compare it with and a healthy service costs no disk.
//! Everything is bounded, and the oldest goes first: recordings are for finding faults, and never
//! slow a run or fill a disk.

mod draft;
mod files;
mod index;
mod recent;
mod redact;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::{RunOutcome, Status};
use crate::plugin_host::recording::format::RecordedRun;

pub(in crate::plugin_host) use draft::Draft;

use files::Files;
use index::Index;
use recent::Recent;

/// Failed runs on their way to the disk; beyond it they are dropped and counted.
const QUEUED: usize = 256;

/// Bytes of their call logs kept at most.
const QUEUED_BYTES: usize = 32 << 20;

/// A recording as lists show it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordingEntry {
    pub run: RecordedRun,
    /// Bytes of the file; none while the run is kept in memory only.
    pub size: Option<u64>,
}

/// Filter of a list; everything by default.
#[derive(Debug, Clone, Default)]
pub struct RecordingFilter {
    pub service: Option<String>,
    pub plugin: Option<String>,
    pub outcome: Option<RunOutcome>,
    pub status: Option<Status>,
}

impl RecordingFilter {
    fn takes(&self, run: &RecordedRun) -> bool {
        self.service
            .as_ref()
            .is_none_or(|service| run.subject.service.as_ref() == Some(service))
            && self
                .plugin
                .as_ref()
                .is_none_or(|plugin| run.plugin == *plugin)
            && self.outcome.is_none_or(|outcome| run.outcome == outcome)
            && self.status.is_none_or(|status| run.status == Some(status))
    }
}

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Recordings(Option<Arc<Shared>>);

struct Shared {
    /// `None`: all runs stay in memory.
    files: Option<Files>,
    index: Mutex<Index>,
    recent: Mutex<Recent>,
    queue: mpsc::Sender<Draft>,
    queued_bytes: AtomicUsize,
}

impl Recordings {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// Keeps the last runs of all kinds in memory, and no files: for trying a plugin without a
    /// server.
    pub fn in_memory() -> Self {
        let (queue, _) = mpsc::channel(1);
        Self::new(None, Index::default(), queue)
    }

    /// Lists what the folder holds; blocks meanwhile. The writer has to run for failed runs to be
    /// kept. A folder that can't be used is no reason to stop: then runs leave no recordings.
    pub fn open(folder: PathBuf) -> (Self, RecordingWriter) {
        let (queue, drafts) = mpsc::channel(QUEUED);
        let opened = Files::open(folder.clone()).and_then(|files| Ok((files.list()?, files)));
        let recordings = match opened {
            Ok((entries, files)) => {
                let mut index = Index::default();
                for entry in entries {
                    files.remove(&index.insert(entry));
                }
                Self::new(Some(files), index, queue)
            }
            Err(error) => {
                tracing::error!(%error, folder = %folder.display(), "the folder of recordings can't be used; runs are not recorded");
                Self::none()
            }
        };
        (recordings.clone(), RecordingWriter { recordings, drafts })
    }

    fn new(files: Option<Files>, index: Index, queue: mpsc::Sender<Draft>) -> Self {
        Self(Some(Arc::new(Shared {
            files,
            index: Mutex::new(index),
            recent: Mutex::default(),
            queue,
            queued_bytes: AtomicUsize::new(0),
        })))
    }

    pub(in crate::plugin_host) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Also what comes by the thousand and goes well.
    pub(in crate::plugin_host) fn keeps_all(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.files.is_none())
    }

    /// Returns at once.
    pub(in crate::plugin_host) fn keep(&self, draft: Draft, failed: bool) {
        let Some(shared) = &self.0 else { return };
        if !failed || shared.files.is_none() {
            // Dropped outside the lock.
            let _replaced = lock(&shared.recent).insert(draft);
            return;
        }
        let weight = draft.weight();
        if shared.queued_bytes.fetch_add(weight, Ordering::Relaxed) + weight > QUEUED_BYTES
            || shared.queue.try_send(draft).is_err()
        {
            shared.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
            metrics::counter!("extrack_recordings_dropped_total").increment(1);
        }
    }

    /// Newest first, older than `before`.
    pub fn page(
        &self,
        filter: &RecordingFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Vec<RecordingEntry> {
        let Some(shared) = &self.0 else {
            return Vec::new();
        };
        let before = before.unwrap_or(i64::MAX);
        let mut entries = lock(&shared.recent).page(filter, before, limit);
        entries.extend(lock(&shared.index).page(filter, before, limit));
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.run.run_id));
        // One that just became a file.
        entries.dedup_by_key(|entry| entry.run.run_id);
        entries.truncate(limit);
        entries
    }

    /// The file of a recording; none: there is no recording of this run, or not any more.
    pub async fn read(&self, run_id: i64) -> std::io::Result<Option<Vec<u8>>> {
        let Some(shared) = self.0.clone() else {
            return Ok(None);
        };
        let recent = lock(&shared.recent).get(run_id);
        let read = tokio::task::spawn_blocking(move || match recent {
            Some(draft) => Ok(Some(draft.file()?)),
            None => shared
                .files
                .as_ref()
                .map_or(Ok(None), |files| files.read(run_id)),
        });
        read.await.map_err(std::io::Error::other)?
    }
}

/// The one task that writes.
pub struct RecordingWriter {
    recordings: Recordings,
    drafts: mpsc::Receiver<Draft>,
}

impl RecordingWriter {
    /// Runs until the shutdown; what is queued by then is written.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                draft = self.drafts.recv() => match draft {
                    Some(draft) => self.write(draft).await,
                    // Nothing is recorded.
                    None => return shutdown.cancelled().await,
                },
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// The runs before it that went well first.
    async fn write(&self, draft: Draft) {
        let Some(shared) = self.recordings.0.clone() else {
            return;
        };
        let written = tokio::task::spawn_blocking(move || {
            let weight = draft.weight();
            let before = lock(&shared.recent).of(&draft.run.subject);
            for good in before {
                shared.write(&good);
                lock(&shared.recent).remove(good.run.run_id);
            }
            shared.write(&draft);
            shared.queued_bytes.fetch_sub(weight, Ordering::Relaxed);
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "writing a recording panicked");
        }
    }
}

impl Shared {
    /// A recording that can't be written is said and let go.
    fn write(&self, draft: &Draft) {
        let run_id = draft.run.run_id;
        let Some(files) = &self.files else { return };
        match draft
            .file()
            .map_err(Into::into)
            .and_then(|file| files.write(run_id, &file))
        {
            Ok(size) => {
                let entry = RecordingEntry {
                    run: draft.run.clone(),
                    size: Some(size),
                };
                let over = lock(&self.index).insert(entry);
                files.remove(&over);
                metrics::counter!("extrack_recordings_written_total").increment(1);
            }
            Err(error) => {
                tracing::warn!(%error, run_id, plugin = draft.run.plugin, "a recording can't be kept");
                metrics::counter!("extrack_recordings_dropped_total").increment(1);
            }
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

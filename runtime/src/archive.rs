//! The archive: days of the results that are older than the hot window become Parquet files, one a
//! table and day. A file is written aside, read back, noted with its SHA-256, and counts from the
//! moment on at which its rows are deleted; each step can be repeated after a crash. All files are
//! read again every week: one that is not what was written is an alert.

mod copies;
mod files;
mod reconcile;
mod round;
mod scrub;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

pub use copies::CopySettings;

use crate::domain::{
    ARCHIVE_SUBJECT, ArchiveDay, ArchiveFile, ArchiveState, ErrorKind, Failure, Observation,
    StorageSettings, error_chain, now_ms,
};
use crate::store::control::ArchiveFilter;
use crate::store::{ControlError, ControlStore, ResultError, ResultStore};
use copies::Copies;

/// Time between two looks for days that are due.
const ROUND: Duration = Duration::from_secs(60);
/// The same after one that failed.
const RETRY: Duration = Duration::from_secs(600);
/// Files of one page of the ledger.
const PAGE: u32 = 500;
/// Probe of the observations about the archive, and the plugin that they name.
const PROBE: &str = "archive";

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("the results can't be archived")]
    Results(#[from] ResultError),
    #[error("the ledger of the archive can't be read or written")]
    Ledger(#[from] ControlError),
    #[error("can't {doing} `{}`", path.display())]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("can't {doing} `{path}`")]
    Copy {
        doing: &'static str,
        path: Arc<str>,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("`{path}` of the archive is damaged: {fault}")]
    Damaged { path: String, fault: String },
    #[error("{0} has no file in the archive")]
    NotFound(ArchiveDay),
    #[error("{0}")]
    Refused(String),
}

impl ArchiveError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }
}

/// Result of looking through the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Files that were looked at.
    pub files: u64,
    pub bytes: u64,
    /// Paths and what is wrong with them.
    pub faults: Vec<(String, String)>,
}

impl ArchiveReport {
    fn fault(&mut self, path: String, error: &ArchiveError) {
        self.faults.push((path, error_chain(error)));
    }
}

/// Where observations about the archive go, which its built-in alert looks at.
pub struct ArchiveAlert {
    pub observations: mpsc::Sender<Arc<Observation>>,
    pub next_run_id: Box<dyn Fn() -> i64 + Send + Sync>,
}

/// Handle of the archive; clones share it.
#[derive(Clone)]
pub struct Archive {
    control: ControlStore,
    results: ResultStore,
    /// Where the files are; fixed at the start, as the folders are that the database may read.
    folder: Arc<Path>,
    /// True if the operator named the folder: then it is never made.
    is_named: bool,
    /// No copies are wanted.
    copies: Option<Copies>,
    /// Held by whoever changes files.
    one: Arc<AsyncMutex<()>>,
    /// Files that count no more, and since when; those of a run before are deleted at the start.
    retired: Arc<Mutex<Vec<(Instant, String)>>>,
    warning: Arc<Mutex<Option<String>>>,
    /// Notified when the next round is wanted at once.
    wanted: Arc<Notify>,
}

impl Archive {
    pub fn new(
        data: &Path,
        settings: &StorageSettings,
        copies: Option<&CopySettings>,
        control: ControlStore,
        results: ResultStore,
    ) -> Result<Self, ArchiveError> {
        let archive = settings.archive.as_ref();
        Ok(Self {
            control,
            results,
            copies: copies.map(Copies::open).transpose()?,
            folder: folder_of(data, settings).into(),
            is_named: archive.is_some_and(|archive| archive.folder.is_some()),
            one: Arc::default(),
            retired: Arc::default(),
            warning: Arc::default(),
            wanted: Arc::default(),
        })
    }

    /// Returns why days are not archived, for people, without paths.
    pub fn warning(&self) -> Option<String> {
        self.warning
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_warning(&self, warning: Option<String>) {
        *self.warning.lock().unwrap_or_else(PoisonError::into_inner) = warning;
    }

    /// Returns files that count, in the order of their paths.
    pub async fn list(
        &self,
        filter: &ArchiveFilter,
        limit: u32,
    ) -> Result<Vec<ArchiveFile>, ArchiveError> {
        let found = self.control.archive_file_list(filter, limit).await?;
        Ok(found)
    }

    /// Returns the file of a day that counts, and where it is.
    pub async fn file(&self, day: ArchiveDay) -> Result<(ArchiveFile, PathBuf), ArchiveError> {
        let known = self.control.archive_files_of(day).await?;
        let live = known
            .into_iter()
            .find(|file| file.state == ArchiveState::Live)
            .ok_or(ArchiveError::NotFound(day))?;
        let place = self.folder.join(&live.path);
        Ok((live, place))
    }

    /// Archives until the shutdown, as the settings of the moment ask for, and looks through the
    /// files.
    pub async fn run(
        self,
        mut settings: watch::Receiver<StorageSettings>,
        alert: ArchiveAlert,
        stop: CancellationToken,
    ) {
        let mut is_reconciled = false;
        loop {
            let wanted = settings.borrow_and_update().clone();
            let round = async {
                if !is_reconciled {
                    self.distrust().await?;
                    self.reconcile(&wanted).await?;
                    is_reconciled = true;
                }
                self.round(&wanted).await
            };
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = round => outcome,
            };
            self.report(&outcome);
            let wait = if outcome.is_ok() { ROUND } else { RETRY };
            if let Some(observation) = self.observation(&alert).await {
                // Closed only while the program ends.
                let _ = alert.observations.send(Arc::new(observation)).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.wanted.notified() => {}
                Ok(()) = settings.changed() => {}
            }
        }
    }

    /// Has queries leave out the files that are damaged, which are returned.
    async fn distrust(&self) -> Result<Vec<ArchiveFile>, ArchiveError> {
        let filter = ArchiveFilter {
            is_faulty: true,
            ..ArchiveFilter::default()
        };
        let faulty = self.control.archive_file_list(&filter, PAGE).await?;
        let paths = faulty.iter().map(|file| file.path.clone());
        self.results.archive_distrust(paths);
        Ok(faulty)
    }

    fn report(&self, outcome: &Result<(), ArchiveError>) {
        match outcome {
            Ok(()) => self.set_warning(None),
            Err(error) => {
                tracing::error!(
                    error = error_chain(error),
                    "days could not be archived; it is tried again"
                );
                metrics::counter!("extrack_archive_failures_total").increment(1);
                self.set_warning(Some(
                    "days of the results could not be archived; the log says why".to_owned(),
                ));
            }
        }
    }

    /// Returns what the built-in alert looks at; none while there is nothing to look at.
    async fn observation(&self, alert: &ArchiveAlert) -> Option<Observation> {
        let faulty = self.distrust().await.ok()?;
        metrics::gauge!("extrack_archive_faulty_files").set(faulty.len() as f64);
        let failure = faulty.first().map(|first| {
            let fault = first.fault.as_deref().unwrap_or_default();
            let text = format!(
                "{} files of the archive are damaged or gone, the first one is `{}`: {fault}",
                faulty.len(),
                first.path
            );
            Failure::new(ErrorKind::Assertion, text)
        });
        let run_id = (alert.next_run_id)();
        Some(Observation::of_program(
            now_ms(),
            ARCHIVE_SUBJECT,
            PROBE,
            failure,
            run_id,
        ))
    }
}

/// Returns the folder of the archive.
pub fn folder_of(data: &Path, settings: &StorageSettings) -> PathBuf {
    settings
        .archive
        .as_ref()
        .and_then(|archive| archive.folder.clone())
        .unwrap_or_else(|| data.join("archive"))
}

/// Returns the files that lie in the folder of an archive, the last one of each day. Blocks.
pub fn days_in(folder: &Path) -> Result<Vec<(ArchiveDay, PathBuf)>, ArchiveError> {
    let found = files::found(folder)?;
    let days: BTreeMap<ArchiveDay, u32> = found.into_iter().collect();
    let place = |(day, number): (ArchiveDay, u32)| (day, folder.join(day.path(number)));
    Ok(days.into_iter().map(place).collect())
}

async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Result<T, ArchiveError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests;

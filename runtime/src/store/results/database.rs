//! The one DuckDB instance of the process. Everyone gets a connection from here, so that the
//! instance can be closed and opened anew after a fatal error without ever having the file open
//! twice.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use duckdb::{Config, Connection, InterruptHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::damage::{self, Cause};
use super::{ResultError, ResultSettings, backup, schema, torn};
use crate::domain::error_chain;
use crate::store::lock::DataLock;

/// Connections other than the writer's: pages, boards and user queries together.
const READERS: u32 = 6;
/// Connections that only alerting uses, so that it reads histories while all others are taken.
pub const ALERTING_READERS: u32 = 2;
/// Large sorts of user queries go to the disk, up to here.
const MAX_SPILL: &str = "4GB";
/// Folder of sealed files, beside the store.
const SEGMENTS: &str = "segments";

pub(super) struct Database {
    path: PathBuf,
    memory_limit: String,
    archive: Option<PathBuf>,
    /// Folders in which the instance may read and write files.
    folders: Vec<PathBuf>,
    /// None while it is being opened anew, or when that failed.
    base: Mutex<Option<Connection>>,
    readers: Arc<Semaphore>,
    alerting: Arc<Semaphore>,
    changes: AtomicU64,
    _lock: DataLock,
}

/// Who reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReaderKind {
    Shared,
    Alerting,
}

/// A connection that the instance stays open for.
pub(super) struct Reader {
    pub(super) connection: Connection,
    interrupt: Interrupt,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    pub(super) fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.interrupt.forget();
    }
}

/// Interrupts what a connection executes, as long as that is open. The handle of the bindings
/// learns of a closed connection only after its memory is freed: an interrupt in between writes
/// into that.
#[derive(Clone)]
pub(super) struct Interrupt(Arc<Mutex<Option<Arc<InterruptHandle>>>>);

impl Interrupt {
    pub(super) fn of(connection: &Connection) -> Self {
        Self(Arc::new(Mutex::new(Some(connection.interrupt_handle()))))
    }

    pub(super) fn interrupt(&self) {
        let handle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = handle.as_ref() {
            handle.interrupt();
        }
    }

    /// Waits for an interrupt that is under way; later ones do nothing.
    fn forget(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// The highest numbers in the store.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastIds {
    pub(super) observation: i64,
    /// Of anything that has a run's id.
    pub(super) run: i64,
    pub(super) event: i64,
}

/// A store that was opened as far as that was possible.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) last: LastIds,
    /// What the operator has to know, one line each.
    pub(super) notices: Vec<String>,
}

impl Database {
    /// A damaged file is set aside for a new one. Where not even that can be made, the instance
    /// stays closed until [`Self::reopen`] succeeds. An error means that this program must not
    /// touch the file.
    pub(super) fn open(
        path: PathBuf,
        settings: &ResultSettings,
        lock: DataLock,
    ) -> Result<Opened, ResultError> {
        let mut notices = Vec::new();
        let folders: Vec<PathBuf> = [backup::staging_of(&path), segments_of(&path)]
            .into_iter()
            .chain(settings.archive.clone())
            .collect();
        let memory_limit = &settings.memory_limit;
        let opened = open_or_set_aside(&path, memory_limit, &folders, &mut notices)?;
        let (base, last) = match opened {
            Some((base, last)) => (Some(base), last),
            None => (None, LastIds::default()),
        };
        let database = Self {
            path,
            memory_limit: memory_limit.clone(),
            archive: settings.archive.clone(),
            folders,
            base: Mutex::new(base),
            readers: Arc::new(Semaphore::new(READERS as usize)),
            alerting: Arc::new(Semaphore::new(ALERTING_READERS as usize)),
            changes: AtomicU64::new(0),
            _lock: lock,
        };
        Ok(Opened {
            database,
            last,
            notices,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Folder of sealed files.
    pub(super) fn segments(&self) -> PathBuf {
        segments_of(&self.path)
    }

    /// Counts a transaction that may have been committed, before anybody learns of it.
    pub(super) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Number of transactions that whoever reads from now on sees.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Folder of the archive, if there is one.
    pub(super) fn archive(&self) -> Option<&Path> {
        self.archive.as_deref()
    }

    /// For the writer. It must be dropped before [`Self::reopen`].
    pub(super) fn connect(&self) -> Result<Connection, ResultError> {
        let base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        base.as_ref()
            .ok_or(ResultError::Unavailable)?
            .try_clone()
            .map_err(|source| ResultError::Database {
                doing: "connect to",
                source,
            })
    }

    /// Waits for a free reader.
    pub(super) async fn reader(self: &Arc<Self>, kind: ReaderKind) -> Result<Reader, ResultError> {
        let readers = match kind {
            ReaderKind::Shared => &self.readers,
            ReaderKind::Alerting => &self.alerting,
        };
        let permit = Arc::clone(readers)
            .acquire_owned()
            .await
            .map_err(|_| ResultError::Closed)?;
        let connection = self.connect()?;
        Ok(Reader {
            interrupt: Interrupt::of(&connection),
            connection,
            _permit: permit,
        })
    }

    /// Has the next [`Self::reopen`] close the instance: after a fatal error it refuses everything.
    /// Readers that are under way keep it open until they end.
    pub(super) fn invalidate(&self) {
        drop(
            self.base
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }

    /// After a fatal error DuckDB refuses everything until the instance is closed. Waits for the
    /// readers to finish.
    pub(super) async fn reopen(&self) -> Result<(), ResultError> {
        let _all = self
            .readers
            .acquire_many(READERS)
            .await
            .map_err(|_| ResultError::Closed)?;
        let _alerting = self
            .alerting
            .acquire_many(ALERTING_READERS)
            .await
            .map_err(|_| ResultError::Closed)?;
        let mut base = self.base.lock().unwrap_or_else(PoisonError::into_inner);
        drop(base.take());
        let (opened, _) = open_whole(&self.path, &self.memory_limit, &self.folders)?;
        *base = Some(opened);
        Ok(())
    }
}

pub(super) fn segments_of(store: &Path) -> PathBuf {
    store.with_file_name(SEGMENTS)
}

/// None: it can't be opened now, and nothing is wrong with the file.
fn open_or_set_aside(
    path: &Path,
    memory_limit: &str,
    folders: &[PathBuf],
    notices: &mut Vec<String>,
) -> Result<Option<(Connection, LastIds)>, ResultError> {
    match torn::mend(path, memory_limit) {
        Ok(0) => {}
        Ok(blocks) => notices.push(format!(
            "the last stop of the program tore {blocks} blocks of the results store, which were mended; nothing is missing"
        )),
        // Opening it shows what is to be done.
        Err(error) => {
            tracing::warn!(error = error_chain(&error), "the results store was stopped in the middle of a checkpoint");
        }
    }
    for is_last in [false, false, true] {
        let error = match open_whole(path, memory_limit, folders) {
            Ok(opened) => return Ok(Some(opened)),
            Err(error) => error,
        };
        let cause = damage::cause_of(&error);
        let text = error_chain(&error);
        if is_last || cause != Cause::Damage {
            if cause == Cause::Refusal {
                return Err(error);
            }
            tracing::error!(
                error = text,
                "the results store can't be opened; starting without history, results are spooled"
            );
            notices.push(
                "the results store could not be opened at the start; the log says why".to_owned(),
            );
            return Ok(None);
        }
        // The file without its log is the store as it was at the last checkpoint.
        let is_log = damage::log_of(path).exists() && !damage::is_of_the_file(&error);
        match damage::set_aside(path, is_log) {
            Ok(None) => {}
            Ok(Some(target)) => {
                let what = if is_log {
                    "the write-ahead log of the results store is damaged; the last results are missing"
                } else {
                    "the results store is damaged; history begins anew"
                };
                tracing::error!(error = text, set_aside = %target.display(), "{what}");
                let name = target.file_name().unwrap_or_default().to_string_lossy();
                notices.push(format!("{what}; set aside as `{name}`"));
            }
            Err(failed) => {
                tracing::error!(error = text, %failed, file = %path.display(), "a damaged file of the results store can't be set aside; starting without history");
                notices.push(
                    "the results store is damaged and could not be set aside; the log says why"
                        .to_owned(),
                );
                return Ok(None);
            }
        }
    }
    Ok(None)
}

/// Opens a store that no program has open, without its gates.
pub(super) fn open_up_to_date(path: &Path, memory_limit: &str) -> Result<Connection, ResultError> {
    let base = open_file(path, memory_limit)?;
    schema::migrate(base, path, |path| open_file(path, memory_limit))
}

/// Opens a store that no program has open, as it is: it writes into one folder alone, and nothing
/// into the store.
pub(super) fn open_stopped(
    path: &Path,
    memory_limit: &str,
    folder: PathBuf,
) -> Result<Connection, ResultError> {
    let config = || {
        Config::default()
            .max_memory(memory_limit)?
            .access_mode(duckdb::AccessMode::ReadOnly)?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")
    };
    let connection =
        Connection::open_with_flags(path, config().map_err(opening)?).map_err(opening)?;
    schema::check_up_to_date(&connection)?;
    lock_down(&connection, &[folder]).map_err(opening)?;
    Ok(connection)
}

/// Up to date, locked down, and its newest rows readable.
fn open_whole(
    path: &Path,
    memory_limit: &str,
    folders: &[PathBuf],
) -> Result<(Connection, LastIds), ResultError> {
    let open = || {
        let base = open_up_to_date(path, memory_limit)?;
        lock_down(&base, folders).map_err(opening)?;
        let last = last_ids(&base)?;
        Ok((base, last))
    };
    // Bindings of the database panic on some errors of a damaged file.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(open)).unwrap_or(Err(ResultError::Reader))
}

fn last_ids(connection: &Connection) -> Result<LastIds, ResultError> {
    let max = |sql: &str| {
        let found = connection.query_row(sql, [], |row| row.get::<_, Option<i64>>("last"));
        found
            .map(|max| max.unwrap_or(0))
            .map_err(|source| ResultError::Database {
                doing: "read",
                source,
            })
    };
    let observation = max("SELECT max(run_id) AS last FROM fact.observations")?;
    let account = max("SELECT max(run_id) AS last FROM fact.plugin_runs")?;
    let delivery = max("SELECT max(run_id) AS last FROM fact.events")?;
    let event = max("SELECT max(id) AS last FROM fact.events")?;
    Ok(LastIds {
        observation,
        run: observation.max(account).max(delivery),
        event,
    })
}

fn opening(source: duckdb::Error) -> ResultError {
    ResultError::Database {
        doing: "open",
        source,
    }
}

fn open_file(path: &Path, memory_limit: &str) -> Result<Connection, ResultError> {
    let config = || {
        Config::default()
            .max_memory(memory_limit)?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")?
            .with("allow_community_extensions", "false")?
            .with("allow_persistent_secrets", "false")?
            // Large commits write their log too: a checkpoint without its mark can't be mended.
            .with("auto_checkpoint_skip_wal_threshold", "1000000000000")?
            .with("max_temp_directory_size", MAX_SPILL)
    };
    Connection::open_with_flags(path, config().map_err(opening)?).map_err(opening)
}

/// From here on no statement reaches another file than those in these folders, and none can change
/// that.
fn lock_down(connection: &Connection, folders: &[PathBuf]) -> Result<(), duckdb::Error> {
    // Only known where ICU is linked; without it there is no other zone than UTC.
    let _ = connection.execute_batch("SET GLOBAL TimeZone = 'UTC'");
    let quoted =
        |folder: &PathBuf| format!("'{}'", folder.display().to_string().replace('\'', "''"));
    let folders: Vec<String> = folders.iter().map(quoted).collect();
    connection.execute_batch(&format!(
        "SET GLOBAL allowed_directories = [{}]",
        folders.join(", ")
    ))?;
    connection.execute_batch("SET GLOBAL enable_external_access = false")?;
    connection.execute_batch("SET GLOBAL lock_configuration = true")
}

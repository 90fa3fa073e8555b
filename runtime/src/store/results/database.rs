//! The one DuckDB instance of the process. Everyone gets a connection from here, so that the instance can be closed and
//! opened anew after a fatal error without ever having the file open twice.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use duckdb::{Config, Connection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ResultError, schema};
use crate::store::lock::DataLock;

/// Connections other than the writer's: pages, boards and user queries together.
const READERS: u32 = 6;
/// Connections that only alerting uses, so that it reads histories while all others are taken.
pub const ALERTING_READERS: u32 = 2;
/// Large sorts of user queries go to the disk, up to here.
const MAX_SPILL: &str = "4GB";

pub(super) struct Database {
    path: PathBuf,
    memory_limit: String,
    /// None while it is being opened anew, or when that failed.
    base: Mutex<Option<Connection>>,
    readers: Arc<Semaphore>,
    alerting: Arc<Semaphore>,
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
    _permit: OwnedSemaphorePermit,
}

impl Database {
    pub(super) fn open(path: PathBuf, memory_limit: &str, lock: DataLock) -> Result<Self, ResultError> {
        let base = open_file(&path, memory_limit)?;
        let base = schema::migrate(base, &path, |path| open_file(path, memory_limit))?;
        lock_down(&base).map_err(opening)?;
        Ok(Self {
            path,
            memory_limit: memory_limit.to_owned(),
            base: Mutex::new(Some(base)),
            readers: Arc::new(Semaphore::new(READERS as usize)),
            alerting: Arc::new(Semaphore::new(ALERTING_READERS as usize)),
            _lock: lock,
        })
    }

    /// For the writer. It must be dropped before [`Self::reopen`].
    pub(super) fn connect(&self) -> Result<Connection, ResultError> {
        let base = self.base.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        base.as_ref()
            .ok_or(ResultError::Closed)?
            .try_clone()
            .map_err(|source| ResultError::Database { doing: "connect to", source })
    }

    /// Waits for a free reader.
    pub(super) async fn reader(self: &Arc<Self>, kind: ReaderKind) -> Result<Reader, ResultError> {
        let readers = match kind {
            ReaderKind::Shared => &self.readers,
            ReaderKind::Alerting => &self.alerting,
        };
        let permit = Arc::clone(readers).acquire_owned().await.map_err(|_| ResultError::Closed)?;
        Ok(Reader { connection: self.connect()?, _permit: permit })
    }

    /// After a fatal error DuckDB refuses everything until the instance is closed. Waits for the readers to finish.
    pub(super) async fn reopen(&self) -> Result<(), ResultError> {
        let _all = self.readers.acquire_many(READERS).await.map_err(|_| ResultError::Closed)?;
        let _alerting = self.alerting.acquire_many(ALERTING_READERS).await.map_err(|_| ResultError::Closed)?;
        let mut base = self.base.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        drop(base.take());
        let opened = open_file(&self.path, &self.memory_limit)?;
        lock_down(&opened).map_err(opening)?;
        *base = Some(opened);
        Ok(())
    }
}

fn opening(source: duckdb::Error) -> ResultError {
    ResultError::Database { doing: "open", source }
}

fn open_file(path: &Path, memory_limit: &str) -> Result<Connection, ResultError> {
    let config = || {
        Config::default()
            .max_memory(memory_limit)?
            .with("autoinstall_known_extensions", "false")?
            .with("autoload_known_extensions", "false")?
            .with("allow_community_extensions", "false")?
            .with("allow_persistent_secrets", "false")?
            .with("max_temp_directory_size", MAX_SPILL)
    };
    Connection::open_with_flags(path, config().map_err(opening)?).map_err(opening)
}

/// From here on no statement reaches another file, and none can change that.
fn lock_down(connection: &Connection) -> Result<(), duckdb::Error> {
    // Only known where ICU is linked; without it there is no other zone than UTC.
    let _ = connection.execute_batch("SET GLOBAL TimeZone = 'UTC'");
    connection.execute_batch("SET GLOBAL enable_external_access = false")?;
    connection.execute_batch("SET GLOBAL lock_configuration = true")
}

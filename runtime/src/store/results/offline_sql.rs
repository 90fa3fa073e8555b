//! SQL of users without a program: over a data folder that no program has open, which is only read,
//! or over the folder of an archive alone. The gate, the process and its limits are those of the
//! program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use duckdb::Connection;
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::describe::{SqlSchema, schema_of};
use super::error::reading;
use super::gate::Gate;
use super::query::Runner;
use super::schema::steps;
use super::sealing::{SealedFile, StoppedStore};
use super::snapshot::Snapshot;
use super::{FILE, QueryError, QueryRequest, QueryStream, ResultError, SqlSettings};
use crate::domain::{ArchiveDay, UnixMillis};
use crate::store::files::{hash, noted_sum};
use crate::store::lock::DataLock;

const MEMORY: &str = "1GB";

/// Results that SQL can be asked of.
pub struct OfflineSql {
    runner: Runner,
    source: Arc<Source>,
    /// For what is not sealed, and for large sorts.
    _folder: TempDir,
}

enum Source {
    Store {
        store: Mutex<Box<StoppedStore>>,
        archive: PathBuf,
        data_to_ms: UnixMillis,
        /// Keeps a program from starting meanwhile.
        _lock: DataLock,
    },
    Archive {
        days: Vec<(ArchiveDay, PathBuf)>,
    },
}

impl OfflineSql {
    /// Opens a data folder, with the folder of its archive. An error if a program has it open.
    /// Blocks.
    pub fn of_store(
        data: &Path,
        archive: PathBuf,
        settings: SqlSettings,
    ) -> Result<Self, ResultError> {
        let path = data.join(FILE);
        let lock = DataLock::acquire(&path)?;
        let folder = temporary()?;
        let store = StoppedStore::open(&path, MEMORY, folder.path().to_owned())?;
        let source = Source::Store {
            data_to_ms: store.data_to_ms()?,
            store: Mutex::new(Box::new(store)),
            archive,
            _lock: lock,
        };
        Self::new(source, folder, settings)
    }

    /// Takes the files of an archive, one of each day at most.
    pub fn of_archive(
        days: Vec<(ArchiveDay, PathBuf)>,
        settings: SqlSettings,
    ) -> Result<Self, ResultError> {
        Self::new(Source::Archive { days }, temporary()?, settings)
    }

    fn new(source: Source, folder: TempDir, settings: SqlSettings) -> Result<Self, ResultError> {
        Ok(Self {
            runner: Runner {
                gate: Arc::new(Gate::open()?),
                slots: Arc::new(Semaphore::new(1)),
                settings,
                folder: folder.path().to_owned(),
            },
            source: Arc::new(source),
            _folder: folder,
        })
    }

    /// Returns when the first rows are on their way. A stream that is dropped ends its query.
    pub async fn query_stream(&self, request: QueryRequest) -> Result<QueryStream, QueryError> {
        let deadline = Instant::now() + request.limits.timeout;
        let ready = self.runner.admit(request, deadline).await?;
        let (source, tables) = (Arc::clone(&self.source), ready.tables().to_vec());
        let finding = tokio::task::spawn_blocking(move || source.snapshot(&tables));
        let snapshot = finding.await.map_err(|_| ResultError::Reader)??;
        self.runner.start(ready, Arc::new(snapshot)).await
    }

    /// Returns what can be named in a query. Blocks.
    pub fn schema(&self) -> Result<SqlSchema, ResultError> {
        let connection = Connection::open_in_memory().map_err(reading)?;
        connection
            .execute_batch("CREATE SCHEMA fact")
            .map_err(reading)?;
        for step in steps() {
            connection.execute_batch(step).map_err(reading)?;
        }
        schema_of(&connection)
    }
}

impl Source {
    fn snapshot(&self, tables: &[String]) -> Result<Snapshot, ResultError> {
        match self {
            Source::Store {
                store,
                archive,
                data_to_ms,
                ..
            } => {
                let store = store.lock().unwrap_or_else(PoisonError::into_inner);
                let found = store.files(tables)?;
                let archived = found.archived.into_iter();
                let days = archived.map(|archived| (archived.day, archive.join(archived.path)));
                let days: Vec<_> = days.collect();
                Ok(snapshot(
                    tables,
                    found.tables,
                    &days,
                    found.variables,
                    *data_to_ms,
                ))
            }
            Source::Archive { days } => {
                let data_to_ms = days.iter().map(|(day, _)| day.ends_ms()).max();
                let none = tables.iter().map(|_| Vec::new()).collect();
                // Without variables everything is counted from the runs.
                let variables = String::new();
                let data_to_ms = data_to_ms.unwrap_or_default();
                Ok(snapshot(tables, none, days, variables, data_to_ms))
            }
        }
    }
}

/// Puts files of the archive before those of the store. Damaged ones are left out, and named.
fn snapshot(
    tables: &[String],
    sealed: Vec<Vec<Arc<SealedFile>>>,
    days: &[(ArchiveDay, PathBuf)],
    variables: String,
    data_to_ms: UnixMillis,
) -> Snapshot {
    let (mut missing, mut found) = (Vec::new(), BTreeMap::new());
    for (table, files) in tables.iter().zip(&sealed) {
        let of_table = days.iter().filter(|(day, _)| day.table.as_str() == table);
        let mut paths = Vec::new();
        for (day, path) in of_table {
            if is_whole(path) {
                paths.push(path.clone());
            } else {
                missing.push(day.to_string());
            }
        }
        paths.extend(files.iter().map(|file| file.path().to_owned()));
        found.insert(table.clone(), paths);
    }
    Snapshot {
        tables: found,
        missing,
        variables,
        data_to_ms,
        files: sealed.into_iter().flatten().collect(),
    }
}

/// Whether a file of the archive has the SHA-256 that lies beside it.
fn is_whole(path: &Path) -> bool {
    let found = std::fs::File::open(path).and_then(|mut file| hash(&mut file));
    found.is_ok_and(|(_, sha256)| noted_sum(path) == Some(sha256))
}

fn temporary() -> Result<TempDir, ResultError> {
    TempDir::with_prefix("extrack-sql-").map_err(|source| ResultError::Seal {
        path: std::env::temp_dir(),
        source,
    })
}

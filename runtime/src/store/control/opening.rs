//! Opens the control store, and looks first whether it is the one that was here before: an empty or
//! older one would start as if nothing had been configured and nothing were wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::ballast::BallastState;
use super::marker::{Mark, Marker};
use super::row_faults::RowFaults;
use super::write_health::WriteHealth;
use super::{ControlError, ControlStore, DataLock, Keyring, Result, rotation, wal};
use crate::domain::now_ms;

/// Pages and lists read at the same time as the one writer; SQLite needs no more.
pub(super) const READERS: u32 = 4;
/// Another process has no business here, but a backup tool may hold a lock for a moment.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Waiting this long for a connection means that the disk hangs. A request is answered before its
/// client gives up.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Every migration; files are added, never changed.
pub(super) static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("migrations/control");

#[derive(Debug, Clone, Default)]
pub struct ControlSettings {
    /// Room on the disk that is kept for alerts; 0: none.
    pub ballast_bytes: u64,
    /// Files and folders that are filled only after the control store was used: beside them an
    /// empty one is one that was lost.
    pub filled_later: Vec<PathBuf>,
    /// Takes what is there for complete.
    pub accepts_loss: bool,
}

impl ControlStore {
    /// Opens the store as [`ControlStore::open_with`] does, with the default settings.
    pub async fn open(path: &Path, keyring: Keyring) -> Result<Self> {
        Self::open_with(path, keyring, ControlSettings::default()).await
    }

    /// Creates or migrates the file, and checks that it is the one that was here before, and that
    /// the keyring is the one it was written with. `Lost` when content is missing.
    pub async fn open_with(
        path: &Path,
        keyring: Keyring,
        settings: ControlSettings,
    ) -> Result<Self> {
        let lock = Arc::new(DataLock::acquire(path)?);
        let file = resolve(path);
        let marker = Marker::beside(path);
        let mark = marker.read().map_err(ControlError::Files)?;
        let lost = |reason| ControlError::Lost {
            path: path.to_owned(),
            reason,
        };
        if !settings.accepts_loss {
            check_files(&file, mark.as_ref(), &settings.filled_later)?
                .map_or(Ok(()), |reason| Err(lost(reason)))?;
        }
        let health = Arc::new(WriteHealth::new(&file, settings.ballast_bytes));
        #[cfg(test)]
        let hooks = Arc::<super::testing::TestHooks>::default();
        let pool = || {
            let pool = pool_options();
            #[cfg(test)]
            let pool = hooks.watch(pool);
            pool
        };
        let connected = connect_or_set_aside(&file, &health, &pool, settings.accepts_loss).await;
        let (writer, reader) = connected.map_err(|error| {
            if settings.accepts_loss || !error.is_damaged() {
                return error;
            }
            lost(format!("it is damaged: {}", error.causes()))
        })?;
        let (identity, commits): (String, i64) =
            sqlx::query_as("SELECT identity, commits FROM store_identity WHERE id = 1")
                .fetch_one(&reader)
                .await?;
        if !settings.accepts_loss {
            let reason = match mark.and_then(|mark| missing(&mark, &identity, commits)) {
                Some(reason) => Some(reason),
                None => lost_beside(&reader, &settings.filled_later).await?,
            };
            reason.map_or(Ok(()), |reason| Err(lost(reason)))?;
        }
        health.note_start(commits);
        let keyring = rotation::settle(keyring, &reader).await?;
        let store = Self {
            writer,
            reader,
            keyring: Arc::new(keyring),
            transitions: Arc::default(),
            row_faults: RowFaults::default(),
            health,
            marker: Arc::new(marker),
            identity: identity.into(),
            _lock: lock,
            #[cfg(test)]
            hooks,
        };
        store.begin(settings.accepts_loss).await?;
        Ok(store)
    }

    /// Checks the key, and writes down that the store is in use from now on.
    async fn begin(&self, accepts_loss: bool) -> Result<()> {
        self.check_key().await?;
        if let Err(error) = self.mark() {
            if accepts_loss {
                return Err(ControlError::Files(error));
            }
            tracing::warn!(%error, "the marker of the control store can't be written, it is tried again");
        }
        // So that schema and identity do not live in the log alone.
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await;
        Ok(())
    }

    /// Waits for what is under way, then closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
        if let Err(error) = self.mark() {
            tracing::warn!(%error, "the marker of the control store can't be written, it stays behind");
        }
    }

    /// Writes the number of the last commit beside the store.
    pub(super) fn mark(&self) -> std::io::Result<()> {
        self.marker.write(&Mark {
            identity: self.identity.as_ref().to_owned(),
            commits: self.health.last_commit(),
        })
    }

    /// Brings what was committed from the log into the file. That it fails is no harm: the log has
    /// it all.
    pub(super) async fn checkpoint(&self, statement: &'static str) {
        let checkpoint = async {
            let mut connection = self.writer.acquire().await?;
            sqlx::raw_sql(statement)
                .execute(&mut *connection)
                .await
                .map(drop)
        };
        if let Err(error) = checkpoint.await {
            tracing::warn!(%error, "the control store's log can't be brought into its file, it is tried again");
        }
    }
}

fn pool_options() -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// The file itself, where the path is a link: SQLite puts its log beside that, too.
pub(super) fn resolve(path: &Path) -> PathBuf {
    if let Ok(file) = fs::canonicalize(path) {
        return file;
    }
    match fs::read_link(path) {
        Ok(target) => path.parent().unwrap_or(Path::new("")).join(target),
        Err(_) => path.to_owned(),
    }
}

/// Checks the files before SQLite opens them, which empties a log that it can't use. Returns why
/// content is missing.
fn check_files(
    file: &Path,
    mark: Option<&Mark>,
    filled_later: &[PathBuf],
) -> Result<Option<String>> {
    let is_empty = match fs::metadata(file) {
        Ok(found) => found.len() == 0,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(ControlError::Files(error)),
    };
    if !is_empty {
        return wal::damage(file).map_err(ControlError::Files);
    }
    if mark.is_some() {
        return Ok(Some(
            "it is empty or gone, though `control.id` is there".to_owned(),
        ));
    }
    Ok(filled_later
        .iter()
        .find(|other| is_filled(other))
        .map(|other| empty_beside(other)))
}

/// Returns why a store without content is one that was lost: something beside it was used.
async fn lost_beside(reader: &SqlitePool, filled_later: &[PathBuf]) -> Result<Option<String>> {
    let is_new: bool = sqlx::query_scalar("SELECT NOT EXISTS (SELECT 1 FROM sealed_check)")
        .fetch_one(reader)
        .await?;
    let mut filled = filled_later.iter().filter(|other| is_filled(other));
    Ok(filled
        .next()
        .filter(|_| is_new)
        .map(|other| empty_beside(other)))
}

/// Returns why the store is not the one of the marker, or lacks commits of it.
fn missing(mark: &Mark, identity: &str, commits: i64) -> Option<String> {
    if mark.identity != identity {
        return Some("it is another one than the one that `control.id` names".to_owned());
    }
    (commits < mark.commits).then(|| {
        format!(
            "its last {} commits are missing; the write-ahead log was deleted, cut or damaged, or an older copy was put in its place",
            mark.commits - commits
        )
    })
}

fn empty_beside(other: &Path) -> String {
    format!("it is empty or gone, though `{}` is there", other.display())
}

/// A file with content, or a folder with a file.
fn is_filled(path: &Path) -> bool {
    match fs::read_dir(path) {
        Ok(entries) => entries
            .flatten()
            .any(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())),
        Err(_) => fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() > 0),
    }
}

/// Keeps what can't be opened under another name.
fn set_aside(file: &Path) -> std::io::Result<()> {
    let stamp = now_ms();
    for end in ["", "-wal", "-shm"] {
        let mut from = file.as_os_str().to_owned();
        from.push(end);
        let mut to = file.as_os_str().to_owned();
        to.push(format!(".set-aside-{stamp}{end}"));
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    tracing::warn!(file = %file.display(), stamp, "the damaged control store was set aside, an empty one takes its place");
    Ok(())
}

/// Connects; where a loss is accepted, a damaged file is set aside and made anew.
async fn connect_or_set_aside(
    file: &Path,
    health: &WriteHealth,
    pool: &(dyn Fn() -> SqlitePoolOptions + Send + Sync),
    accepts_loss: bool,
) -> Result<(SqlitePool, SqlitePool)> {
    match connect(file, health, pool).await {
        Err(error) if error.is_damaged() && accepts_loss => {
            set_aside(file).map_err(ControlError::Files)?;
            connect(file, health, pool).await
        }
        connected => connected,
    }
}

/// A full disk may have no room for the few pages that opening needs.
async fn connect(
    file: &Path,
    health: &WriteHealth,
    pool: &(dyn Fn() -> SqlitePoolOptions + Send + Sync),
) -> Result<(SqlitePool, SqlitePool)> {
    match try_connect(file, pool).await {
        Err(error) if error.is_unwritable() && health.ballast.state() == BallastState::Held => {
            health.ballast.give_up();
            try_connect(file, pool).await.map_err(without_room)
        }
        connected => connected.map_err(without_room),
    }
}

/// Reports a full disk as such: people have to free space, nothing else helps.
fn without_room(error: ControlError) -> ControlError {
    if error.is_full() {
        return ControlError::NoRoomToOpen(Box::new(error));
    }
    error
}

async fn try_connect(
    file: &Path,
    pool: &(dyn Fn() -> SqlitePoolOptions + Send + Sync),
) -> Result<(SqlitePool, SqlitePool)> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT);
    let opening = |source| ControlError::Database {
        doing: "open",
        source,
    };
    let writer = pool()
        .max_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(opening)?;
    MIGRATOR.run(&writer).await.map_err(ControlError::Migrate)?;
    let reader = pool()
        .max_connections(READERS)
        .connect_with(options.pragma("query_only", "on"))
        .await
        .map_err(opening)?;
    Ok((writer, reader))
}

#[cfg(test)]
mod tests;

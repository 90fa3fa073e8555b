//! Snapshots of what is committed, as sealed files that another process reads: nothing of them changes any more,
//! and they stay as long as somebody holds the snapshot that names them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::sealing::{SealedFile, State};
use super::{ResultError, ResultStore};
use crate::domain::UnixMillis;

/// Tables of one moment, each in files of Parquet.
pub struct Snapshot {
    /// Files by the name of their table in the schema `fact`, the oldest rows first. Each has one
    /// at least, whose columns are those of the table.
    pub tables: BTreeMap<String, Vec<PathBuf>>,
    /// Days of the archive whose files are damaged, and so are left out, for people.
    pub missing: Vec<String>,
    /// Statements that bind the views of the tiers to this moment, see [`super::tiers::bind`].
    pub variables: String,
    /// Moment up to which all results that arrived are in it.
    pub data_to_ms: UnixMillis,
    /// Keeps the files.
    pub(super) files: Vec<Arc<SealedFile>>,
}

/// Looks for files that are not damaged: those that are, and those that were damaged meanwhile.
const TRIES: usize = 3;

/// Whether all files are what was written. Those that were not compared lately are read.
async fn are_whole(files: &[Arc<SealedFile>]) -> Result<bool, ResultError> {
    let unread = files.iter().filter(|file| !file.is_trusted());
    let unread: Vec<Arc<SealedFile>> = unread.cloned().collect();
    if unread.is_empty() {
        return Ok(true);
    }
    // Each is looked at: all that are damaged are written anew at once.
    let check = move || unread.iter().filter(|file| !file.check()).count() == 0;
    let checked = tokio::task::spawn_blocking(check).await;
    checked.map_err(|_| ResultError::Reader)
}

impl ResultStore {
    /// Returns what is committed of these tables of the schema `fact`. While the store does not
    /// answer, it is what was committed before, which `data_to_ms` shows. Files that are not what
    /// was written are none of it: their rows are written anew first.
    pub async fn snapshot(&self, tables: &[&str]) -> Result<Arc<Snapshot>, ResultError> {
        for _ in 0..TRIES {
            let snapshot = self.snapshot_as_named(tables).await?;
            if are_whole(&snapshot.files).await? {
                return Ok(Arc::new(snapshot));
            }
            // What is handed out next is newer than that with the damaged files.
            self.database.note_change();
        }
        Err(ResultError::NotSealed(
            "sealed files are damaged, and are written anew; try again in a minute".to_owned(),
        ))
    }

    async fn snapshot_as_named(&self, tables: &[&str]) -> Result<Snapshot, ResultError> {
        // In this order: what arrived before that moment was committed before that change.
        let asked_ms = self.data_to_ms();
        let changes = self.database.changes();
        let sealed = self.sealed.as_of(changes).await?;
        let data_to_ms = if sealed.changes >= changes {
            asked_ms.max(sealed.data_to_ms)
        } else {
            sealed.data_to_ms
        };
        let (mut files, mut missing) = (Vec::new(), Vec::new());
        let paths = tables.iter().map(|table| {
            let of_table = sealed.files(table);
            files.extend(of_table.iter().cloned());
            let paths = of_table.iter().map(|file| file.path().to_owned());
            let archived = self.archived(&sealed, table, &mut missing);
            (
                (*table).to_owned(),
                archived.into_iter().chain(paths).collect(),
            )
        });
        let tables = paths.collect();
        Ok(Snapshot {
            tables,
            missing,
            variables: sealed.variables().to_owned(),
            data_to_ms,
            files,
        })
    }

    /// Returns the files of the archive that belong to a table, and adds those that are damaged to
    /// `missing`.
    fn archived(&self, sealed: &State, table: &str, missing: &mut Vec<String>) -> Vec<PathBuf> {
        let Some(folder) = self.database.archive() else {
            return Vec::new();
        };
        let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
        let of_table = sealed
            .archived()
            .iter()
            .filter(|archived| archived.day.table.as_str() == table);
        let mut paths = Vec::new();
        for archived in of_table {
            if damaged.contains(&archived.path) {
                missing.push(archived.day.to_string());
            } else {
                paths.push(folder.join(&archived.path));
            }
        }
        paths
    }

    /// Returns the moment up to which all results that arrived are committed, so that a query that
    /// begins now finds them.
    pub fn data_to_ms(&self) -> UnixMillis {
        self.progress.data_to_ms(&self.queue)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use duckdb::Connection;

    use crate::store::results::tests::{Running, observation};

    #[tokio::test]
    async fn a_snapshot_has_what_was_committed_and_its_files_go_with_it() {
        let running = Running::start();
        let store = &running.store;
        let append = async |run_id| {
            let row = Arc::new(observation(run_id));
            store.observation_append_durable(row).await.unwrap();
        };
        append(1).await;
        let snapshot = store.snapshot(&["observations", "events"]).await.unwrap();
        append(2).await;
        let names: Vec<&str> = snapshot.tables.keys().map(String::as_str).collect();
        assert_eq!(names, ["events", "observations"]);
        assert!(snapshot.variables.contains("done_until_5m"));
        assert!(snapshot.data_to_ms > 0);
        let files = snapshot.tables["observations"].clone();
        let sql =
            format!("SELECT max(run_id) AS last FROM read_parquet({files:?})").replace('"', "'");
        let connection = Connection::open_in_memory().unwrap();
        let last: i64 = connection
            .query_row(&sql, [], |row| row.get("last"))
            .unwrap();
        assert_eq!(last, 1);
        let later = store.snapshot(&["observations"]).await.unwrap();
        assert!(later.data_to_ms >= snapshot.data_to_ms);
        assert!(files.iter().all(|file| file.exists()));
        drop(snapshot);
        let rows = files
            .iter()
            .filter(|file| !file.display().to_string().contains("-none-"));
        let gone = rows.filter(|file| !file.exists()).count();
        assert_eq!(
            gone,
            files.len() - 1,
            "what was replaced goes with its last reader"
        );
        drop(later);
        running.stop().await;
    }
}

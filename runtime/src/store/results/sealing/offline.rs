//! Files of a store that no program has open. What is sealed is read where it lies, what is not is
//! written elsewhere, and nothing of the store is changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use duckdb::Connection;

use super::files::{Folder, SealedFile};
use super::step::{Purpose, take};
use crate::domain::now_ms;
use crate::store::results::database::{open_stopped, segments_of};
use crate::store::results::error::reading;
use crate::store::results::{ArchivedDay, ResultError};

/// A store, and the folder for what is not sealed.
pub(in crate::store::results) struct StoppedStore {
    connection: Connection,
    folder: Folder,
}

/// What there is of some tables.
pub(in crate::store::results) struct StoppedFiles {
    /// Files of each table that was asked for, in that order.
    pub(in crate::store::results) tables: Vec<Vec<Arc<SealedFile>>>,
    /// Files of the archive that count.
    pub(in crate::store::results) archived: Vec<ArchivedDay>,
    /// Statements that bind the views of the tiers.
    pub(in crate::store::results) variables: String,
}

impl StoppedStore {
    /// Opens the store at a path; files go to `new_files`.
    pub(in crate::store::results) fn open(
        path: &Path,
        memory_limit: &str,
        new_files: PathBuf,
    ) -> Result<Self, ResultError> {
        let connection = open_stopped(path, memory_limit, new_files.clone())?;
        let folder = Folder::read_only(segments_of(path), new_files);
        Ok(Self { connection, folder })
    }

    /// Returns the files of tables, each compared with its SHA-256. Blocks.
    pub(in crate::store::results) fn files(
        &self,
        tables: &[String],
    ) -> Result<StoppedFiles, ResultError> {
        let purpose = Purpose::Fresh {
            most_rows: u64::MAX,
        };
        // A file is known to be damaged as long as somebody holds it.
        let mut damaged: Vec<Arc<SealedFile>> = Vec::new();
        loop {
            let taken = take(&self.connection, &self.folder, purpose, now_ms() * 1_000)?;
            let manifest = taken
                .manifest
                .ok_or_else(|| ResultError::NotSealed("the store can't be read".to_owned()))?;
            let of_table = |table: &String| {
                let files = manifest.files.get(table.as_str());
                files.cloned().unwrap_or_default()
            };
            let found: Vec<Vec<Arc<SealedFile>>> = tables.iter().map(of_table).collect();
            let known = damaged.len();
            let files = found.iter().flatten();
            damaged.extend(files.filter(|file| !file.check()).cloned());
            if damaged.len() == known {
                return Ok(StoppedFiles {
                    tables: found,
                    archived: manifest.archived,
                    variables: manifest.variables,
                });
            }
            // They are not taken again: their rows are written anew.
        }
    }

    /// Moment of the last run.
    pub(in crate::store::results) fn data_to_ms(&self) -> Result<i64, ResultError> {
        let sql = "SELECT coalesce(epoch_ms(max(ts)), 0) AS ts_ms FROM fact.observations";
        let found = self.connection.query_row(sql, [], |row| row.get("ts_ms"));
        found.map_err(reading)
    }
}

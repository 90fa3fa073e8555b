//! The ledger of the archive: every file with its SHA-256.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlStore, Result, word};
use crate::domain::{ArchiveDay, ArchiveFile, ArchiveState, ArchiveTable, UnixMillis};

const WHAT: &str = "file of the archive";

/// Part of the ledger.
#[derive(Debug, Clone, Default)]
pub struct ArchiveFilter {
    pub table: Option<ArchiveTable>,
    /// Path after which the part begins.
    pub after: Option<String>,
    /// Only files that were not verified since.
    pub verified_before_ms: Option<UnixMillis>,
    /// Only files that have a fault.
    pub is_faulty: bool,
    /// Only files that are not copied to the object store.
    pub is_uncopied: bool,
}

impl ControlStore {
    /// Notes a file that was written. One that was noted before, and cut off, is replaced.
    pub async fn archive_file_insert(&self, file: &ArchiveFile) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query(
            "INSERT OR REPLACE INTO archive_files
                 (path, table_name, day, number, state, row_count, byte_count, sha256, archived_ms, verified_ms, fault, copied_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(&file.path)
        .bind(file.day.table.as_str())
        .bind(file.day.day.to_string())
        .bind(file.number)
        .bind(file.state.as_str())
        .bind(file.rows)
        .bind(i64::try_from(file.bytes).unwrap_or(i64::MAX))
        .bind(&file.sha256)
        .bind(file.archived_ms)
        .bind(file.verified_ms)
        .bind(&file.fault)
        .bind(file.copied_ms)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Has a file count from now on, in place of the others of its day, which are removed from the
    /// ledger and returned.
    pub async fn archive_file_live(&self, file: &ArchiveFile) -> Result<Vec<ArchiveFile>> {
        let mut tx = self.begin_write().await?;
        let replaced = sqlx::query(
            "DELETE FROM archive_files WHERE table_name = $1 AND day = $2 AND path <> $3 RETURNING *",
        )
        .bind(file.day.table.as_str())
        .bind(file.day.day.to_string())
        .bind(&file.path)
        .fetch_all(&mut *tx)
        .await?;
        let replaced = replaced.iter().map(file_from).collect::<Result<_>>()?;
        sqlx::query("UPDATE archive_files SET state = $2 WHERE path = $1")
            .bind(&file.path)
            .bind(ArchiveState::Live.as_str())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(replaced)
    }

    /// Notes that a file was read and compared, and what is wrong with it.
    pub async fn archive_file_verified(
        &self,
        path: &str,
        at_ms: UnixMillis,
        fault: Option<&str>,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("UPDATE archive_files SET verified_ms = $2, fault = $3 WHERE path = $1")
            .bind(path)
            .bind(at_ms)
            .bind(fault)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Notes that a file was copied to the object store.
    pub async fn archive_file_copied(&self, path: &str, at_ms: UnixMillis) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("UPDATE archive_files SET copied_ms = $2 WHERE path = $1")
            .bind(path)
            .bind(at_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes a file from the ledger.
    pub async fn archive_file_delete(&self, path: &str) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("DELETE FROM archive_files WHERE path = $1")
            .bind(path)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Returns the files of one day: one, or two while it is archived again.
    pub async fn archive_files_of(&self, day: ArchiveDay) -> Result<Vec<ArchiveFile>> {
        let rows = sqlx::query(
            "SELECT * FROM archive_files WHERE table_name = $1 AND day = $2 ORDER BY number",
        )
        .bind(day.table.as_str())
        .bind(day.day.to_string())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(file_from).collect()
    }

    /// Returns files in the order of their paths, so many at most.
    pub async fn archive_file_list(
        &self,
        filter: &ArchiveFilter,
        limit: u32,
    ) -> Result<Vec<ArchiveFile>> {
        let rows = sqlx::query(
            "SELECT * FROM archive_files
             WHERE ($1 IS NULL OR table_name = $1) AND ($2 IS NULL OR path > $2)
                 AND ($3 IS NULL OR verified_ms < $3) AND ($4 = 0 OR fault IS NOT NULL)
                 AND ($5 = 0 OR (copied_ms IS NULL AND state = 'live'))
             ORDER BY path LIMIT $6",
        )
        .bind(filter.table.map(ArchiveTable::as_str))
        .bind(&filter.after)
        .bind(filter.verified_before_ms)
        .bind(filter.is_faulty)
        .bind(filter.is_uncopied)
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(file_from).collect()
    }
}

fn file_from(row: &SqliteRow) -> Result<ArchiveFile> {
    let path: String = row.try_get("path")?;
    let file = ArchiveFile {
        day: ArchiveDay {
            table: word(row, "table_name", WHAT, &path, ArchiveTable::parse)?,
            day: word(row, "day", WHAT, &path, |text| text.parse().ok())?,
        },
        number: row.try_get("number")?,
        rows: row.try_get("row_count")?,
        bytes: u64::try_from(row.try_get::<i64, _>("byte_count")?).unwrap_or(0),
        sha256: row.try_get("sha256")?,
        state: word(row, "state", WHAT, &path, ArchiveState::parse)?,
        archived_ms: row.try_get("archived_ms")?,
        verified_ms: row.try_get("verified_ms")?,
        fault: row.try_get("fault")?,
        copied_ms: row.try_get("copied_ms")?,
        path,
    };
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    #[tokio::test]
    async fn a_file_that_is_live_takes_the_place_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, dir.path()).unwrap();
        let path = dir.path().join("control.sqlite");
        let store = ControlStore::open(&path, keyring).await.unwrap();
        let day = ArchiveDay::of(ArchiveTable::Observations, 0).unwrap();
        let file = |number| ArchiveFile {
            day,
            path: day.path(number),
            number,
            rows: 5,
            bytes: 700,
            sha256: "ab".to_owned(),
            state: ArchiveState::Written,
            archived_ms: 1,
            verified_ms: 1,
            fault: None,
            copied_ms: None,
        };
        let (first, second) = (file(1), file(2));
        for file in [&first, &first, &second] {
            store.archive_file_insert(file).await.unwrap();
        }
        assert_eq!(
            store.archive_files_of(day).await.unwrap(),
            [first.clone(), second.clone()]
        );
        let replaced = store.archive_file_live(&second).await.unwrap();
        assert_eq!(replaced, [first]);
        store
            .archive_file_verified(&second.path, 9, Some("it is gone"))
            .await
            .unwrap();
        let faulty = ArchiveFilter {
            is_faulty: true,
            ..ArchiveFilter::default()
        };
        let found = store.archive_file_list(&faulty, 10).await.unwrap();
        let wanted = ArchiveFile {
            state: ArchiveState::Live,
            verified_ms: 9,
            fault: Some("it is gone".to_owned()),
            ..second.clone()
        };
        assert_eq!(found, [wanted]);
        let uncopied = ArchiveFilter {
            is_uncopied: true,
            ..ArchiveFilter::default()
        };
        assert_eq!(
            store.archive_file_list(&uncopied, 10).await.unwrap().len(),
            1
        );
        store.archive_file_copied(&second.path, 11).await.unwrap();
        assert_eq!(store.archive_file_list(&uncopied, 10).await.unwrap(), []);
        let behind = ArchiveFilter {
            after: Some(second.path.clone()),
            ..ArchiveFilter::default()
        };
        assert_eq!(store.archive_file_list(&behind, 10).await.unwrap(), []);
        store.archive_file_delete(&second.path).await.unwrap();
        assert_eq!(store.archive_files_of(day).await.unwrap(), []);
    }
}

//! One round: days that are due become files, and files that are too old are deleted.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Archive, ArchiveError, PAGE, files, in_background};
use crate::domain::{
    ArchiveDay, ArchiveFile, ArchiveSettings, ArchiveState, ArchiveTable, StorageSettings,
    UnixMillis, now_ms,
};
use crate::store::ArchivedDay;
use crate::store::control::ArchiveFilter;

/// Rows may come while a day is written; then it is written again, so often in one round.
const TRIES: usize = 3;
/// Longer than any query may take.
const QUERIES_END: Duration = Duration::from_secs(900);
/// Beginning of the names of files while they are written. Each has a name of its own: a damaged file
/// may be fetched while a day is archived.
const WRITING: &str = "archive";

impl Archive {
    pub(super) async fn round(&self, settings: &StorageSettings) -> Result<(), ArchiveError> {
        self.delete_retired().await?;
        if let Some(archive) = &settings.archive {
            self.folder_check(archive)?;
            self.archive_due(archive).await?;
        }
        self.delete_old(settings).await?;
        self.scrub_due().await?;
        self.copy_new().await
    }

    /// Sends the files that the object store does not have. An error is one of the object store:
    /// days are archived all the same.
    async fn copy_new(&self) -> Result<(), ArchiveError> {
        let Some(copies) = &self.copies else {
            return Ok(());
        };
        let uncopied = ArchiveFilter {
            is_uncopied: true,
            ..ArchiveFilter::default()
        };
        loop {
            let page = self.control.archive_file_list(&uncopied, PAGE).await?;
            metrics::gauge!("extrack_archive_uncopied_files").set(page.len() as f64);
            if page.is_empty() {
                return Ok(());
            }
            for file in page {
                self.verify_before_use(&file).await?;
                let place = self.folder.join(&file.path);
                let sum = files::sum_of(&place);
                copies.put(&files::sum_name(&file.path), &sum).await?;
                copies.put(&file.path, &place).await?;
                self.control
                    .archive_file_copied(&file.path, now_ms())
                    .await?;
            }
        }
    }

    /// A folder that the operator named has to be there: an empty mount point is no place for it.
    fn folder_check(&self, settings: &ArchiveSettings) -> Result<(), ArchiveError> {
        let wanted = settings.folder.as_deref();
        if wanted.is_some_and(|wanted| wanted != &*self.folder)
            || (wanted.is_none() && self.is_named)
        {
            return Err(ArchiveError::Refused(
                "the folder of the archive was changed; it is used from the next start on"
                    .to_owned(),
            ));
        }
        if self.is_named {
            std::fs::read_dir(&self.folder).map_err(ArchiveError::io("read", &self.folder))?;
        }
        Ok(())
    }

    async fn archive_due(&self, settings: &ArchiveSettings) -> Result<(), ArchiveError> {
        let after_ms = i64::try_from(settings.after.as_millis()).unwrap_or(i64::MAX);
        let before_ms = now_ms().saturating_sub(after_ms);
        for table in ArchiveTable::ALL {
            while let Some(day) = self.results.archive_next(table, before_ms).await? {
                self.archive(day).await?;
            }
        }
        Ok(())
    }

    /// Archives one day. Each step leaves something that the next try, or [`Self::reconcile`], can
    /// go on from.
    async fn archive(&self, day: ArchiveDay) -> Result<(), ArchiveError> {
        for _ in 0..TRIES {
            if self.try_archive(day).await? {
                return Ok(());
            }
        }
        Err(ArchiveError::Refused(format!(
            "{day} still gets rows; it is archived later"
        )))
    }

    /// Returns false if rows came meanwhile.
    async fn try_archive(&self, day: ArchiveDay) -> Result<bool, ArchiveError> {
        let _one = self.one.lock().await;
        self.settle(day).await?;
        let known = self.control.archive_files_of(day).await?;
        let before = known
            .into_iter()
            .find(|file| file.state == ArchiveState::Live);
        if let Some(before) = &before {
            self.verify_before_use(before).await?;
        }
        let number = before.as_ref().map_or(1, |before| before.number + 1);
        let before_path = before.map(|before| self.folder.join(before.path));
        let staging = self.staging().await?;
        let written = self
            .results
            .archive_write(day, before_path, staging.clone())
            .await?;
        let path = day.path(number);
        let place = self.folder.join(&path);
        let (bytes, sha256) = in_background(move || files::place(&staging, &place)).await?;
        let at_ms = now_ms();
        let file = ArchiveFile {
            day,
            path: path.clone(),
            number,
            rows: written.file.rows,
            bytes,
            sha256,
            state: ArchiveState::Written,
            archived_ms: at_ms,
            verified_ms: at_ms,
            fault: None,
            copied_ms: None,
        };
        self.control.archive_file_insert(&file).await?;
        let archived = ArchivedDay {
            day,
            path,
            rows: file.rows,
        };
        if !self
            .results
            .archive_switch(archived, written.stored)
            .await?
        {
            self.discard(&file).await?;
            return Ok(false);
        }
        self.make_live(&file).await?;
        tracing::info!(table = %day.table, day = %day.day, rows = file.rows, bytes, "day archived");
        metrics::counter!("extrack_archived_days_total", "table" => day.table.as_str())
            .increment(1);
        Ok(true)
    }

    /// Ends what was begun with a day and cut off.
    async fn settle(&self, day: ArchiveDay) -> Result<(), ArchiveError> {
        let known = self.control.archive_files_of(day).await?;
        let mut written = known
            .into_iter()
            .filter(|file| file.state == ArchiveState::Written)
            .peekable();
        if written.peek().is_none() {
            return Ok(());
        }
        let counting = self.results.archive_list().await?;
        for file in written {
            if counting.iter().any(|counting| counting.path == file.path) {
                self.make_live(&file).await?;
            } else {
                self.discard(&file).await?;
            }
        }
        Ok(())
    }

    /// Has the ledger follow the database, in which a file counts by now.
    pub(super) async fn make_live(&self, file: &ArchiveFile) -> Result<(), ArchiveError> {
        for replaced in self.control.archive_file_live(file).await? {
            self.retire(replaced.path);
        }
        Ok(())
    }

    /// Has a file deleted once all queries that may read it have ended.
    fn retire(&self, path: String) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.push((Instant::now(), path));
    }

    async fn delete_retired(&self) -> Result<(), ArchiveError> {
        let paths: Vec<String> = {
            let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
            let over = retired.extract_if(.., |(since, _)| since.elapsed() >= QUERIES_END);
            over.map(|(_, path)| path).collect()
        };
        for path in paths {
            self.delete_file(&path).await?;
        }
        Ok(())
    }

    /// Deletes a file and its copy.
    pub(super) async fn delete_file(&self, path: &str) -> Result<(), ArchiveError> {
        let place = self.folder.join(path);
        in_background(move || files::delete(&place)).await?;
        if let Some(copies) = &self.copies {
            copies.delete(path).await?;
            copies.delete(&files::sum_name(path)).await?;
        }
        Ok(())
    }

    /// Removes a file that never counted.
    pub(super) async fn discard(&self, file: &ArchiveFile) -> Result<(), ArchiveError> {
        let place = self.folder.join(&file.path);
        in_background(move || files::delete(&place)).await?;
        self.control.archive_file_delete(&file.path).await?;
        Ok(())
    }

    /// Returns the path at which the next file is written, with nothing there.
    pub(super) async fn staging(&self) -> Result<PathBuf, ArchiveError> {
        let folder = self.results.staging();
        in_background(move || {
            std::fs::create_dir_all(&folder).map_err(ArchiveError::io("make", &folder))?;
            let path = folder.join(format!("{WRITING}-{:016x}.parquet", rand::random::<u64>()));
            files::delete(&path)?;
            std::fs::create_dir_all(&folder).map_err(ArchiveError::io("make", &folder))?;
            Ok(path)
        })
        .await
    }

    /// Deletes files of days that are no longer kept.
    async fn delete_old(&self, settings: &StorageSettings) -> Result<(), ArchiveError> {
        for table in ArchiveTable::ALL {
            let Some(before_ms) = kept_from_ms(settings, table) else {
                continue;
            };
            let mut filter = ArchiveFilter {
                table: Some(table),
                ..ArchiveFilter::default()
            };
            // Paths of one table are in the order of their days.
            loop {
                let page = self.control.archive_file_list(&filter, PAGE).await?;
                filter.after = page.last().map(|file| file.path.clone());
                let old = page
                    .iter()
                    .take_while(|file| file.day.ends_ms() <= before_ms);
                let mut deleted = 0;
                for file in old {
                    let _one = self.one.lock().await;
                    self.results.archive_forget(file.day).await?;
                    self.control.archive_file_delete(&file.path).await?;
                    self.retire(file.path.clone());
                    deleted += 1;
                }
                if deleted < page.len() || page.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Returns the moment before which days of a table are no longer kept; none: they are for ever.
pub(super) fn kept_from_ms(settings: &StorageSettings, table: ArchiveTable) -> Option<UnixMillis> {
    let kept = settings.kept(table)?;
    let kept_ms = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
    Some(now_ms().saturating_sub(kept_ms))
}

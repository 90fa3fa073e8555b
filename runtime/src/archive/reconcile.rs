//! Brings the ledger, the database and the folder together, after a crash, and after one of them
//! was lost or restored from a backup.

use super::copies::Copies;
use super::round::kept_from_ms;
use super::{Archive, ArchiveError, ArchiveReport, PAGE, files, in_background};
use crate::domain::{ArchiveDay, ArchiveFile, ArchiveState, StorageSettings, error_chain, now_ms};
use crate::store::ArchivedDay;
use crate::store::control::ArchiveFilter;

impl Archive {
    /// Ends what was cut off. Files of the ledger that the database does not count, because it was
    /// made anew, count again.
    pub(super) async fn reconcile(&self, settings: &StorageSettings) -> Result<(), ArchiveError> {
        let _one = self.one.lock().await;
        let counting = self.results.archive_list().await?;
        let counts = |path: &str| counting.iter().any(|counting| counting.path == path);
        let mut all = ArchiveFilter::default();
        loop {
            let page = self.control.archive_file_list(&all, PAGE).await?;
            let Some(last) = page.last() else { break };
            all.after = Some(last.path.clone());
            for file in page {
                match (file.state, counts(&file.path)) {
                    (ArchiveState::Written, true) => self.make_live(&file).await?,
                    (ArchiveState::Written, false) => self.discard(&file).await?,
                    (ArchiveState::Live, true) => {}
                    (ArchiveState::Live, false) => {
                        self.adopt(&file).await?;
                    }
                }
            }
        }
        for archived in &counting {
            let known = self.control.archive_files_of(archived.day).await?;
            if known.iter().all(|file| file.path != archived.path) {
                // The ledger is older than the file.
                let noted = self.note_found(archived.day, number_of(archived)).await;
                if let Err(error) = noted {
                    let error = error_chain(&error);
                    tracing::error!(file = archived.path, error, "the ledger lacks a file");
                }
            }
        }
        self.delete_left_over(settings).await
    }

    /// Takes over files that lie in the folder, or in the object store, and that the ledger does
    /// not have: after the data folder was lost, the archive is all that there is. Each one is compared with the SHA-256
    /// that lies beside it, and its day must have no rows in the database.
    pub async fn restore(&self) -> Result<ArchiveReport, ArchiveError> {
        let _one = self.one.lock().await;
        let folder = self.folder.clone();
        let mut report = ArchiveReport::default();
        self.fetch_missing(&mut report).await?;
        let found = in_background(move || files::found(&folder)).await?;
        for (index, (day, number)) in found.iter().enumerate() {
            // The last number of a day is the one that counts.
            let is_last = found.get(index + 1).is_none_or(|(next, _)| next != day);
            let known = self.control.archive_files_of(*day).await?;
            // One that the ledger has may be gone, replaced after the backup of the ledger.
            let is_there = known
                .iter()
                .any(|file| self.folder.join(&file.path).exists());
            if !is_last || is_there {
                continue;
            }
            report.files += 1;
            match self.note_found(*day, *number).await {
                Ok(file) if self.adopt(&file).await? => {
                    report.bytes += file.bytes;
                    self.make_live(&file).await?;
                }
                Ok(file) => {
                    self.control.archive_file_delete(&file.path).await?;
                    let fault = "the database has rows of its day; move them aside first";
                    report.faults.push((file.path, fault.to_owned()));
                }
                Err(error) => report.fault(day.path(*number), &error),
            }
        }
        Ok(report)
    }

    /// Fetches the files that the object store has and the folder has not.
    async fn fetch_missing(&self, report: &mut ArchiveReport) -> Result<(), ArchiveError> {
        let Some(copies) = &self.copies else {
            return Ok(());
        };
        for path in copies.list().await? {
            let place = self.folder.join(&path);
            if files::day_of(&path).is_none() || place.exists() {
                continue;
            }
            if let Err(error) = self.fetch(copies, &path).await {
                report.fault(path, &error);
            }
        }
        Ok(())
    }

    /// Fetches a copy, with the SHA-256 beside it, which it has to have.
    pub(super) async fn fetch(&self, copies: &Copies, path: &str) -> Result<(), ArchiveError> {
        let staging = self.staging().await?;
        let (sum, place) = (files::sum_of(&staging), self.folder.join(path));
        copies.get(&files::sum_name(path), &sum).await?;
        copies.get(path, &staging).await?;
        let path = path.to_owned();
        in_background(move || {
            let (_, sha256) = files::hash_of(&staging)?;
            if files::noted_sum(&staging) != Some(sha256) {
                files::delete(&staging)?;
                return Err(ArchiveError::Damaged {
                    path,
                    fault: "the copy in the object store is not what was written".to_owned(),
                });
            }
            files::place(&staging, &place)?;
            files::delete(&staging)
        })
        .await
    }

    /// Enters a file into the ledger as it is.
    async fn note_found(&self, day: ArchiveDay, number: u32) -> Result<ArchiveFile, ArchiveError> {
        let path = day.path(number);
        let place = self.folder.join(&path);
        let (noted, (bytes, sha256)) = in_background({
            let place = place.clone();
            move || Ok((files::noted_sum(&place), files::hash_of(&place)?))
        })
        .await?;
        let damaged = |fault: &str| ArchiveError::Damaged {
            path: path.clone(),
            fault: fault.to_owned(),
        };
        match noted {
            None => return Err(damaged("no SHA-256 lies beside it")),
            Some(noted) if noted != sha256 => {
                return Err(damaged("it does not have the SHA-256 that lies beside it"));
            }
            Some(_) => {}
        }
        let rows = self.results.archive_rows(place).await?;
        let at_ms = now_ms();
        let file = ArchiveFile {
            day,
            path,
            number,
            rows,
            bytes,
            sha256,
            state: ArchiveState::Live,
            archived_ms: at_ms,
            verified_ms: at_ms,
            fault: None,
            copied_ms: None,
        };
        self.control.archive_file_insert(&file).await?;
        Ok(file)
    }

    /// Has a file of the ledger count in the database. False: that has rows of the day, which is
    /// archived again with them.
    async fn adopt(&self, file: &ArchiveFile) -> Result<bool, ArchiveError> {
        let archived = ArchivedDay {
            day: file.day,
            path: file.path.clone(),
            rows: file.rows,
        };
        Ok(self.results.archive_adopt(archived).await?)
    }

    /// Deletes files that others have taken the place of, and those that are too old, where that
    /// was cut off.
    async fn delete_left_over(&self, settings: &StorageSettings) -> Result<(), ArchiveError> {
        let folder = self.folder.clone();
        let found = in_background(move || files::found(&folder)).await?;
        for (day, number) in found {
            let known = self.control.archive_files_of(day).await?;
            let newest = known.iter().map(|file| file.number).max();
            let is_replaced = newest.is_some_and(|newest| newest > number);
            let is_old = kept_from_ms(settings, day.table)
                .is_some_and(|before_ms| day.ends_ms() <= before_ms);
            if (is_replaced || is_old) && known.iter().all(|file| file.number != number) {
                self.delete_file(&day.path(number)).await?;
            }
        }
        Ok(())
    }
}

/// Returns the number in the path of a file that counts.
fn number_of(archived: &ArchivedDay) -> u32 {
    (1..=u32::from(u16::MAX))
        .find(|number| archived.day.path(*number) == archived.path)
        .unwrap_or(1)
}

//! Reads the files again, and compares them with the ledger: a flipped bit in a Parquet file is a
//! wrong answer, without an error.

use std::path::Path;
use std::time::Instant;

use super::{Archive, ArchiveError, ArchiveReport, PAGE, files, in_background};
use crate::domain::{ArchiveFile, UnixMillis, error_chain, now_ms};
use crate::store::control::ArchiveFilter;

/// Every file is read once in this time.
const WEEK_MS: i64 = 7 * 86_400_000;

impl Archive {
    /// Looks whether all files are there, and reads those that are due. The disk rests as long as
    /// it worked.
    pub(super) async fn scrub_due(&self) -> Result<(), ArchiveError> {
        let mut all = ArchiveFilter::default();
        let mut bytes = 0;
        loop {
            let page = self.control.archive_file_list(&all, PAGE).await?;
            let Some(last) = page.last() else { break };
            all.after = Some(last.path.clone());
            for file in &page {
                bytes += file.bytes;
                if file.fault.is_none()
                    && let Some(fault) = size_fault(file, &self.folder)
                {
                    tracing::error!(file = file.path, fault, "a file of the archive is damaged");
                    self.verify_file(file).await?;
                }
            }
        }
        metrics::gauge!("extrack_archive_bytes").set(bytes as f64);
        let due = ArchiveFilter {
            verified_before_ms: Some(now_ms() - WEEK_MS),
            ..ArchiveFilter::default()
        };
        loop {
            let page = self.control.archive_file_list(&due, PAGE).await?;
            if page.is_empty() {
                return Ok(());
            }
            for file in page {
                let began = Instant::now();
                self.verify_file(&file).await?;
                tokio::time::sleep(began.elapsed()).await;
            }
        }
    }

    /// Reads every file now, and returns what is wrong. A round follows at once, so that the alert
    /// about damaged files follows what was found.
    pub async fn verify(&self) -> Result<ArchiveReport, ArchiveError> {
        let mut report = ArchiveReport::default();
        let mut all = ArchiveFilter::default();
        loop {
            let page = self.control.archive_file_list(&all, PAGE).await?;
            let Some(last) = page.last() else {
                self.distrust().await?;
                self.wanted.notify_one();
                return Ok(report);
            };
            all.after = Some(last.path.clone());
            for file in page {
                report.files += 1;
                report.bytes += file.bytes;
                let fault = self.verify_file(&file).await?;
                report
                    .faults
                    .extend(fault.map(|fault| (file.path.clone(), fault)));
            }
        }
    }

    /// An error if the file is not what was written: its rows go nowhere else.
    pub(super) async fn verify_before_use(&self, file: &ArchiveFile) -> Result<(), ArchiveError> {
        match self.verify_file(file).await? {
            None => Ok(()),
            Some(fault) => Err(ArchiveError::Damaged {
                path: file.path.clone(),
                fault,
            }),
        }
    }

    /// Reads a file, and notes what is wrong with it. A damaged one is replaced by its copy, if
    /// there is one.
    async fn verify_file(&self, file: &ArchiveFile) -> Result<Option<String>, ArchiveError> {
        let look = async || {
            let (folder, wanted) = (self.folder.clone(), file.clone());
            in_background(move || Ok(fault_of(&wanted, &folder))).await
        };
        let mut fault = look().await?;
        if let (Some(found), Some(copies), Some(_)) = (&fault, &self.copies, file.copied_ms) {
            tracing::warn!(
                file = file.path,
                fault = found,
                "fetching the copy of a damaged file"
            );
            fault = match self.fetch(copies, &file.path).await {
                Ok(()) => look().await?,
                Err(error) => Some(format!("{found}; {}", error_chain(&error))),
            };
        }
        self.note(file, fault.clone()).await?;
        Ok(fault)
    }

    async fn note(&self, file: &ArchiveFile, fault: Option<String>) -> Result<(), ArchiveError> {
        if let Some(fault) = &fault {
            tracing::error!(file = file.path, fault, "a file of the archive is damaged");
        }
        let at_ms: UnixMillis = now_ms();
        self.control
            .archive_file_verified(&file.path, at_ms, fault.as_deref())
            .await?;
        Ok(())
    }
}

/// Faults that show without reading the file.
fn size_fault(file: &ArchiveFile, folder: &Path) -> Option<String> {
    match std::fs::metadata(folder.join(&file.path)) {
        Err(error) => Some(format!("it can't be read: {error}")),
        Ok(found) if found.len() != file.bytes => Some(format!(
            "it has {} bytes instead of {}",
            found.len(),
            file.bytes
        )),
        Ok(_) => None,
    }
}

fn fault_of(file: &ArchiveFile, folder: &Path) -> Option<String> {
    if let Some(fault) = size_fault(file, folder) {
        return Some(fault);
    }
    match files::hash_of(&folder.join(&file.path)) {
        Err(error) => Some(format!("it can't be read: {error}")),
        Ok((_, sha256)) if sha256 != file.sha256 => Some(format!(
            "its SHA-256 is {sha256} instead of {}",
            file.sha256
        )),
        Ok(_) => None,
    }
}

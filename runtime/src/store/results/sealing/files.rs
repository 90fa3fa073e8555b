//! The folder of sealed files. A file stays as long as the store names it or somebody holds it; it
//! goes with the last of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::ledger::Entry;
use crate::store::files::hash;
use crate::store::results::changes::Span;

/// A file that was compared with its SHA-256 is trusted for so long: hashing takes a second or two
/// of a gigabyte, which is more than most queries do.
const TRUSTED_FOR: Duration = Duration::from_secs(3_600);

/// A file whose rows never change.
#[derive(Debug)]
pub(in crate::store::results) struct SealedFile {
    path: PathBuf,
    pub(super) span: Span,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// In hex.
    pub(super) sha256: String,
    /// Last moment at which it was what was written.
    checked_at: Mutex<Option<Instant>>,
    is_damaged: AtomicBool,
    /// False: the file stays where it is, whatever is wrong with it.
    is_ours: bool,
    /// True: the file goes with the last one who holds it.
    is_retired: AtomicBool,
}

impl SealedFile {
    pub(in crate::store::results) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn name(&self) -> String {
        name_of(&self.path)
    }

    /// Whether it need not be read to know that it is what was written.
    pub(in crate::store::results) fn is_trusted(&self) -> bool {
        let checked_at = *self.lock_checked();
        checked_at.is_some_and(|at| at.elapsed() < TRUSTED_FOR) && !self.is_damaged()
    }

    /// Whether it is what was written: read again, unless that was done lately. One that is not is
    /// deleted, so that the next look writes its rows anew, and who still reads it gets an error
    /// instead of a wrong answer. Blocks.
    pub(in crate::store::results) fn check(&self) -> bool {
        if self.is_trusted() {
            return true;
        }
        let found = File::open(&self.path).and_then(|mut file| hash(&mut file));
        let fault = match found {
            Ok((_, sha256)) if sha256 == self.sha256 => {
                *self.lock_checked() = Some(Instant::now());
                return !self.is_damaged();
            }
            Ok(_) => "its SHA-256 is another".to_owned(),
            Err(error) => error.to_string(),
        };
        if !self.is_damaged.swap(true, Ordering::Relaxed) {
            metrics::counter!("extrack_sealed_damaged_files_total").increment(1);
            tracing::error!(file = %self.path.display(), fault, "a sealed file is damaged; its rows are written anew from the store");
            if self.is_ours {
                // Where it can't be deleted, it is known to be damaged as long as somebody holds
                // it.
                let _ = std::fs::remove_file(&self.path);
            }
        }
        false
    }

    fn lock_checked(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.checked_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_damaged(&self) -> bool {
        self.is_damaged.load(Ordering::Relaxed)
    }

    /// The store does not name it, or will not any more.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// The store names it.
    pub(super) fn keep(&self) {
        self.is_retired.store(false, Ordering::Relaxed);
    }
}

impl Drop for SealedFile {
    fn drop(&mut self) {
        if self.is_retired.load(Ordering::Relaxed) {
            // What stays is removed by the next seal.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The folder, and which of its files somebody holds.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Where new files go.
    new_files: PathBuf,
    held: Mutex<BTreeMap<String, Weak<SealedFile>>>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            new_files: path.clone(),
            path,
            held: Mutex::default(),
        }
    }

    /// A folder in which nothing is changed: new files go to another one.
    pub(super) fn read_only(path: PathBuf, new_files: PathBuf) -> Self {
        Self {
            path,
            new_files,
            held: Mutex::default(),
        }
    }

    fn is_ours(&self) -> bool {
        self.path == self.new_files
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn create(&self) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.path)
    }

    /// Returns the path of a file that is not there yet.
    pub(super) fn new_file(&self, table: &str, span: Span) -> PathBuf {
        let random: u64 = rand::random();
        self.new_files
            .join(format!("{table}-{span}-{random:016x}.parquet"))
    }

    /// Takes a file that was just written, which goes with the last one who holds it unless it is
    /// kept.
    pub(super) fn add(&self, path: PathBuf, span: Span, rows: u64) -> io::Result<Arc<SealedFile>> {
        let (bytes, sha256) = hash(&mut File::open(&path)?)?;
        let file = Arc::new(SealedFile {
            path,
            span,
            rows,
            bytes,
            sha256,
            checked_at: Mutex::new(Some(Instant::now())),
            is_damaged: AtomicBool::new(false),
            is_ours: true,
            is_retired: AtomicBool::new(true),
        });
        self.lock().insert(file.name(), Arc::downgrade(&file));
        Ok(file)
    }

    /// Returns a file that the store names; none if it is known not to be there as it was written.
    pub(super) fn named(&self, entry: &Entry) -> Option<Arc<SealedFile>> {
        let path = self.path.join(&entry.file);
        let found = std::fs::metadata(&path).ok()?;
        if found.len() != entry.bytes || !found.is_file() || entry.sha256.is_empty() {
            return None;
        }
        let mut held = self.lock();
        if let Some(file) = held.get(&entry.file).and_then(Weak::upgrade) {
            return (!file.is_damaged()).then_some(file);
        }
        let file = Arc::new(SealedFile {
            path,
            span: entry.span,
            rows: entry.rows,
            bytes: entry.bytes,
            sha256: entry.sha256.clone(),
            checked_at: Mutex::default(),
            is_damaged: AtomicBool::new(false),
            is_ours: self.is_ours(),
            is_retired: AtomicBool::new(false),
        });
        held.insert(entry.file.clone(), Arc::downgrade(&file));
        Some(file)
    }

    /// Removes what neither the store names nor anybody holds: left by a crash.
    pub(super) fn clean(&self, named: &BTreeSet<String>) -> io::Result<()> {
        let mut held = self.lock();
        held.retain(|_, file| file.strong_count() > 0);
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !named.contains(&name) && !held.contains_key(&name) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Makes the names of new files durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Weak<SealedFile>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Folder, span: Span) -> PathBuf {
        let path = folder.new_file("events", span);
        std::fs::write(&path, "rows").unwrap();
        path
    }

    fn entry(file: &SealedFile) -> Entry {
        Entry {
            table: "events".to_owned(),
            span: file.span,
            file: file.name(),
            rows: file.rows,
            bytes: file.bytes,
            shape: String::new(),
            sha256: file.sha256.clone(),
        }
    }

    #[test]
    fn a_file_goes_with_the_last_who_holds_it_unless_it_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().join("sealed"));
        folder.create().unwrap();
        let [passing, kept] = [1, 2].map(|at| {
            let span = Span::new(at, at + 1);
            folder.add(write(&folder, span), span, 1).unwrap()
        });
        kept.keep();
        let paths = [passing.path().to_owned(), kept.path().to_owned()];
        let reader = Arc::clone(&passing);
        drop(passing);
        assert!(paths[0].exists(), "somebody reads it");
        drop(reader);
        assert!(!paths[0].exists());
        let entry = entry(&kept);
        drop(kept);
        assert!(paths[1].exists(), "the store names it");
        let grown = Entry {
            bytes: 5,
            ..entry.clone()
        };
        assert!(folder.named(&grown).is_none(), "cut or grown");
        let again = folder.named(&entry).unwrap();
        let same = folder.named(&entry).unwrap();
        assert!(Arc::ptr_eq(&again, &same));
        again.retire();
        drop(again);
        assert!(paths[1].exists());
        drop(same);
        assert!(!paths[1].exists());
    }

    #[test]
    fn a_file_with_a_flipped_bit_is_found_when_it_is_checked_and_named_no_more() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().to_owned());
        let span = Span::new(1, 2);
        let written = folder.add(write(&folder, span), span, 1).unwrap();
        written.keep();
        let entry = entry(&written);
        assert!(written.is_trusted(), "it was hashed when it was written");
        drop(written);
        std::fs::write(root.path().join(&entry.file), "rowr").unwrap();
        let damaged = folder.named(&entry).unwrap();
        assert!(!damaged.is_trusted() && !damaged.check());
        assert!(!damaged.path().exists() && folder.named(&entry).is_none());
        std::fs::write(root.path().join(&entry.file), "rows").unwrap();
        assert!(!damaged.check(), "what was handed out may be wrong");
        drop(damaged);
        let mended = folder.named(&entry).unwrap();
        assert!(mended.check() && mended.is_trusted());
    }

    #[test]
    fn what_a_crash_left_behind_is_removed_and_what_is_held_is_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().to_owned());
        let left = write(&folder, Span::new(1, 2));
        let named = write(&folder, Span::new(2, 3));
        let span = Span::new(3, 4);
        let held = folder.add(write(&folder, span), span, 1).unwrap();
        let names = BTreeSet::from([name_of(&named)]);
        folder.clean(&names).unwrap();
        assert!(!left.exists());
        assert!(named.exists() && held.path().exists());
    }
}

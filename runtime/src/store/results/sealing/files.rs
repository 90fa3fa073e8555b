//! The folder of sealed files. A file stays as long as the store names it or somebody holds it; it
//! goes with the last of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, Weak};

use std::sync::Arc;

use crate::store::results::changes::Span;

/// A file whose rows never change.
#[derive(Debug)]
pub(in crate::store::results) struct SealedFile {
    path: PathBuf,
    pub(super) span: Span,
    pub(super) rows: u64,
    pub(super) bytes: u64,
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
    held: Mutex<BTreeMap<String, Weak<SealedFile>>>,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            held: Mutex::default(),
        }
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
        self.path
            .join(format!("{table}-{span}-{random:016x}.parquet"))
    }

    /// Takes a file that was just written, which goes with the last one who holds it unless it is
    /// kept.
    pub(super) fn add(&self, path: PathBuf, span: Span, rows: u64) -> io::Result<Arc<SealedFile>> {
        let bytes = std::fs::metadata(&path)?.len();
        let file = Arc::new(SealedFile {
            path,
            span,
            rows,
            bytes,
            is_retired: AtomicBool::new(true),
        });
        self.lock().insert(file.name(), Arc::downgrade(&file));
        Ok(file)
    }

    /// Returns a file that the store names; none if it is not there as it was written.
    pub(super) fn named(
        &self,
        name: &str,
        span: Span,
        rows: u64,
        bytes: u64,
    ) -> Option<Arc<SealedFile>> {
        let path = self.path.join(name);
        let found = std::fs::metadata(&path).ok()?;
        if found.len() != bytes || !found.is_file() {
            return None;
        }
        let mut held = self.lock();
        if let Some(file) = held.get(name).and_then(Weak::upgrade) {
            return Some(file);
        }
        let file = Arc::new(SealedFile {
            path,
            span,
            rows,
            bytes,
            is_retired: AtomicBool::new(false),
        });
        held.insert(name.to_owned(), Arc::downgrade(&file));
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
        let (name, span) = (kept.name(), kept.span);
        drop(kept);
        assert!(paths[1].exists(), "the store names it");
        assert!(folder.named(&name, span, 1, 5).is_none(), "cut or grown");
        let again = folder.named(&name, span, 1, 4).unwrap();
        let same = folder.named(&name, span, 1, 4).unwrap();
        assert!(Arc::ptr_eq(&again, &same));
        again.retire();
        drop(again);
        assert!(paths[1].exists());
        drop(same);
        assert!(!paths[1].exists());
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

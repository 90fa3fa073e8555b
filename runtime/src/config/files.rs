//! The texts of the configuration files, read once: what is checked, compared and kept is the same
//! reading.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::document::MAX_FILE_BYTES;
use super::environment::read_limited;

/// Files that are read in a configuration folder.
pub const NAMES: [&str; 6] = [
    super::SERVICES,
    super::ALERTS,
    super::PLUGINS,
    super::STORAGE,
    super::STATUS_PAGES,
    super::REPORTS,
];

/// Texts by file name; a file that is not there has none. They may hold secrets, and print as their
/// names.
#[derive(Clone, Default)]
pub struct ConfigFiles {
    texts: BTreeMap<String, String>,
    /// Why a file that is there could not be read.
    pub(super) unreadable: BTreeMap<&'static str, String>,
}

impl fmt::Debug for ConfigFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.texts.keys()).finish()
    }
}

impl ConfigFiles {
    /// Blocking.
    pub fn read(folder: &Path) -> Self {
        let mut files = Self::default();
        for name in NAMES {
            match read_limited(&folder.join(name), MAX_FILE_BYTES) {
                Ok(Some(text)) => drop(files.texts.insert(name.to_owned(), text)),
                Ok(None) => {}
                Err(message) => drop(files.unreadable.insert(name, message)),
            }
        }
        files
    }

    /// Returns files as they were kept.
    pub fn of(texts: BTreeMap<String, String>) -> Self {
        Self {
            texts,
            unreadable: BTreeMap::new(),
        }
    }

    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.texts
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(String::as_str)
    }

    /// sha256 over names and texts, in hex.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (name, text) in &self.texts {
            for part in [name, text] {
                digest.update((part.len() as u64).to_be_bytes());
                digest.update(part.as_bytes());
            }
        }
        hex::encode(digest.finalize())
    }
}

/// Sizes and times of the files: different while somebody writes one.
#[derive(Debug, PartialEq, Eq)]
pub struct FileStamps([Option<(u64, Option<SystemTime>)>; NAMES.len()]);

impl FileStamps {
    /// Blocking.
    pub fn of(folder: &Path) -> Self {
        Self(NAMES.map(|name| {
            let metadata = std::fs::metadata(folder.join(name)).ok()?;
            Some((metadata.len(), metadata.modified().ok()))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_names_and_texts() {
        let of = |pairs: &[(&str, &str)]| {
            let texts = pairs
                .iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            ConfigFiles::of(texts.collect()).digest()
        };
        assert_eq!(of(&[("a", "bc")]), of(&[("a", "bc")]));
        assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
        assert_ne!(of(&[("a", "")]), of(&[]));
    }

    #[test]
    fn a_file_that_is_not_there_has_no_text_and_one_that_can_not_be_read_has_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("services.yaml"), "services: []").unwrap();
        std::fs::create_dir(folder.path().join("alerts.yaml")).unwrap();
        let files = ConfigFiles::read(folder.path());
        assert_eq!(files.texts().keys().collect::<Vec<_>>(), ["services.yaml"]);
        assert_eq!(
            files.unreadable.keys().collect::<Vec<_>>(),
            [&"alerts.yaml"]
        );
        let before = FileStamps::of(folder.path());
        std::fs::write(folder.path().join("services.yaml"), "services: [] # more").unwrap();
        assert_ne!(FileStamps::of(folder.path()), before);
    }
}

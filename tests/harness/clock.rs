//! A wall clock that a test sets while the program runs. The monotonic clock is left alone, as it
//! is by an administrator, by NTP and by a machine that was suspended.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::runtime::{Builder, text};

pub struct WallClock {
    folder: TempDir,
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new()
    }
}

impl WallClock {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let clock = Self { folder };
        clock.set(0);
        clock
    }

    /// The program has this clock.
    pub fn of(&self, builder: Builder) -> Builder {
        builder
            .env("LD_PRELOAD", text(&library()))
            .env("FAKETIME_TIMESTAMP_FILE", text(&self.file()))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_DONT_RESET", "1")
            .env("NO_FAKE_STAT", "1")
    }

    /// Seconds ahead of the true time; the program sees it at once.
    pub fn set(&self, ahead_s: i64) {
        // Whole or not at all: the program reads it with each look at the clock.
        let half = self.folder.path().join("half");
        std::fs::write(&half, format!("{ahead_s:+}\n")).expect("a temporary folder can be written");
        std::fs::rename(half, self.file()).expect("a temporary folder can be written");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("time")
    }
}

/// Where Debian's package has it.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    folders
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.exists())
        .expect("`make setup` installs libfaketime")
}

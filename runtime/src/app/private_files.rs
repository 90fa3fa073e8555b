//! Files in the data folder are the program's alone, also in a folder that was made for everybody
//! to read.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

use rustix::fs::Mode;

/// Permissions of others, which are taken away.
const OTHERS: u32 = 0o077;

/// How the names of the stores' files begin, with logs, locks, markers and what was set aside.
const STORES: [&str; 3] = ["control.", "results.duckdb", "secret.key"];

/// Folders that the program makes itself.
const FOLDERS: [&str; 3] = ["plugins", "recordings", "segments"];

/// Makes the data folder. An existing one keeps what its owner set; what is in it is the program's
/// alone.
pub(super) fn prepare(data: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("making the data folder `{}`", data.display()))?;
    keep_private(data).with_context(|| format!("reading the data folder `{}`", data.display()))
}

/// Takes from others what they may do with what is there from before, and with whatever this
/// process makes from now on: SQLite and DuckDB make files of their own.
pub(super) fn keep_private(data: &Path) -> io::Result<()> {
    rustix::process::umask(Mode::from_raw_mode(OTHERS));
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if STORES.iter().any(|store| name.starts_with(store)) || FOLDERS.contains(&name.as_ref()) {
            close(&entry.path());
        }
    }
    Ok(())
}

/// Keeps secrets out of core files, and other processes of the same user out of this one's memory.
#[cfg(target_os = "linux")]
pub(super) fn leave_no_core() {
    let behavior = rustix::process::DumpableBehavior::NotDumpable;
    if let Err(error) = rustix::process::set_dumpable_behavior(behavior) {
        tracing::warn!(%error, "a core file of this program would hold its secrets");
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn leave_no_core() {}

/// Closes what a link leads to, too. A file of another user is theirs to close.
fn close(path: &Path) {
    let Ok(found) = fs::metadata(path) else {
        return;
    };
    let mode = found.permissions().mode();
    if mode & OTHERS == 0 {
        return;
    }
    let path_text = path.display();
    match fs::set_permissions(path, Permissions::from_mode(mode & !OTHERS)) {
        Ok(()) => {
            tracing::info!(path = %path_text, "others could read this; now only the program can")
        }
        Err(error) => {
            tracing::warn!(path = %path_text, %error, "others can read this, and its mode can't be changed")
        }
    }
}

//! What becomes of a file that can't be opened. A damaged one is set aside, never deleted, and
//! alerting starts without history; a disk that is full or a lack of permission passes, and damages
//! nothing.

use std::path::{Path, PathBuf};

use super::ResultError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The file itself.
    Damage,
    /// Something around it; another try may work.
    Surroundings,
    /// Not ours to decide: a newer program wrote it, or another one uses it.
    Refusal,
}

/// Words of DuckDB and the system when the file is not to blame.
const SURROUNDINGS: [&str; 16] = [
    "no space left",
    "permission denied",
    "too many open files",
    "input/output error",
    "read-only file system",
    "disk quota",
    "out of memory",
    "cannot allocate",
    "is a directory",
    "no such file",
    "could not allocate",
    "failed to allocate",
    "failed to pin",
    "bad_alloc",
    "resource temporarily unavailable",
    "interrupted",
];

const REFUSALS: [&str; 3] = [
    "newer version of duckdb",
    "could not set lock",
    "conflicting lock",
];

pub(super) fn cause_of(error: &ResultError) -> Cause {
    match error {
        ResultError::Database { source, .. } => cause_of_text(&source.to_string()),
        // A panic of the database is a bug that the content of the file provoked.
        ResultError::Reader => Cause::Damage,
        _ => Cause::Refusal,
    }
}

fn cause_of_text(text: &str) -> Cause {
    let text = text.to_lowercase();
    if REFUSALS.iter().any(|word| text.contains(word)) {
        Cause::Refusal
    } else if SURROUNDINGS.iter().any(|word| text.contains(word)) {
        Cause::Surroundings
    } else {
        Cause::Damage
    }
}

/// `results.duckdb.wal` of `results.duckdb`.
pub(super) fn log_of(path: &Path) -> PathBuf {
    with_ending(path, ".wal")
}

/// Files beside the store in which commits may be that it has not yet.
const LOGS: [&str; 3] = [".wal", ".wal.checkpoint", ".wal.recovery"];

/// Whether it is the file that is damaged, and not a log that is not its own.
pub(super) fn is_of_the_file(error: &ResultError) -> bool {
    match error {
        ResultError::Database { source, .. } => names_the_file(&source.to_string()),
        _ => false,
    }
}

fn names_the_file(text: &str) -> bool {
    text.to_lowercase().contains("database file") && !text.contains("WAL")
}

/// Renames the logs to `NAME.damaged-MOMENT`, and the file as well unless `is_log_alone`, all with one
/// moment: they belong together. Returns the new name of the first; none: there are no such files.
pub(super) fn set_aside(path: &Path, is_log_alone: bool) -> std::io::Result<Option<PathBuf>> {
    let logs = LOGS.iter().map(|ending| with_ending(path, ending));
    let file = (!is_log_alone).then(|| path.to_owned());
    let files: Vec<PathBuf> = file.into_iter().chain(logs).collect();
    let moment = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S").to_string();
    // Two within one second must not replace each other.
    for attempt in 0..100 {
        let suffix = if attempt == 0 {
            String::new()
        } else {
            format!("-{attempt}")
        };
        let ending = format!(".damaged-{moment}Z{suffix}");
        if files.iter().any(|file| with_ending(file, &ending).exists()) {
            continue;
        }
        let mut first = None;
        // The logs first: a file without them is the store of the last checkpoint, and they are
        // nothing without it.
        for file in files.iter().rev() {
            let target = with_ending(file, &ending);
            match std::fs::rename(file, &target) {
                Ok(()) => first = Some(target),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        return Ok(first);
    }
    Err(std::io::ErrorKind::AlreadyExists.into())
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_another_file_is_no_damage_of_this_one() {
        for (text, wanted) in [
            (
                "IO Error: Corrupt database file: computed checksum 1 does not match stored checksum 2",
                true,
            ),
            (
                "IO Error: The file \"x\" exists, but it is not a valid DuckDB database file!",
                true,
            ),
            ("IO Error: WAL does not match database file.", false),
            (
                "IO Error: This WAL was created for this database file, but the WAL checkpoint iteration does not match the database file.",
                false,
            ),
            ("Serialization Error: Failed to deserialize", false),
        ] {
            assert_eq!(names_the_file(text), wanted, "{text}");
        }
    }

    #[test]
    fn only_what_lies_in_the_file_is_damage() {
        for (text, cause) in [
            (
                "IO Error: Could not write file \"x\": No space left on device",
                Cause::Surroundings,
            ),
            (
                "IO Error: Cannot open file \"x\": Permission denied",
                Cause::Surroundings,
            ),
            (
                "IO Error: The file \"x\" exists, but it is not a valid DuckDB database file!",
                Cause::Damage,
            ),
            (
                "IO Error: Corrupt database file: computed checksum 1 does not match",
                Cause::Damage,
            ),
            ("Serialization Error: Failed to deserialize", Cause::Damage),
            (
                "The database file was created with an newer version of DuckDB.",
                Cause::Refusal,
            ),
            (
                "IO Error: Could not set lock on file \"x\": Conflicting lock is held in PID 4",
                Cause::Refusal,
            ),
        ] {
            assert_eq!(cause_of_text(text), cause, "{text}");
        }
    }

    #[test]
    fn a_file_is_set_aside_beside_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.duckdb");
        assert_eq!(set_aside(&path, false).unwrap(), None);
        for _ in 0..3 {
            std::fs::write(&path, "junk").unwrap();
            let target = set_aside(&path, false).unwrap().unwrap();
            assert!(
                target
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .starts_with("results.duckdb.damaged-2")
            );
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}

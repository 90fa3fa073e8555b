//! Files of the archive on the disk. Beside each one lies its SHA-256, as `sha256sum` writes it, so
//! that it can be compared without this program.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::ArchiveError;
use crate::domain::{ArchiveDay, ArchiveTable};
use crate::store::files::{hash, sync_folder};
pub(super) use crate::store::files::{noted_sum, sum_of};

/// End of a file that is being copied.
const PARTIAL: &str = "partial";
const SUM: &str = "sha256";

/// Moves a file to its place, from another disk as well. All of it is on the disk when this
/// returns. Returns its size and SHA-256, read where it is now. Blocks.
pub(super) fn place(from: &Path, to: &Path) -> Result<(u64, String), ArchiveError> {
    let (bytes, sha256) = hash_of(from)?;
    let folder = to.parent().unwrap_or(Path::new("."));
    let write = || {
        std::fs::create_dir_all(folder)?;
        File::open(from)?.sync_all()?;
        match std::fs::rename(from, to) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                let partial = with_end(to, PARTIAL);
                std::fs::copy(from, &partial)?;
                File::open(&partial)?.sync_all()?;
                std::fs::rename(&partial, to)?;
                std::fs::remove_file(from)
            }
            renamed => renamed,
        }?;
        write_sum(to, &sha256)?;
        for folder in folder.ancestors().take(3) {
            sync_folder(folder)?;
        }
        Ok(())
    };
    write().map_err(ArchiveError::io("write", to))?;
    let found = hash_of(to)?;
    if found != (bytes, sha256) {
        return Err(ArchiveError::Refused(format!(
            "`{}` is not what was written to it; is the disk well?",
            to.display()
        )));
    }
    Ok(found)
}

fn write_sum(of: &Path, sha256: &str) -> std::io::Result<()> {
    let name = of.file_name().unwrap_or_default().to_string_lossy();
    let mut file = File::create(sum_of(of))?;
    writeln!(file, "{sha256}  {name}")?;
    file.sync_all()
}

/// Returns the path of the SHA-256 of a file inside the archive.
pub(super) fn sum_name(of: &str) -> String {
    format!("{of}.{SUM}")
}

/// Returns the file that a path inside the archive stands for.
pub(super) fn day_of(path: &str) -> Option<(ArchiveDay, u32)> {
    let path = Path::new(path);
    let mut folders = path.parent()?.iter().map(OsStr::to_str);
    let table = ArchiveTable::parse(folders.next()??)?;
    let day = folders.next()??.strip_prefix("day=")?.parse().ok()?;
    let day = ArchiveDay { table, day };
    number_of(day, path).map(|number| (day, number))
}

/// Returns the size and the SHA-256 of a file. Blocks.
pub(super) fn hash_of(path: &Path) -> Result<(u64, String), ArchiveError> {
    File::open(path)
        .and_then(|mut file| hash(&mut file))
        .map_err(ArchiveError::io("read", path))
}

/// Deletes a file and what lies beside it, and its folder when that is empty. What is not there is
/// nothing to do.
pub(super) fn delete(path: &Path) -> Result<(), ArchiveError> {
    for path in [path.to_owned(), sum_of(path), with_end(path, PARTIAL)] {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ArchiveError::io("delete", &path)(error));
            }
            _ => {}
        }
    }
    if let Some(folder) = path.parent() {
        // Others lie in it, as a rule.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(())
}

/// Returns the files of days that lie in the folder, as they are named: the days, with the numbers
/// of their files.
pub(super) fn found(folder: &Path) -> Result<Vec<(ArchiveDay, u32)>, ArchiveError> {
    let mut found = Vec::new();
    for table in ArchiveTable::ALL {
        for day_folder in entries(&folder.join(table.as_str()))? {
            let name = day_folder.file_name().unwrap_or_default().to_string_lossy();
            let Some(day) = name.strip_prefix("day=").and_then(|day| day.parse().ok()) else {
                continue;
            };
            let day = ArchiveDay { table, day };
            for file in entries(&day_folder)? {
                found.extend(number_of(day, &file).map(|number| (day, number)));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the number in the name of a file; none if it is no file of the day.
fn number_of(day: ArchiveDay, file: &Path) -> Option<u32> {
    let name = file.file_name()?.to_str()?;
    let number = match name
        .strip_suffix(".parquet")?
        .strip_prefix(&format!("{}-{}", day.table, day.day))?
    {
        "" => 1,
        number => number.strip_prefix('-')?.parse().ok()?,
    };
    (Path::new(&day.path(number)).file_name() == Some(OsStr::new(name))).then_some(number)
}

/// Returns what is in a folder; nothing where there is none.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, ArchiveError> {
    match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        entries => {
            let entries = entries.map_err(ArchiveError::io("read", folder))?;
            Ok(entries.flatten().map(|entry| entry.path()).collect())
        }
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_moved_found_by_its_name_and_deleted_with_its_sum() {
        let folder = tempfile::tempdir().unwrap();
        let day = ArchiveDay::of(ArchiveTable::Observations, 0).unwrap();
        for number in [1, 12] {
            let from = folder.path().join("from");
            std::fs::write(&from, "rows").unwrap();
            let to = folder.path().join(day.path(number));
            let (bytes, sha256) = place(&from, &to).unwrap();
            assert_eq!(bytes, 4);
            assert_eq!(noted_sum(&to), Some(sha256));
            assert!(!from.exists());
        }
        for other in ["observations-1970-01-01-1.parquet", "notes.txt"] {
            let path = folder.path().join(day.path(1)).with_file_name(other);
            std::fs::write(path, "").unwrap();
        }
        std::fs::create_dir(folder.path().join("observations/day=someday")).unwrap();
        assert_eq!(found(folder.path()).unwrap(), [(day, 1), (day, 12)]);
        delete(&folder.path().join(day.path(12))).unwrap();
        assert_eq!(found(folder.path()).unwrap(), [(day, 1)]);
        assert_eq!(found(&folder.path().join("nowhere")).unwrap(), []);
        assert_eq!(day_of(&day.path(12)), Some((day, 12)));
        for other in ["a/day=1970-01-01/b", "observations/x.parquet", ""] {
            assert_eq!(day_of(other), None, "{other}");
        }
    }
}

//! Plugins compile once for all tests, not once a test: what one start has compiled is put where
//! the next one finds it. The program trusts such a file only if it is whole and fits its engine,
//! so what is stale or torn is compiled again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::program::program;

/// Cache beside the tests, one folder for each build of the program; those of earlier builds go.
fn folder() -> Option<PathBuf> {
    let all = std::env::current_exe()
        .ok()?
        .parent()?
        .join("extrack-compiled");
    let built = fs::metadata(program())
        .ok()?
        .modified()
        .ok()?
        .duration_since(UNIX_EPOCH)
        .ok()?;
    let ours = all.join(built.as_millis().to_string());
    fs::create_dir_all(&ours).ok()?;
    for other in fs::read_dir(&all)
        .ok()?
        .flatten()
        .filter(|other| other.path() != ours)
    {
        let _ = fs::remove_dir_all(other.path());
    }
    Some(ours)
}

/// Fills a data folder that has never been used.
pub fn warm(data: &Path) {
    if let Some(kept) = folder() {
        copy(&kept, &data.join("plugins/compiled"));
        copy(&kept.join("evaluator"), &data.join("plugins/evaluator"));
    }
}

/// Keeps what this program has compiled.
pub fn keep(data: &Path) {
    if let Some(kept) = folder() {
        copy(&data.join("plugins/compiled"), &kept);
        copy(&data.join("plugins/evaluator"), &kept.join("evaluator"));
    }
}

/// Copies compiled components; what can't be copied is compiled again.
fn copy(from: &Path, to: &Path) {
    let Ok(entries) = fs::read_dir(from) else {
        return;
    };
    if fs::create_dir_all(to).is_err() {
        return;
    }
    for entry in entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "cwasm"))
    {
        let target = to.join(entry.file_name());
        // Under its name only when it is whole: other tests copy at the same time.
        let part = target.with_extension(format!("part-{}", std::process::id()));
        if !target.exists() && fs::copy(entry.path(), &part).is_ok() {
            let _ = fs::rename(&part, &target);
        }
    }
}

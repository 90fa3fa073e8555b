//! `extrack status-page export`

use std::fs;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use tempfile::TempDir;

use super::client::{Server, query};
use super::outcome::Outcome;
use super::print::line;
use crate::api_types::status_pages::{StatusPageFileBody, StatusPageFilesBody};

/// File that marks a folder as one that this command may replace.
const MARK: &str = ".extrack-status-page";

#[derive(Debug, Subcommand)]
pub(super) enum StatusPage {
    /// Writes the pages with their style, feeds, JSON and badges into a folder, which any web server
    /// can serve while this program is down. The folder is replaced as a whole.
    ///
    /// Example: extrack status-page export /srv/status --page payments
    Export(Export),
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Folder to write: one that does not exist, is empty, or is from an earlier export.
    dir: PathBuf,
    /// Name of a page; all pages if not given.
    #[arg(long)]
    page: Option<String>,
}

impl StatusPage {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let StatusPage::Export(Export { dir, page }) = self;
        let parameters = query(&[("page", page.as_deref())]);
        let answer = server
            .connect()?
            .get(&format!("/status-pages/files{parameters}"))
            .await?;
        let StatusPageFilesBody { files } = answer.read()?;
        if files.is_empty() {
            bail!("there is nothing to export: no service is marked `public: true`");
        }
        replace(&dir, &files)?;
        line(&format!(
            "wrote {} files to `{}`",
            files.len(),
            dir.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the files beside the folder, then puts them in its place by renaming, so that nobody finds
/// some of the old ones and some of the new ones.
fn replace(folder: &Path, files: &[StatusPageFileBody]) -> Result<()> {
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    replaceable_check(folder)?;
    fs::create_dir_all(parent)
        .with_context(|| format!("could not create `{}`", parent.display()))?;
    let fresh = tempfile::Builder::new()
        .prefix(".status-page-")
        .tempdir_in(parent)
        .with_context(|| format!("could not create a folder in `{}`", parent.display()))?;
    // A temporary folder is for its owner alone, and a web server is somebody else.
    readable(fresh.path())?;
    write(&fresh.path().join(MARK), "")?;
    for file in files {
        write(&place(fresh.path(), &file.path)?, &file.text)?;
    }
    put_in_place(fresh, folder)
}

fn put_in_place(fresh: TempDir, folder: &Path) -> Result<()> {
    let failed = || format!("could not put `{}` in place", folder.display());
    if !folder.exists() {
        fs::rename(fresh.path(), folder).with_context(failed)?;
        // It is no longer at its temporary name.
        let _ = fresh.keep();
        return Ok(());
    }
    // In one step where the file system can do it; the old files then go with the temporary name.
    #[cfg(target_os = "linux")]
    if exchange(fresh.path(), folder).is_ok() {
        return Ok(());
    }
    let old = fresh.path().with_extension("old");
    fs::rename(folder, &old).with_context(failed)?;
    if let Err(error) = fs::rename(fresh.path(), folder) {
        // The one of before is better than none.
        let _ = fs::rename(&old, folder);
        return Err(error).with_context(failed);
    }
    let _ = fresh.keep();
    fs::remove_dir_all(&old).with_context(|| format!("could not remove `{}`", old.display()))
}

#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> rustix::io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)
}

/// Refuses a folder with content that is not from here.
fn replaceable_check(folder: &Path) -> Result<()> {
    let mut entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("could not read `{}`", folder.display()));
        }
    };
    ensure!(
        entries.next().is_none() || folder.join(MARK).exists(),
        "`{}` has files that are not from an export; name another folder, or empty it",
        folder.display()
    );
    Ok(())
}

/// Returns where a file goes: below the folder, whatever the server answered.
fn place(folder: &Path, path: &str) -> Result<PathBuf> {
    let relative = Path::new(path);
    let is_below = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !is_below {
        bail!("the server answered with a file outside of the folder: `{path}`");
    }
    Ok(folder.join(relative))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let written = || -> std::io::Result<()> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    written().with_context(|| format!("could not write `{}`", path.display()))
}

#[cfg(unix)]
fn readable(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("could not make `{}` readable", folder.display()))
}

#[cfg(not(unix))]
fn readable(_folder: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> StatusPageFileBody {
        StatusPageFileBody {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn an_export_replaces_the_one_before_as_a_whole() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("status");
        replace(
            &folder,
            &[file("index.html", "a"), file("badge/x/status.svg", "b")],
        )
        .unwrap();
        let badge = folder.join("badge/x/status.svg");
        assert_eq!(fs::read_to_string(&badge).unwrap(), "b");
        replace(&folder, &[file("index.html", "c")]).unwrap();
        assert_eq!(fs::read_to_string(folder.join("index.html")).unwrap(), "c");
        assert!(!badge.exists(), "what is no longer shown is gone");
        assert_eq!(
            fs::read_dir(parent.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn a_folder_of_others_and_a_path_outside_are_refused() {
        let parent = tempfile::tempdir().unwrap();
        fs::write(parent.path().join("photo.jpg"), "x").unwrap();
        let refused = replace(parent.path(), &[file("index.html", "a")]).unwrap_err();
        assert!(
            refused.to_string().contains("not from an export"),
            "{refused}"
        );
        let folder = parent.path().join("status");
        for path in ["../index.html", "/etc/x", "", "a/../../b"] {
            let refused = replace(&folder, &[file(path, "a")]).unwrap_err();
            assert!(refused.to_string().contains("outside"), "{path}: {refused}");
        }
        assert!(!folder.exists());
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 1);
    }
}

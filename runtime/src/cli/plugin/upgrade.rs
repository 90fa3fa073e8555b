//! `extrack plugin upgrade [DIR]`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use extrack_plugin_builder::{Language, Project};

use super::new::embedded::{self, SDK_FOLDER};
use crate::cli::outcome::Outcome;
use crate::cli::print::line;

/// Brings a project's copy of the SDK (Rust: `.extrack/`) or of the contract (`wit/`) to the
/// version of this program. Nothing else of the project is touched.
///
/// Examples:
///   extrack plugin upgrade
///   extrack plugin upgrade quota
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Upgrade {
    /// Folder of the project.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Upgrade {
    pub(super) async fn run(self) -> Outcome {
        let project = Project::find(&self.dir)?;
        let copy = Copy::of(&project);
        let name = copy.folder.display().to_string();
        if !copy.is_there() {
            line(&format!(
                "`{name}` is not there: the project uses an SDK elsewhere, and there is nothing to bring up to date"
            ));
            return Ok(ExitCode::SUCCESS);
        }
        let outdated = copy.outdated();
        if outdated.is_empty() {
            line(&format!(
                "`{name}` is that of extrack {} already",
                env!("CARGO_PKG_VERSION")
            ));
            return Ok(ExitCode::SUCCESS);
        }
        let count = outdated.len();
        for (path, text) in outdated {
            match text {
                Some(text) => write(&path, text)?,
                None => std::fs::remove_file(&path)
                    .with_context(|| format!("removing `{}`", path.display()))?,
            }
        }
        line(&format!(
            "`{name}` is now that of extrack {}: {count} files changed",
            env!("CARGO_PKG_VERSION")
        ));
        line("next: extrack plugin test");
        Ok(ExitCode::SUCCESS)
    }
}

/// Files that a project copied from this program, or from another version of it.
pub(super) struct Copy {
    folder: PathBuf,
    /// Files as this program has them, by their paths.
    files: BTreeMap<PathBuf, String>,
}

impl Copy {
    pub(super) fn of(project: &Project) -> Self {
        let (language, folder) = match project.language() {
            Language::Rust => ("rust", SDK_FOLDER),
            Language::JavaScript => ("javascript", "wit"),
            Language::Python => ("python", "wit"),
        };
        let files = embedded::copied(language)
            .into_iter()
            .map(|(path, text)| (project.folder().join(path), text));
        Self {
            folder: project.folder().join(folder),
            files: files.collect(),
        }
    }

    fn is_there(&self) -> bool {
        self.folder.is_dir()
    }

    /// Whether it was made by another version.
    pub(super) fn is_outdated(&self) -> bool {
        self.is_there() && !self.outdated().is_empty()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Files that are not as this program has them, with the text they should have; none: they have
    /// to go.
    fn outdated(&self) -> Vec<(PathBuf, Option<&str>)> {
        let differs = |path: &Path, text: &str| {
            std::fs::read_to_string(path).map_or(true, |found| found != text)
        };
        let mut outdated: Vec<(PathBuf, Option<&str>)> = self
            .files
            .iter()
            .filter(|(path, text)| differs(path, text))
            .map(|(path, text)| (path.clone(), Some(text.as_str())))
            .collect();
        let left = sources(&self.folder)
            .into_iter()
            .filter(|path| !self.files.contains_key(path));
        outdated.extend(left.map(|path| (path, None)));
        outdated
    }
}

/// Sources below a folder; what tools leave there is not ours.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let is_kept = path
            .file_name()
            .is_some_and(|name| name == "target" || name == "Cargo.lock");
        if path.is_dir() && !is_kept {
            found.extend(sources(&path));
        } else if path
            .extension()
            .is_some_and(|extension| ["rs", "wit", "toml"].iter().any(|of| extension == *of))
        {
            found.push(path);
        }
    }
    found
}

fn write(path: &Path, text: &str) -> Result<()> {
    let doing = || format!("writing `{}`", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(doing)?;
    }
    std::fs::write(path, text).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_copy_of_another_version_is_replaced_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in embedded::project("rust", "probe", "quota").unwrap() {
            write(&folder.path().join(path), &text).unwrap();
        }
        let project = Project::find(folder.path()).unwrap();
        assert!(
            !Copy::of(&project).is_outdated(),
            "a new project has what this program has"
        );

        let sdk = folder.path().join(SDK_FOLDER).join("plugin-sdk/src");
        std::fs::write(sdk.join("lib.rs"), "// older").unwrap();
        std::fs::write(sdk.join("gone.rs"), "// no longer there").unwrap();
        std::fs::write(folder.path().join("src/lib.rs"), "// mine").unwrap();
        assert!(Copy::of(&project).is_outdated());
        Upgrade {
            dir: folder.path().to_owned(),
        }
        .run()
        .await
        .unwrap();
        assert!(!Copy::of(&project).is_outdated());
        assert!(
            std::fs::read_to_string(sdk.join("lib.rs")).unwrap().len() > 100
                && !sdk.join("gone.rs").exists()
        );
        assert_eq!(
            std::fs::read_to_string(folder.path().join("src/lib.rs")).unwrap(),
            "// mine"
        );
    }
}

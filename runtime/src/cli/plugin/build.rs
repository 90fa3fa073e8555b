//! `extrack plugin build [DIR]`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use extrack_plugin_builder::Project;

use super::call::load;
use super::units::bytes;
use super::upgrade::Copy;
use crate::cli::outcome::Outcome;
use crate::cli::print::{line, note};
use crate::local;
use crate::plugin_host::PluginEntry;

/// Builds a plugin project into components, `dist/NAME.wasm`, and shows what each is.
///
/// Examples:
///   extrack plugin build
///   extrack plugin build quota
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Build {
    /// Folder of the project.
    #[arg(default_value = ".")]
    dir: PathBuf,
}

impl Build {
    pub(super) async fn run(self) -> Outcome {
        let project = find(&self.dir)?;
        for component in build(project).await? {
            line(&told(&component, load(&component).await?.entry()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The project in a folder; a remark where its SDK is that of another version.
pub(super) fn find(folder: &Path) -> Result<Project> {
    let project = Project::find(folder)?;
    let copy = Copy::of(&project);
    if copy.is_outdated() {
        note(&format!(
            "`{}` is not that of this extrack; `extrack plugin upgrade` brings it up to date",
            copy.folder().display()
        ));
    }
    Ok(match local::cache_folder() {
        Some(cache) => project.sharing(cache.join("plugin-target")),
        None => project,
    })
}

/// The components, in the order of their names; below the working folder without it, to be typed.
pub(super) async fn build(project: Project) -> Result<Vec<PathBuf>> {
    let what = format!(
        "building the {} project `{}`",
        project.language().as_str(),
        project.folder().display()
    );
    let components = tokio::task::spawn_blocking(move || project.build(note))
        .await?
        .context(what)?;
    let working = std::env::current_dir()
        .and_then(|folder| folder.canonicalize())
        .unwrap_or_default();
    Ok(components
        .into_iter()
        .map(|path| {
            path.strip_prefix(&working)
                .map(Path::to_owned)
                .unwrap_or(path)
        })
        .collect())
}

/// One line.
pub(super) fn told(component: &Path, entry: &PluginEntry) -> String {
    format!(
        "{}: {} {} {}, {}",
        component.display(),
        entry.kind.as_str(),
        entry.name,
        entry.version,
        bytes(entry.size as u64)
    )
}

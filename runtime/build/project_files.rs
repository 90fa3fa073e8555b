//! Lists what `extrack plugin new` writes: the templates, the SDK and the contract, as text that
//! becomes part of the binary.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Below the workspace; files and folders.
const EMBEDDED: [&str; 7] = [
    "plugin-sdk/templates",
    "plugin-sdk/Cargo.toml",
    "plugin-sdk/src",
    "plugin-sdk/macros",
    "plugin-sdk/signatures",
    "wit",
    // The versions to depend on, and those that the bundled plugins were tested with.
    "Cargo.toml",
];
const LOCK: &str = "plugins/Cargo.lock";

/// What tools leave behind.
const LEFT_OUT: [&str; 5] = ["target", "node_modules", "dist", "__pycache__", "README.md"];

pub(crate) fn write(workspace: &Path, list: &Path) -> Result<()> {
    let mut files = Vec::new();
    for embedded in EMBEDDED.iter().chain([&LOCK]) {
        let path = workspace.join(embedded);
        if path.exists() {
            collect(&path, workspace, &mut files)?;
        }
    }
    files.sort();
    let mut text = String::from(
        "/// Path below the workspace and text.\npub(super) const PROJECT_FILES: &[(&str, &str)] = &[\n",
    );
    for (name, path) in &files {
        writeln!(text, "    ({name:?}, include_str!({path:?})),")?;
    }
    text.push_str("];\n");
    fs::write(list, text).with_context(|| format!("writing `{}`", list.display()))
}

fn collect(path: &Path, workspace: &Path, files: &mut Vec<(String, PathBuf)>) -> Result<()> {
    if path.is_file() {
        let name = path
            .strip_prefix(workspace)?
            .to_string_lossy()
            .replace('\\', "/");
        files.push((name, path.to_owned()));
        return Ok(());
    }
    let entries =
        fs::read_dir(path).with_context(|| format!("reading the folder `{}`", path.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left_out = if path.is_dir() {
            name.starts_with('.') || LEFT_OUT.contains(&&*name)
        } else {
            // The templates' own page, not those of the projects.
            LEFT_OUT.contains(&&*name)
                && path
                    .parent()
                    .is_some_and(|folder| folder.ends_with("templates"))
        };
        if !is_left_out {
            collect(&path, workspace, files)?;
        }
    }
    Ok(())
}

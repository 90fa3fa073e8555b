//! Lists the files of the catalog of vendors, as text that becomes part of the binary.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub(crate) fn write(folder: &Path, list: &Path) -> Result<()> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("reading the folder `{}`", folder.display()))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            files.push(path);
        }
    }
    files.sort();
    let mut text = String::from(
        "/// Name and text of each file.\npub(super) const FILES: &[(&str, &str)] = &[\n",
    );
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        writeln!(text, "    ({name:?}, include_str!({path:?})),")?;
    }
    text.push_str("];\n");
    fs::write(list, text).with_context(|| format!("writing `{}`", list.display()))
}

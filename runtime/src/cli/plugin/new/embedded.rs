//! The files of a new project, out of the binary: a template, and the SDK or the contract it was
//! built with. A project so made needs nothing of this repository.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

include!(concat!(env!("OUT_DIR"), "/project_files.rs"));

/// Where a Rust project keeps its copy of the SDK: the same folders as in this repository,
/// `plugin-sdk` and `wit`.
pub(crate) const SDK_FOLDER: &str = ".extrack";

const TEMPLATES: &str = "plugin-sdk/templates/";

/// Stands in a template for the plugin's name.
const NAME: &str = "plugin-name";

/// Whether there is a template.
pub(super) fn has(language: &str, kind: &str) -> bool {
    let folder = format!("{TEMPLATES}{language}/{kind}/");
    PROJECT_FILES
        .iter()
        .any(|(path, _)| path.starts_with(&folder))
}

/// Path in the project, and text.
pub(crate) fn project(language: &str, kind: &str, name: &str) -> Result<BTreeMap<String, String>> {
    if !has(language, kind) {
        let there: Vec<String> = templates()
            .into_iter()
            .map(|(language, kind)| format!("{kind} in {language}"))
            .collect();
        bail!(
            "there is no template for a {kind} in {language}; there are: {}",
            there.join(", ")
        );
    }
    let mut files = BTreeMap::new();
    for layer in ["common", kind] {
        let folder = format!("{TEMPLATES}{language}/{layer}/");
        for (path, text) in PROJECT_FILES {
            if let Some(path) = path.strip_prefix(&folder) {
                files.insert(path.to_owned(), text.replace(NAME, name));
            }
        }
    }
    files.extend(copied(language));
    if language == "rust" {
        files.insert("Cargo.lock".to_owned(), lock());
    }
    Ok(files)
}

/// Returns the files that a project has of this program's version: the SDK, or the contract alone.
pub(crate) fn copied(language: &str) -> BTreeMap<String, String> {
    match language {
        "rust" => sdk(),
        _ => embedded("wit/")
            .map(|(path, text)| (path.to_owned(), text.to_owned()))
            .collect(),
    }
}

/// Language and kind of each.
fn templates() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for (path, _) in embedded(TEMPLATES) {
        let mut parts = path[TEMPLATES.len()..].split('/');
        if let (Some(language), Some(kind), Some(_)) = (parts.next(), parts.next(), parts.next())
            && kind != "common"
            && !found.contains(&(language, kind))
        {
            found.push((language, kind));
        }
    }
    found
}

fn embedded(prefix: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    PROJECT_FILES
        .iter()
        .filter(move |(path, _)| path.starts_with(prefix))
        .copied()
}

fn text(path: &str) -> &'static str {
    PROJECT_FILES
        .iter()
        .find(|(name, _)| *name == path)
        .map_or("", |(_, text)| text)
}

/// The SDK's packages as a workspace of their own, so that their manifests stay as they are here.
fn sdk() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let (mut members, mut manifests) = (Vec::new(), String::new());
    for (path, text) in embedded("plugin-sdk/").chain(embedded("wit/")) {
        if path.starts_with(TEMPLATES) {
            continue;
        }
        if let Some(member) = path.strip_suffix("/Cargo.toml") {
            members.push(member);
            manifests.push_str(text);
        }
        files.insert(format!("{SDK_FOLDER}/{path}"), text.to_owned());
    }
    files.insert(
        format!("{SDK_FOLDER}/Cargo.toml"),
        workspace(text("Cargo.toml"), &members, &manifests),
    );
    files
}

/// Returns the parts of our workspace that the members' manifests need: its tables, and of its
/// dependencies the ones they name.
fn workspace(ours: &str, members: &[&str], manifests: &str) -> String {
    let members: Vec<String> = members.iter().map(|member| format!("{member:?}")).collect();
    let mut text = format!(
        "# The SDK for plugins in Rust, as `extrack plugin new` brought it.\n\
         [workspace]\nresolver = \"3\"\nmembers = [{}]\n",
        members.join(", ")
    );
    let mut table = "";
    for line in ours.lines() {
        if line.starts_with('[') {
            table = line;
        }
        let is_wanted = match table {
            "[workspace.package]" => true,
            "[workspace.dependencies]" => {
                let name = line.split(['=', '.']).next().unwrap_or_default().trim();
                line == table
                    || manifests.lines().any(|other| {
                        other.starts_with(&format!("{name}.workspace")) && !name.is_empty()
                    })
            }
            _ => table.starts_with("[workspace.lints."),
        };
        if is_wanted {
            if line == table {
                text.push('\n');
            }
            if !line.trim().is_empty() {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// The versions that the bundled plugins are built and tested with. Their own entries are left out;
/// cargo adds the project's, and drops what the project does not need.
fn lock() -> String {
    let mut packages = text("plugins/Cargo.lock").split("[[package]]\n");
    let mut lock = packages.next().unwrap_or_default().to_owned();
    for package in packages.filter(|package| package.contains("\nsource = ")) {
        lock.push_str("[[package]]\n");
        lock.push_str(package);
    }
    lock
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_template_for_every_kind_in_rust() {
        for kind in ["probe", "rule", "notifier", "webhook", "meter"] {
            let files = project("rust", kind, "quota").unwrap();
            assert!(files["Cargo.toml"].contains("name = \"quota\""), "{kind}");
            for needed in [
                "src/lib.rs",
                "README.md",
                ".gitignore",
                "Cargo.lock",
                ".extrack/wit/worlds.wit",
            ] {
                assert!(
                    files.contains_key(needed),
                    "{kind}: {needed} is not in {:?}",
                    files.keys()
                );
            }
            assert!(!files.values().any(|text| text.contains(NAME)), "{kind}");
        }
    }

    #[test]
    fn a_missing_template_is_answered_with_those_there_are() {
        let error = project("rust", "poem", "quota").unwrap_err().to_string();
        assert!(
            error.contains("no template for a poem in rust") && error.contains("probe in rust"),
            "{error}"
        );
    }

    #[test]
    fn the_copy_of_the_sdk_is_whole_and_names_what_it_needs() {
        let files = sdk();
        let manifest = &files[".extrack/Cargo.toml"];
        for needed in [
            "\"plugin-sdk\"",
            "\"plugin-sdk/macros\"",
            "\nwit-bindgen = ",
            "\nserde_json = ",
            "\nsyn = ",
            "edition = ",
        ] {
            assert!(manifest.contains(needed), "{needed} is not in {manifest}");
        }
        for foreign in ["wasmtime", "duckdb", "axum", "runtime\"", "[profile"] {
            assert!(!manifest.contains(foreign), "{foreign} is in {manifest}");
        }
        assert!(files.contains_key(".extrack/plugin-sdk/src/lib.rs"));
        let size: usize = files.values().map(String::len).sum();
        assert!(size < 512 << 10, "{size} bytes are no longer a small copy");
    }

    #[test]
    fn the_lock_holds_packages_of_registries_alone() {
        let lock = lock();
        assert!(lock.contains("name = \"wit-bindgen\""), "{lock}");
        assert!(
            lock.starts_with("# This file") && !lock.contains("name = \"availability\""),
            "{lock}"
        );
    }
}

//! Builds in a target folder that several projects share. Cargo tells a package inside its workspace
//! from others by its place in there alone, and a `cdylib` by its name alone, and takes for fresh
//! what is newer than the sources. So it hands the second of two projects with a package `quota`
//! what it compiled for the first, and a copy of the SDK in the first project to the second.
//!
//! Here each artifact gets a record of the sources that it was compiled from. A fresh artifact whose
//! record does not fit this project is removed, and built anew. A lock keeps other builds out until
//! the artifacts were read.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The first build finds artifacts of others, the second makes our own.
const MAX_BUILDS: usize = 2;

/// Artifact that cargo made of a package in a folder of this machine.
#[derive(Debug, Clone)]
pub(crate) struct Artifact {
    pub(crate) package: String,
    pub(crate) is_cdylib: bool,
    /// The file to use, where there are several.
    pub(crate) path: PathBuf,
    /// Files it was compiled from, as the compiler reports them.
    pub(crate) sources: Vec<PathBuf>,
    package_id: String,
    package_folder: PathBuf,
    /// A library of which projects may have copies; the compiled copies are equal too.
    is_sharable: bool,
    /// Not compiled by this build.
    is_fresh: bool,
}

/// Waits until no other build uses this target folder. The lock lasts as long as the file is open.
pub(crate) fn lock(target_dir: &Path, progress: fn(&str)) -> Result<File> {
    let path = target_dir.join(".extrack-plugin-build");
    let doing = || format!("cannot lock `{}`", path.display());
    std::fs::create_dir_all(target_dir).with_context(doing)?;
    let file = File::create(&path).with_context(doing)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(&format!(
                "waiting for another build in `{}`",
                target_dir.display()
            ));
            file.lock().with_context(doing)?;
        }
        Err(TryLockError::Error(error)) => return Err(error).with_context(doing),
    }
    Ok(file)
}

/// Builds until every artifact is this project's own. `cargo` makes a call of cargo for a
/// subcommand, in the same target folder and with the same profile and target each time;
/// `arguments` are for the build alone, and ask for messages in JSON.
pub(crate) fn build(
    cargo: &dyn Fn(&str) -> Command,
    subcommand: &str,
    arguments: &[&str],
) -> Result<Vec<Artifact>> {
    for _ in 0..MAX_BUILDS {
        let artifacts = artifacts(&output(cargo(subcommand).args(arguments))?);
        let mut of_others = BTreeSet::new();
        for artifact in &artifacts {
            if artifact.is_fresh && !artifact.has_record() {
                of_others.insert(artifact.package_id.as_str());
            } else if !artifact.is_fresh {
                artifact.write_record()?;
            }
        }
        if of_others.is_empty() {
            return Ok(artifacts);
        }
        let mut clean = cargo("clean");
        clean.arg("--quiet");
        for package in of_others {
            clean.args(["--package", package]);
        }
        output(&mut clean)?;
    }
    bail!("cargo takes what it compiled for other projects, although that was removed");
}

/// Runs a command to its end, and returns what it wrote to its standard output.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
    if !output.status.success() {
        bail!("cargo failed; its messages are above");
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads cargo's messages, one JSON object a line. Build scripts are left out: those who need their
/// results are here.
fn artifacts(messages: &str) -> Vec<Artifact> {
    let messages: Vec<Value> = messages
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let with_a_build_script: BTreeSet<&str> = messages
        .iter()
        .filter(|message| message["reason"] == "build-script-executed")
        .filter_map(|message| message["package_id"].as_str())
        .collect();
    messages
        .iter()
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter_map(|message| Artifact::read(message, &with_a_build_script))
        .collect()
}

impl Artifact {
    fn read(message: &Value, with_a_build_script: &BTreeSet<&str>) -> Option<Self> {
        let package_id = message["package_id"].as_str()?;
        let target = &message["target"];
        if !package_id.starts_with("path+file:") || has(&target["kind"], "custom-build") {
            return None;
        }
        let is_cdylib = has(&target["crate_types"], "cdylib");
        let executable = message["executable"].as_str();
        let path = executable
            .or_else(|| strings(&message["filenames"]).find(|name| name.ends_with(".wasm")))
            .or_else(|| strings(&message["filenames"]).next())
            .map(PathBuf::from)?;
        let package_folder = Path::new(message["manifest_path"].as_str()?).parent()?;
        Some(Self {
            package: package_name(package_id)?.to_owned(),
            is_cdylib,
            sources: sources(&dependency_file(&path)),
            path,
            package_id: package_id.to_owned(),
            package_folder: package_folder.to_owned(),
            is_sharable: !is_cdylib
                && executable.is_none()
                && !with_a_build_script.contains(package_id),
            is_fresh: message["fresh"] == true,
        })
    }

    fn record(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".sources");
        self.path.with_file_name(name)
    }

    /// Whether it was compiled from the sources that this project has now.
    fn has_record(&self) -> bool {
        let record = std::fs::read_to_string(self.record());
        self.identity()
            .is_some_and(|identity| record.is_ok_and(|record| record == identity))
    }

    fn write_record(&self) -> Result<()> {
        let record = self.record();
        std::fs::write(&record, self.identity().unwrap_or_default())
            .with_context(|| format!("cannot write `{}`", record.display()))
    }

    /// Digests of the sources and of the artifact. None while one of them can't be read.
    fn identity(&self) -> Option<String> {
        let mut sources = DefaultHasher::new();
        if !self.is_sharable {
            self.package_id.hash(&mut sources);
        }
        let root = self.root().filter(|_| !self.sources.is_empty())?;
        for source in &self.sources {
            source.hash(&mut sources);
            std::fs::read(root.join(source)).ok()?.hash(&mut sources);
        }
        let mut bytes = DefaultHasher::new();
        std::fs::read(&self.path).ok()?.hash(&mut bytes);
        Some(format!(
            "{:016x} {:016x}\n",
            sources.finish(),
            bytes.finish()
        ))
    }

    /// The folder that the compiler ran in: the sources of a library are named from there.
    fn root(&self) -> Option<&Path> {
        self.package_folder.ancestors().find(|folder| {
            self.sources
                .iter()
                .all(|source| folder.join(source).exists())
        })
    }
}

/// The last part of the package's folder may differ from its name, so the id is read:
/// `path+file:///folder#name@1.0.0`, or `path+file:///name#1.0.0` where both are the same.
fn package_name(package_id: &str) -> Option<&str> {
    let (source, name) = package_id.rsplit_once('#')?;
    match name.split_once('@') {
        Some((name, _)) => Some(name),
        None => source.rsplit('/').next(),
    }
}

fn strings(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn has(value: &Value, wanted: &str) -> bool {
    strings(value).any(|text| text == wanted)
}

/// `sdk-HASH.d` of `libsdk-HASH.rlib`, `quota.d` of `quota.wasm`, `quota-HASH.d` of a test.
fn dependency_file(artifact: &Path) -> PathBuf {
    let path = artifact.with_extension("d");
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match name.strip_prefix("lib") {
        Some(name) if !path.exists() => path.with_file_name(name),
        _ => path,
    }
}

/// Cargo's dependency file: `TARGET: FILE FILE`, with `\ ` for a space in a name.
fn sources(path: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let Some((_, files)) = text.lines().next().and_then(|line| line.split_once(": ")) else {
        return Vec::new();
    };
    let files = files.replace("\\ ", "\0");
    files
        .split(' ')
        .filter(|file| !file.is_empty())
        .map(|file| PathBuf::from(file.replace('\0', " ")))
        .collect()
}

#[cfg(test)]
mod tests;

//! Plugin projects made by `extrack plugin new` and built by the commands of their README. What was built is
//! kept beside the tests, by what it was built from, so that only the first run waits for package
//! registries.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::program::program;

/// Fetching tools from a registry and building with them.
const BUILDING: Duration = Duration::from_secs(480);

pub struct Project {
    language: &'static str,
    kind: &'static str,
    name: &'static str,
    /// Index of the README's blocks of commands that are run.
    blocks: Vec<usize>,
    /// Files that take the place of the template's.
    files: Vec<(&'static str, &'static str)>,
}

impl Project {
    /// Built and tested by the first block of commands in its README.
    pub fn new(language: &'static str, kind: &'static str, name: &'static str) -> Self {
        Self {
            language,
            kind,
            name,
            blocks: vec![0],
            files: Vec::new(),
        }
    }

    pub fn blocks(mut self, blocks: &[usize]) -> Self {
        self.blocks = blocks.to_vec();
        self
    }

    pub fn with_file(mut self, path: &'static str, text: &'static str) -> Self {
        self.files.push((path, text));
        self
    }

    /// The component.
    pub async fn build(self) -> Vec<u8> {
        let kept = std::env::current_exe()
            .expect("a running program has a path")
            .with_file_name("extrack-projects");
        fs::create_dir_all(&kept).expect("a folder can be made beside the tests");
        let folder = tempfile::Builder::new()
            .prefix("extrack-project-")
            .tempdir()
            .expect("a folder can be made");
        self.fill(folder.path()).await;
        let prefix = format!("{}-", self.name);
        let component = kept.join(format!("{prefix}{:016x}.wasm", self.digest(folder.path())));

        // Other tests may want the same at the same time.
        let lock = File::create(kept.join(format!("{}.lock", self.name)))
            .expect("a file can be made beside the tests");
        let locked = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
        let _lock = locked
            .expect("locking does not panic")
            .expect("a file of ours can be locked");
        if !component.exists() {
            self.run_blocks(folder.path()).await;
            for old in fs::read_dir(&kept).expect("it was made above").flatten() {
                let name = old.file_name().into_string().unwrap_or_default();
                if name
                    .strip_prefix(&prefix)
                    .is_some_and(|rest| rest.len() == "0123456789abcdef.wasm".len())
                {
                    let _ = fs::remove_file(old.path());
                }
            }
            let built = folder.path().join(format!("dist/{}.wasm", self.name));
            let part = component.with_extension("part");
            fs::copy(&built, &part)
                .unwrap_or_else(|error| panic!("{} was not built: {error}", built.display()));
            fs::rename(&part, &component).expect("both lie in one folder");
        }
        fs::read(&component).expect("it was there a moment ago")
    }

    async fn fill(&self, folder: &Path) {
        let mut new = Command::new(program());
        new.args([
            "plugin",
            "new",
            self.name,
            "--lang",
            self.language,
            "--kind",
            self.kind,
            "--dir",
        ])
        .arg(folder);
        run(new, "extrack plugin new").await;
        for (path, text) in &self.files {
            fs::write(folder.join(path), text.replace("plugin-name", self.name))
                .expect("a fresh folder can be filled");
        }
    }

    fn digest(&self, folder: &Path) -> u64 {
        let mut digest = DefaultHasher::new();
        self.blocks.hash(&mut digest);
        for path in files(folder) {
            path.strip_prefix(folder)
                .expect("it lies there")
                .hash(&mut digest);
            fs::read(&path)
                .expect("it was just written")
                .hash(&mut digest);
        }
        digest.finish()
    }

    async fn run_blocks(&self, folder: &Path) {
        let readme = fs::read_to_string(folder.join("README.md")).expect("a template has a README");
        let blocks: Vec<&str> = readme
            .split("```sh\n")
            .skip(1)
            .map(|rest| rest.split("```").next().unwrap_or(rest))
            .collect();
        for block in &self.blocks {
            let commands = blocks
                .get(*block)
                .unwrap_or_else(|| panic!("the README has no block {block}:\n{readme}"));
            let mut command = Command::new("bash");
            command
                .args(["-euo", "pipefail", "-c", commands])
                .env_remove("VIRTUAL_ENV")
                .current_dir(folder);
            run(command, commands).await;
        }
        // The settings in `tests/`, too. What builds in seconds is not worth sparing a second
        // build.
        if self.language == "javascript" && self.files.is_empty() && self.blocks == [0] {
            let mut test = Command::new(program());
            test.args(["plugin", "test", "--component-only"])
                .current_dir(folder);
            run(test, "extrack plugin test --component-only").await;
        }
    }
}

async fn run(mut command: Command, said: &str) {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(BUILDING, output)
        .await
        .unwrap_or_else(|_| panic!("took longer than {} s:\n{said}", BUILDING.as_secs()))
        .expect("the program is there");
    assert!(
        output.status.success(),
        "failed:\n{said}\n--- printed\n{}\n--- errors\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// All files below, in one order.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

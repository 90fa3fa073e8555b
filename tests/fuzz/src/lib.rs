//! Everything that comes from outside, read as the program reads it: whatever the bytes are,
//! nothing panics, overflows its stack or takes for ever, and what is understood means the same
//! when it is written and read again.
//!
//! `targets!` is the list of targets. `tests/bounded.rs` plays each one over its corpus and over a
//! fixed number of inputs made of it.

mod mutate;
mod stage;
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

pub use mutate::Mutator;

/// Reads one input in every way that the program would.
pub type Read = fn(&[u8]);

pub struct Target {
    /// Also of its folder in `corpus`.
    pub name: &'static str,
    /// Inputs made of the corpus in `make test`: a few seconds in a debug build.
    pub inputs: usize,
    pub read: Read,
}

/// Calls a macro with all targets: a name, how many inputs a test makes, what reads them.
#[macro_export]
macro_rules! targets {
    ($each:ident) => {
        $each! {
            services: 800, configuration::services;
            alerts: 800, configuration::alerts;
            plugins: 800, configuration::plugins;
            storage: 800, configuration::storage;
            dotenv: 500, configuration::dotenv;
            matchers: 3_000, texts::matchers;
            durations: 3_000, texts::durations;
            jsonpath: 2_000, texts::jsonpath;
            headers: 2_000, headers::rate_limits;
            http: 400, http::answers;
            dns: 400, dns::answers;
            recordings: 2_000, recordings::recordings;
            sql: 800, sql::guard;
            webhooks: 400, plugins::webhooks;
            cel: 400, plugins::cel;
            templates: 1_000, texts::templates;
            units: 2_000, calls::units;
            spans: 2_000, calls::spans;
            logs: 2_000, calls::logs;
        }
    };
}

macro_rules! table {
    ($($name:ident: $inputs:literal, $($read:ident)::+;)*) => {
        pub const TARGETS: &[Target] =
            &[$(Target { name: stringify!($name), inputs: $inputs, read: targets::$($read)::+ }),*];
    };
}

targets!(table);

/// Where compiled plugins and the like are kept; before the first input is read.
pub fn keep_files_in(folder: &Path) {
    // The same for all targets of a process.
    let _ = stage::FOLDER.set(folder.to_owned());
}

pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Inputs that were found, or are worth beginning with.
pub fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// In the order of their names, so that the same seed makes the same inputs.
pub fn corpus(target: &str) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(corpus_folder(target))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
        .iter()
        .filter_map(|file| fs::read(file).ok())
        .collect()
}

//! Parts and settings of a host of plugins.

use std::path::PathBuf;

use tokio::sync::mpsc;

use super::engine::compile::Compiling;
use super::policy::install_error::InstallError;
use super::programs::Programs;
use super::recording::recordings::Recordings;
use super::versions::log::VersionLog;
use crate::domain::{PluginRun, PluginTrust, RunIds};
use crate::net::Net;
use crate::store::ControlStore;

/// Capacity of the queue of accounted runs on their way to the results. A run that finds no room is
/// dropped and counted: no run waits for it.
pub const RUNS_QUEUED: usize = 8_192;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("starting the plugin engine")]
    Engine(#[source] wasmtime::Error),
    #[error("{0}")]
    Evaluator(String),
    #[error("opening the plugin folder `{}`", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("reading which plugin versions are active: {0}")]
    Log(String),
    #[error("the bundled plugin `{name}` does not load")]
    Bundled {
        name: &'static str,
        source: InstallError,
    },
}

/// Parts and settings of a host.
pub struct Setup {
    /// Installed components and compiled code.
    pub folder: PathBuf,
    pub compiling: Compiling,
    pub trust: PluginTrust,
    pub net: Net,
    pub log: VersionLog,
    /// Installed components kept of each plugin, whether active or not; what may be needed stays
    /// beyond it.
    pub versions_kept: usize,
    /// Memory of all runs together; `None`: a quarter of the machine's.
    pub runs_memory_bytes: Option<u64>,
    /// Takes the account of every run.
    pub runs: mpsc::Sender<PluginRun>,
    /// Keeps what is worth keeping of the runs.
    pub recordings: Recordings,
    /// Source of the runs' ids.
    pub run_ids: RunIds,
    /// An SMTP server is configured.
    pub has_mail: bool,
    /// Programs that bundled probes may run.
    pub programs: Programs,
    /// Keeps what becomes of credentials; none: it lasts as long as the host.
    pub credentials: Option<ControlStore>,
}

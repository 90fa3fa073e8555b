//! Checking a configuration without a server.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::sync::mpsc;

use super::keep_compiled;
use crate::config::{self, Environment, Loaded};
use crate::domain::{PluginTrust, RunIds};
use crate::net::{Net, NetSettings};
use crate::plugin_host::{Compiling, PluginHost, RUNS_QUEUED, Recordings, Setup, VersionLog};
use crate::plugin_sources::PluginFolder;

/// Checks the configuration with the bundled plugins and those in the folders `plugins`, without a
/// server, and returns it with its warnings.
pub async fn check_config(config_dir: &Path, plugins: &[PathBuf]) -> Result<Loaded> {
    let environment = Environment::read(config_dir);
    // Their faults are among those of the configuration.
    let (settings, _) = config::program_settings(&environment);
    let scratch = tempfile::tempdir()?;
    keep_compiled(scratch.path());
    // The accounts of these runs go nowhere.
    let (runs, mut accounted) = mpsc::channel(RUNS_QUEUED);
    let drain = tokio::spawn(async move { while accounted.recv().await.is_some() {} });
    let setup = Setup {
        folder: scratch.path().to_owned(),
        compiling: Compiling::in_child(settings.compiling.in_foreground())?,
        // What would be installed is the server's question.
        trust: PluginTrust::default(),
        net: Net::new(NetSettings::default())?,
        log: VersionLog::none(),
        versions_kept: config::PLUGIN_VERSIONS_KEPT,
        runs_memory_bytes: None,
        runs,
        recordings: Recordings::none(),
        run_ids: RunIds::counting(),
        has_mail: false,
        programs: settings.programs,
        credentials: None,
    };
    let host = PluginHost::start(setup).await?;
    for folder in plugins {
        PluginFolder::new(folder.clone(), host.clone())
            .look_at_start()
            .await;
    }
    let loaded = config::load(config_dir, environment, &host).await;
    drop(host);
    drain.abort();
    Ok(loaded?)
}

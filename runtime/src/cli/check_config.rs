//! `extrack check-config`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{line, note};
use super::serve::faults_to_exit_code;
use crate::api_types::plugins::PluginBody;
use crate::config::Faults;
use crate::{local, telemetry};

/// Checks the configuration without starting anything: all faults at once, with file, line, column
/// and key. Exit code 64 if there are any.
///
/// Examples:
///   extrack check-config --config config
///   extrack check-config --config config --installed      with the plugins that are installed on
/// the server
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CheckConfig {
    /// Folder with `services.yaml`, `alerts.yaml` and, if wanted, `plugins.yaml`.
    #[arg(long, env = "EXTRACK_CONFIG", default_value = "config")]
    config: PathBuf,
    /// Folder with plugins of your own, as for `serve`. Default: `plugins` in the configuration
    /// folder.
    #[arg(long, env = "EXTRACK_PLUGINS")]
    plugins: Option<PathBuf>,
    /// Also use the plugins that are active on the server; `--server` and `--token` name it.
    #[arg(long)]
    installed: bool,
}

impl CheckConfig {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        telemetry::start_logs("error");
        let own = self.plugins.unwrap_or_else(|| self.config.join("plugins"));
        let scratch = tempfile::tempdir().context("making a temporary folder")?;
        let mut folders = vec![own];
        if self.installed {
            fetch_installed(server, scratch.path()).await?;
            // First: a file of the same name takes its place, as on the server.
            folders.insert(0, scratch.path().to_owned());
        }
        let checked = local::check_config(&self.config, &folders).await;
        let misses_a_plugin = checked.as_ref().is_err_and(|error| {
            let faults = error
                .downcast_ref::<Faults>()
                .map(ToString::to_string)
                .unwrap_or_default();
            faults
                .lines()
                .any(|fault| fault.contains("there is no ") && fault.contains(" plugin `"))
        });
        let code = faults_to_exit_code(checked.map(|loaded| {
            for warning in &loaded.warnings {
                line(&format!("warning: {warning}"));
            }
            line(&format!(
                "{} is fine: {} service(s), {} warning(s)",
                self.config.display(),
                loaded.files.service_count(),
                loaded.warnings.len()
            ));
        }));
        if misses_a_plugin && !self.installed {
            note(
                "a plugin that is installed on the server is known with `--installed`, one in a folder with `--plugins FOLDER`",
            );
        }
        code
    }
}

/// Writes the active version of each plugin that did not come with the program as `NAME.wasm`.
async fn fetch_installed(server: &Server, folder: &Path) -> Result<()> {
    let client = server.connect()?;
    let answer = client.list("/plugins").await;
    let plugins: Vec<PluginBody> = answer
        .context("asking the server for its plugins")?
        .read()?;
    for plugin in plugins {
        if plugin.installed_by == "bundled" {
            continue;
        }
        let (name, digest) = (plugin.name, plugin.digest);
        let component = client
            .get_bytes(&format!("/plugins/{name}/versions/{digest}/component"))
            .await?;
        let path = folder.join(format!("{name}.wasm"));
        std::fs::write(&path, component)
            .with_context(|| format!("writing `{}`", path.display()))?;
    }
    Ok(())
}

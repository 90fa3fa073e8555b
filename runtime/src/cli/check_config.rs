//! `extrack check-config`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::print::line;
use super::serve::faults_to_exit_code;
use crate::{app, telemetry};

/// Checks the configuration without starting anything: all faults at once, with file, line, column and key. Exit code 64
/// if there are any.
///
/// Example:
///   extrack check-config --config config
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct CheckConfig {
    /// Folder with `services.yaml`, `alerts.yaml` and, if wanted, `plugins.yaml`.
    #[arg(long, env = "EXTRACK_CONFIG", default_value = "config")]
    config: PathBuf,
    /// Folder with plugins of your own, as for `serve`. Default: `plugins` in the configuration folder.
    #[arg(long, env = "EXTRACK_PLUGINS")]
    plugins: Option<PathBuf>,
}

impl CheckConfig {
    pub(super) async fn run(self) -> Result<u8> {
        telemetry::start_logs("error");
        let plugins = self.plugins.unwrap_or_else(|| self.config.join("plugins"));
        let checked = app::check_config(&self.config, &plugins).await;
        faults_to_exit_code(checked.map(|loaded| {
            for warning in &loaded.warnings {
                line(&format!("warning: {warning}"));
            }
            line(&format!(
                "{} is fine: {} service(s), {} warning(s)",
                self.config.display(),
                loaded.files.service_count(),
                loaded.warnings.len()
            ));
            0
        }))
    }
}

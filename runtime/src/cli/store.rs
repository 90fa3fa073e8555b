//! `extrack store`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::outcome::Outcome;
use super::print::line;
use crate::{app, telemetry};

#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Takes the control store as it is, after a start was stopped because it has lost content.
    ///
    /// Restore a backup instead if there is one. What is gone stays gone: services made over the
    /// API, tokens, open alerts, silences, messages. A file that can't be opened is set aside
    /// beside an empty one. The server must not run.
    ///
    /// Example:
    ///   extrack store accept --data data
    #[command(verbatim_doc_comment)]
    Accept {
        /// Folder with the stores, as for `serve`.
        #[arg(long, env = "EXTRACK_DATA", default_value = "data")]
        data: PathBuf,
        /// Folder with the configuration, as for `serve`: its environment may hold
        /// `ENCRYPTION_KEY`.
        #[arg(long, env = "EXTRACK_CONFIG", default_value = "config")]
        config: PathBuf,
    },
}

impl Store {
    pub(super) async fn run(self) -> Outcome {
        telemetry::start_logs("warn");
        let Store::Accept { data, config } = self;
        app::accept_store(&data, &config).await?;
        line(&format!(
            "the control store in `{}` is accepted as it is",
            data.display()
        ));
        Ok(ExitCode::SUCCESS)
    }
}

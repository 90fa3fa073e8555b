//! `extrack plugin promote NAME`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::plugins::PluginBody;
use crate::cli::client::{NoBody, Server};
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, line};

/// Makes the candidate of a plugin the active version: verified once more, then active at once,
/// without a missed run.
///
/// Example: extrack plugin promote shop-probe
#[derive(Debug, Args)]
pub(crate) struct Promote {
    name: String,
}

impl Promote {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let path = format!("/plugins/{}/promote", self.name);
        let plugin: PluginBody = server.connect()?.post(&path, &NoBody {}).await?.read()?;
        line(&format!(
            "{} {} is {}",
            cell(&plugin.name),
            cell(&plugin.version),
            cell(&plugin.state)
        ));
        Ok(ExitCode::SUCCESS)
    }
}

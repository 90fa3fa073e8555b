//! `extrack plugin discard NAME`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::plugins::PluginBody;
use crate::cli::client::{NoBody, Server};
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, line};

/// Ends the candidate of a plugin; the active version stays as it is, and what was compared stays
/// in SQL (`shadow_runs`).
///
/// Example: extrack plugin discard shop-probe
#[derive(Debug, Args)]
pub(crate) struct Discard {
    name: String,
}

impl Discard {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let path = format!("/plugins/{}/discard", self.name);
        let plugin: PluginBody = server.connect()?.post(&path, &NoBody {}).await?.read()?;
        line(&format!(
            "{} {} runs alone again",
            cell(&plugin.name),
            cell(&plugin.version)
        ));
        Ok(ExitCode::SUCCESS)
    }
}

//! `extrack plugin remove NAME`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::plugins::PluginBody;
use crate::cli::client::Server;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, line};

/// Takes an installed plugin away. If the program has one of that name, it takes its place; else
/// nothing may use the plugin any more, and all its versions are deleted.
///
/// Example: extrack plugin remove shop-probe
#[derive(Debug, Args)]
pub(crate) struct Remove {
    name: String,
}

impl Remove {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let path = format!("/plugins/{}", self.name);
        let successor: Option<PluginBody> = server.connect()?.delete(&path).await?.read()?;
        line(&match successor {
            None => format!("{} is removed", self.name),
            Some(plugin) => format!(
                "{} is back at {}, which came with the program",
                self.name,
                cell(&plugin.version)
            ),
        });
        Ok(ExitCode::SUCCESS)
    }
}

//! `extrack plugin list`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::plugins::PluginBody;
use crate::cli::client::Server;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, json as print_json, line, short_digest, table};

/// All plugins of the server: which version is active since when and by whom, and which candidate
/// runs beside it.
///
/// Example: extrack plugin list
#[derive(Debug, Args)]
pub(crate) struct List {
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let answer = server.connect()?.list("/plugins").await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let plugins: Vec<PluginBody> = answer.read()?;
        let rows: Vec<Vec<String>> = plugins.iter().map(row).collect();
        table(
            &[
                "PLUGIN", "KIND", "VERSION", "DIGEST", "STATE", "SINCE", "BY", "SHADOW",
            ],
            &rows,
        );
        for plugin in &plugins {
            if let Some(failing) = &plugin.health.failing {
                line(&format!(
                    "{} is failing since {}: {}",
                    cell(&plugin.name),
                    cell(&failing.since),
                    cell(&failing.reason)
                ));
            }
        }
        for plugin in &plugins {
            if let Some(before) = &plugin.rolled_back {
                line(&format!(
                    "{} {} ({}) was rolled back by itself at {}: {}",
                    cell(&plugin.name),
                    cell(&before.version),
                    short_digest(&before.digest),
                    cell(&before.since),
                    cell(&before.reason)
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(plugin: &PluginBody) -> Vec<String> {
    let shadow = plugin.shadow.as_ref();
    let shadow = shadow.map(|shadow| format!("{} ({})", shadow.version, shadow.state));
    vec![
        cell(&plugin.name),
        cell(&plugin.kind),
        cell(&plugin.version),
        short_digest(&plugin.digest),
        cell(&plugin.state),
        cell(&plugin.since),
        cell(&plugin.installed_by),
        cell(&shadow),
    ]
}

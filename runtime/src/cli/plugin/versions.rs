//! `extrack plugin versions NAME`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::plugins::VersionBody;
use crate::cli::client::Server;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, json as print_json, line, short_digest, table};

/// The versions of a plugin that can be made active, the active one first.
///
/// Example: extrack plugin versions shop-probe
#[derive(Debug, Args)]
pub(crate) struct Versions {
    name: String,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Versions {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let path = format!("/plugins/{}/versions", self.name);
        let answer = server.connect()?.list(&path).await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let versions: Vec<VersionBody> = answer.read()?;
        let rows: Vec<Vec<String>> = versions.iter().map(row).collect();
        table(
            &[
                "VERSION",
                "DIGEST",
                "STATE",
                "INSTALLED",
                "BY",
                "ACTIVE SINCE",
                "UNTIL",
                "BY",
            ],
            &rows,
        );
        for version in &versions {
            if let Some(reason) = &version.rolled_back {
                line(&format!(
                    "{} ({}) was rolled back by itself: {}",
                    cell(&version.version),
                    short_digest(&version.digest),
                    cell(reason)
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(version: &VersionBody) -> Vec<String> {
    vec![
        cell(&version.version),
        short_digest(&version.digest),
        cell(&version.state),
        cell(&version.installed),
        cell(&version.installed_by),
        cell(&version.active_since),
        cell(&version.active_until),
        cell(&version.activated_by),
    ]
}

//! `extrack plugin versions NAME`

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::cli::client::Server;
use crate::cli::print::{cell, json as print_json, line, short_digest, table};

/// The versions of a plugin that can be made active, the active one first.
///
/// Example: extrack plugin versions shop-probe
#[derive(Debug, Args)]
pub(in crate::cli) struct Versions {
    name: String,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Versions {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let answer = server
            .connect()?
            .get(&format!("/plugins/{}/versions", self.name))
            .await?;
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        if self.json {
            print_json(&Value::from(items));
            return Ok(());
        }
        let row = |item: &Value| {
            vec![
                cell(&item["version"]),
                short_digest(&item["digest"]),
                cell(&item["state"]),
                cell(&item["installed"]),
                cell(&item["installedBy"]),
                cell(&item["activeSince"]),
                cell(&item["activeUntil"]),
                cell(&item["activatedBy"]),
            ]
        };
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
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
        for item in items.iter().filter(|item| item["rolledBack"].is_string()) {
            let (version, reason) = (cell(&item["version"]), cell(&item["rolledBack"]));
            line(&format!(
                "{version} ({}) was rolled back by itself: {reason}",
                short_digest(&item["digest"])
            ));
        }
        Ok(())
    }
}

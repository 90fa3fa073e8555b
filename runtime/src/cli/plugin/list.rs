//! `extrack plugin list`

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::cli::client::Server;
use crate::cli::print::{cell, json as print_json, line, short_digest, table};

/// All plugins of the server: which version is active since when and by whom, and which candidate
/// runs beside it.
///
/// Example: extrack plugin list
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let items = server.connect()?.list("/plugins").await?;
        if self.json {
            print_json(&Value::from(items));
            return Ok(());
        }
        let row = |item: &Value| {
            let shadow = match &item["shadow"] {
                Value::Null => "-".to_owned(),
                shadow => format!("{} ({})", cell(&shadow["version"]), cell(&shadow["state"])),
            };
            vec![
                cell(&item["name"]),
                cell(&item["kind"]),
                cell(&item["version"]),
                short_digest(&item["digest"]),
                cell(&item["state"]),
                cell(&item["since"]),
                cell(&item["installedBy"]),
                shadow,
            ]
        };
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        table(
            &[
                "PLUGIN", "KIND", "VERSION", "DIGEST", "STATE", "SINCE", "BY", "SHADOW",
            ],
            &rows,
        );
        for item in items
            .iter()
            .filter(|item| item["health"]["failing"].is_object())
        {
            let failing = &item["health"]["failing"];
            line(&format!(
                "{} is failing since {}: {}",
                cell(&item["name"]),
                cell(&failing["since"]),
                cell(&failing["reason"])
            ));
        }
        for item in items.iter().filter(|item| item["rolledBack"].is_object()) {
            let before = &item["rolledBack"];
            line(&format!(
                "{} {} ({}) was rolled back by itself at {}: {}",
                cell(&item["name"]),
                cell(&before["version"]),
                short_digest(&before["digest"]),
                cell(&before["since"]),
                cell(&before["reason"])
            ));
        }
        Ok(())
    }
}

//! `extrack plugin list`

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::cli::client::Server;
use crate::cli::print::{cell, json as print_json, table};

/// All plugins of the server with their active version.
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
            let digest = cell(&item["digest"]);
            vec![
                cell(&item["name"]),
                cell(&item["kind"]),
                cell(&item["version"]),
                digest.chars().take(12).collect(),
                cell(&item["state"]),
                cell(&item["since"]),
            ]
        };
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        table(&["PLUGIN", "KIND", "VERSION", "DIGEST", "STATE", "SINCE"], &rows);
        Ok(())
    }
}

//! `extrack plugin list|install|rollback|inspect`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, table};
use crate::plugin_host;

#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// All plugins of the server with their active version.
    ///
    /// Example: extrack plugin list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Brings a component to the server: verified first, then active at once, without a missed run.
    ///
    /// Example: extrack plugin install target/components/shop-probe.wasm
    Install { file: PathBuf },
    /// Makes the version that was active before this one active again.
    ///
    /// Example: extrack plugin rollback shop-probe
    Rollback { name: String },
    /// What a component file says of itself; needs no server.
    ///
    /// Example: extrack plugin inspect shop-probe.wasm
    Inspect { file: PathBuf },
}

impl Plugin {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        match self {
            Plugin::List { json } => {
                let items = server.connect()?.list("/plugins").await?;
                if json {
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
            }
            Plugin::Install { file } => {
                let bytes = std::fs::read(&file).with_context(|| format!("reading `{}`", file.display()))?;
                let described = plugin_host::inspect(bytes.clone().into())
                    .await
                    .with_context(|| format!("`{}` is not a plugin", file.display()))?;
                let entry = server.connect()?.put_bytes(&format!("/plugins/{}", described.name), bytes).await?;
                line(&format!(
                    "{} {} {} is {}",
                    cell(&entry["kind"]),
                    cell(&entry["name"]),
                    cell(&entry["version"]),
                    cell(&entry["state"])
                ));
            }
            Plugin::Rollback { name } => {
                let entry = server.connect()?.post(&format!("/plugins/{name}/rollback"), &json!({})).await?;
                line(&format!("{} is back at {}", cell(&entry["name"]), cell(&entry["version"])));
            }
            Plugin::Inspect { file } => {
                let bytes = std::fs::read(&file).with_context(|| format!("reading `{}`", file.display()))?;
                let entry = plugin_host::inspect(bytes.into())
                    .await
                    .with_context(|| format!("`{}` is not a plugin", file.display()))?;
                print_json(&json!({
                    "name": entry.name,
                    "kind": entry.kind,
                    "version": entry.version,
                    "digest": entry.digest,
                    "size": entry.size,
                    "summary": entry.info.summary,
                    "imports": entry.imports,
                    "wants": entry.info.wants,
                    "settingsSchema": entry.info.settings_schema,
                }));
            }
        }
        Ok(())
    }
}

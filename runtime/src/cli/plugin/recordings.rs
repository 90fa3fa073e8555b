//! `extrack plugin recordings`

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::cli::client::Server;
use crate::cli::print::{cell, json as print_json, table};

/// Runs of which a recording is kept, newest first: those that failed, and the last ones that went
/// well before.
///
/// Examples:
///   extrack plugin recordings
///   extrack plugin recordings --service shop-api --outcome trap
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Recordings {
    /// Slug of a service.
    #[arg(long)]
    service: Option<String>,
    /// Name of a plugin.
    #[arg(long)]
    plugin: Option<String>,
    /// How the run ended: ok, error, trap, timeout or limit.
    #[arg(long)]
    outcome: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Recordings {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("service", &self.service),
            ("plugin", &self.plugin),
            ("outcome", &self.outcome),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let items = server
            .connect()?
            .list(&format!("/recordings?{}", query.finish()))
            .await?;
        if self.json {
            print_json(&Value::from(items));
            return Ok(());
        }
        let row = |item: &Value| {
            let subject = [&item["channel"], &item["service"]]
                .into_iter()
                .find(|subject| subject.is_string());
            vec![
                cell(&item["runId"]),
                cell(&item["ts"]),
                subject.map_or_else(|| "-".to_owned(), cell),
                cell(&item["plugin"]),
                cell(&item["version"]),
                cell(&item["outcome"]),
                cell(&item["status"]),
                cell(&item["error"]),
            ]
        };
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        table(
            &[
                "RUN", "TIME", "FOR", "PLUGIN", "VERSION", "OUTCOME", "STATUS", "ERROR",
            ],
            &rows,
        );
        Ok(())
    }
}

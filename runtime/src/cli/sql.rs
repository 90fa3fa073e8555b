//! `extrack sql`

use std::io::Read;

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, table};

/// Asks the history in SQL (DuckDB's dialect, SELECT only).
///
/// Examples:
///   extrack sql "SELECT service, count(*) FROM observations GROUP BY service"
///   extrack sql --csv "SELECT ts, status, latency_ms FROM observations" > runs.csv
///   echo "SELECT 1" | extrack sql -
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Sql {
    /// The statement, or `-` to read it from standard input.
    query: String,
    /// JSON instead of a table.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values instead of a table.
    #[arg(long)]
    csv: bool,
}

impl Sql {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let mut query = self.query;
        if query == "-" {
            query.clear();
            std::io::stdin().read_to_string(&mut query)?;
        }
        if query.trim().is_empty() {
            bail!(
                "the statement is empty; try `extrack sql \"SELECT * FROM observations LIMIT 5\"`"
            );
        }
        let client = server.connect()?;
        if self.csv {
            let text = client
                .post_text("/sql", &json!({ "query": query, "format": "csv" }))
                .await?;
            line(text.trim_end());
            return Ok(());
        }
        let answer = client.post("/sql", &json!({ "query": query })).await?;
        if self.json {
            print_json(&answer);
            return Ok(());
        }
        let names: Vec<String> = answer["columns"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|column| cell(&column["name"]))
            .collect();
        let rows: Vec<Vec<String>> = answer["rows"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|row| row.as_array().into_iter().flatten().map(cell).collect())
            .collect();
        table(&names.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
        if answer["truncated"] == Value::Bool(true) {
            line("… cut off: there are more rows; add LIMIT or a narrower WHERE");
        }
        Ok(())
    }
}

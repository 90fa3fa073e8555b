//! `extrack sql`

use std::io::Read;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::sql::{SqlAnswer, SqlFormat, SqlRequest};

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
    pub(super) async fn run(self, server: &Server) -> Outcome {
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
        let format = if self.csv {
            SqlFormat::Csv
        } else {
            SqlFormat::Json
        };
        let client = server.connect()?;
        let request = SqlRequest { query, format };
        if self.csv {
            let text = client.post_text("/sql", &request).await?;
            line(text.trim_end());
            return Ok(ExitCode::SUCCESS);
        }
        let answer = client.post("/sql", &request).await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let SqlAnswer {
            columns,
            rows,
            truncated,
        } = answer.read()?;
        let names: Vec<String> = columns.iter().map(|column| cell(&column.name)).collect();
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(cell).collect())
            .collect();
        table(&names.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
        if truncated {
            line("… cut off: there are more rows; add LIMIT or a narrower WHERE");
        }
        Ok(ExitCode::SUCCESS)
    }
}

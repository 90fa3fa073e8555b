//! `extrack reports list|show|run|preview`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Subcommand;

use super::client::{Client, NoBody, Server, query, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, list_cell, note, table};
use crate::api_types::reports::{ReportBody, ReportRunBody};

#[derive(Debug, Subcommand)]
pub(super) enum Reports {
    /// Reports, by name, with the next and the last run.
    ///
    /// Example: extrack reports list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Shows one with its runs.
    ///
    /// Example: extrack reports show weekly-vendors
    Show {
        name: String,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Makes one now, of the last period, and sends it to its channels.
    ///
    /// Example: extrack reports run weekly-vendors
    Run { name: String },
    /// Makes one of the last period as a file, without keeping or sending it.
    ///
    /// Example: extrack reports preview weekly-vendors --format pdf
    Preview {
        name: String,
        /// `html`, `pdf`, `csv`, `json` or `parquet`.
        #[arg(long, default_value = "html")]
        format: String,
        /// Where it is written. Default: `NAME.FORMAT` in this folder.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl Reports {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Reports::List { json } => list(&client, json).await?,
            Reports::Show { name, json } => show(&client, &name, json).await?,
            Reports::Run { name } => {
                let path = format!("/reports/{}/run", segment(&name));
                let run: ReportRunBody = client.post(&path, &NoBody {}).await?.read()?;
                line(&format!(
                    "run {} of {} is {}; `extrack reports show {}` has its outcome",
                    run.id,
                    cell(&run.report),
                    cell(&run.state),
                    cell(&name)
                ));
            }
            Reports::Preview {
                name,
                format,
                output,
            } => {
                let query = query(&[("format", Some(&format))]);
                let path = format!("/reports/{}/preview{query}", segment(&name));
                let content = client.get_bytes(&path).await?;
                let output = output.unwrap_or_else(|| PathBuf::from(format!("{name}.{format}")));
                std::fs::write(&output, content)
                    .with_context(|| format!("could not write `{}`", output.display()))?;
                note(&format!("written to {}", output.display()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn list(client: &Client, json: bool) -> Result<()> {
    let answer = client.list("/reports").await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let reports: Vec<ReportBody> = answer.read()?;
    let row = |report: &ReportBody| {
        let last = report.last_run.as_ref();
        vec![
            cell(&report.name),
            cell(&report.title),
            list_cell(&report.channels),
            cell(&report.next_at),
            cell(&last.map(|run| run.state)),
            cell(&last.map(|run| run.period.as_str())),
        ]
    };
    let rows: Vec<Vec<String>> = reports.iter().map(row).collect();
    table(
        &["REPORT", "TITLE", "CHANNELS", "NEXT", "LAST", "PERIOD"],
        &rows,
    );
    Ok(())
}

async fn show(client: &Client, name: &str, json: bool) -> Result<()> {
    let path = format!("/reports/{}", segment(name));
    let answer = client.get(&path).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let report: ReportBody = answer.read()?;
    line(&format!(
        "{} ({})",
        cell(&report.title),
        cell(&report.origin)
    ));
    line(&format!("schedule  {}", cell(&report.schedule)));
    line(&format!("next      {}", cell(&report.next_at)));
    line(&format!("channels  {}", list_cell(&report.channels)));
    for fault in &report.faults {
        line(&format!("fault     {}", cell(&fault.to_string())));
    }
    line("");
    let runs: Vec<ReportRunBody> = client.list(&format!("{path}/runs")).await?.read()?;
    let row = |run: &ReportRunBody| {
        let delivered = run.messages.iter().filter(|it| it.delivered_at.is_some());
        vec![
            run.id.to_string(),
            cell(&run.period),
            cell(&run.state),
            cell(&run.created_at),
            format!("{} of {}", delivered.count(), run.messages.len()),
            cell(&run.error),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    table(
        &["RUN", "PERIOD", "STATE", "MADE", "DELIVERED", "ERROR"],
        &rows,
    );
    Ok(())
}

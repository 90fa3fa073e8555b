//! `extrack archive list|verify|restore`

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::client::{Client, Server, query};
use super::outcome::{Outcome, failed};
use super::print::{json as print_json, line, note, plain, table};
use crate::api_types::archive::{ArchiveFileBody, ArchiveReportBody};

#[derive(Debug, Subcommand)]
pub(super) enum Archive {
    /// The files: one a table and day.
    ///
    /// Examples:
    ///   extrack archive list
    ///   extrack archive list --table observations --json
    #[command(verbatim_doc_comment)]
    List {
        /// Only files of this table, e.g. `observations`.
        #[arg(long)]
        table: Option<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Reads every file now, and compares it with its SHA-256. The server does so by itself once a
    /// week.
    ///
    /// Example:
    ///   extrack archive verify
    #[command(verbatim_doc_comment)]
    Verify,
    /// Takes over files that lie in the folder of the archive and are not listed: after the data
    /// folder was lost, copy the archive back, start, and run this.
    ///
    /// Example:
    ///   extrack archive restore
    #[command(verbatim_doc_comment)]
    Restore,
}

impl Archive {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Archive::List { table, json } => {
                let path = format!("/archive{}", query(&[("table", table.as_deref())]));
                let answer = client.list(&path).await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let files: Vec<ArchiveFileBody> = answer.read()?;
                print_files(&files);
                Ok(ExitCode::SUCCESS)
            }
            Archive::Verify => {
                note("reading all files of the archive …");
                let report = report(&client, "/archive/verify").await?;
                Ok(show(&report, "read and compared"))
            }
            Archive::Restore => {
                note("reading the folder of the archive …");
                let report = report(&client, "/archive/restore").await?;
                Ok(show(&report, "that were not listed"))
            }
        }
    }
}

async fn report(client: &Client, path: &str) -> anyhow::Result<ArchiveReportBody> {
    let response = client.post_stream(path).await?;
    let report = response.json().await;
    report.context("this version of `extrack` can't read the server's answer")
}

fn show(report: &ArchiveReportBody, what: &str) -> ExitCode {
    let megabytes = report.bytes as f64 / 1e6;
    line(&format!("{} files {what}, {megabytes:.1} MB", report.files));
    for fault in &report.faults {
        line(&format!("{}: {}", plain(&fault.path), plain(&fault.fault)));
    }
    if report.faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    failed(&anyhow::anyhow!(
        "{} of them have a fault",
        report.faults.len()
    ))
}

fn print_files(files: &[ArchiveFileBody]) {
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|file| {
            vec![
                plain(&file.table).to_string(),
                plain(&file.day).to_string(),
                file.rows.to_string(),
                format!("{:.1}", file.bytes as f64 / 1e6),
                file.verified_at.clone(),
                plain(file.fault.as_deref().unwrap_or("-")).to_string(),
            ]
        })
        .collect();
    table(&["TABLE", "DAY", "ROWS", "MB", "VERIFIED", "FAULT"], &rows);
}

//! `extrack invoices`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::client::{Client, Server, query, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::invoices::{
    InvoiceBody, InvoiceImported, InvoiceLineBody, InvoiceLinesBody, InvoicesBody,
};

/// As large as the server takes a body.
const MAX_FILE: u64 = 16 * 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Invoices {
    /// Imports an invoice, as CSV (FOCUS, or `from,to,service,amount,currency`) or as JSON; or what Twilio,
    /// OpenAI or Anthropic report of their costs, as JSON.
    ///
    /// The same file can be imported again: a line counts once, by its invoice and its number. Lines
    /// that are wrong are listed with the reason, and the others are imported.
    ///
    /// Example: extrack invoices import november.csv --invoice INV-2026-11 --service stripe
    Import(Import),
    /// Lists invoices beside what was counted for the same time.
    ///
    /// Example: extrack invoices list --service stripe
    List(List),
    /// Shows an invoice: why it differs, and its lines.
    ///
    /// Example: extrack invoices show INV-2026-11
    Show(Show),
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file; one that ends with `.json` is JSON.
    file: PathBuf,
    /// Id of the invoice, for lines without one. Default: name of the file.
    #[arg(long)]
    invoice: Option<String>,
    /// Slug of the service that all lines are for; without it each line names its own.
    #[arg(long)]
    service: Option<String>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Slug of a service; all services if not given.
    #[arg(long)]
    service: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Id of the invoice.
    invoice: String,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Invoices {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Invoices::Import(options) => options.run(&client).await,
            Invoices::List(options) => options.run(&client).await,
            Invoices::Show(options) => options.run(&client).await,
        }
    }
}

impl Import {
    /// The exit code is 1 if lines were not taken.
    async fn run(self, client: &Client) -> Outcome {
        let content = self.read()?;
        let name = self.file.file_stem().map(|name| name.to_string_lossy());
        let name = name.map(std::borrow::Cow::into_owned);
        let invoice = self.invoice.or(name);
        let parameters = query(&[
            ("invoice", invoice.as_deref()),
            ("service", self.service.as_deref()),
        ]);
        let is_json = self
            .file
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let media_type = if is_json {
            "application/json"
        } else {
            "text/csv"
        };
        let path = format!("/invoices{parameters}");
        let answer = client.post_file(&path, media_type, content).await?;
        let imported: InvoiceImported = answer.read()?;
        if self.json {
            print_json(&answer);
        } else {
            for refused in &imported.refused {
                line(&format!("line {}: {}", refused.line, cell(&refused.reason)));
            }
            line(&format!(
                "{} lines taken, {} known, {} refused",
                imported.taken,
                imported.duplicates,
                imported.refused.len()
            ));
        }
        Ok(if imported.refused.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn read(&self) -> Result<Vec<u8>> {
        let shown = self.file.display();
        let about = std::fs::metadata(&self.file);
        let about = about.with_context(|| format!("can't read `{shown}`"))?;
        if about.len() > MAX_FILE {
            bail!(
                "`{shown}` is larger than {} MiB; split it, each part with the header and a column `line`",
                MAX_FILE / 1024 / 1024
            );
        }
        std::fs::read(&self.file).with_context(|| format!("can't read `{shown}`"))
    }
}

impl List {
    async fn run(self, client: &Client) -> Outcome {
        let parameters = query(&[("service", self.service.as_deref())]);
        let answer = client.get(&format!("/invoices{parameters}")).await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let body: InvoicesBody = answer.read()?;
        print_invoices(&body.invoices);
        Ok(ExitCode::SUCCESS)
    }
}

fn print_invoices(invoices: &[InvoiceBody]) {
    let header = [
        "INVOICE", "SERVICE", "FROM", "TO", "CURRENCY", "BILLED", "COUNTED", "DRIFT", "PERCENT",
    ];
    let rows: Vec<Vec<String>> = invoices
        .iter()
        .map(|invoice| {
            let day = |moment: &str| moment.chars().take(10).collect::<String>();
            let counted = if invoice.counted == invoice.counted_at_most {
                invoice.counted.clone()
            } else {
                format!("{} to {}", invoice.counted, invoice.counted_at_most)
            };
            vec![
                cell(&invoice.invoice),
                cell(&invoice.service),
                day(&invoice.from),
                day(&invoice.to),
                cell(&invoice.currency),
                cell(&invoice.billed),
                counted,
                cell(&invoice.drift),
                cell(&invoice.drift_percent),
            ]
        })
        .collect();
    table(&header, &rows);
}

impl Show {
    async fn run(self, client: &Client) -> Outcome {
        let parameters = query(&[("invoice", Some(&self.invoice))]);
        let answer = client.get(&format!("/invoices{parameters}")).await?;
        let body: InvoicesBody = answer.read()?;
        if body.invoices.is_empty() {
            bail!(
                "there is no invoice `{}`; `extrack invoices list` shows those there are",
                self.invoice
            );
        }
        let lines = self.lines(client).await?;
        if self.json {
            print_json(&serde_json::json!({"invoices": body.invoices, "lines": lines}));
            return Ok(ExitCode::SUCCESS);
        }
        print_invoices(&body.invoices);
        for invoice in &body.invoices {
            for reason in &invoice.reasons {
                line(&format!(
                    "{}: {}",
                    cell(&invoice.service),
                    cell(&reason.detail)
                ));
            }
        }
        let header = ["LINE", "SERVICE", "CATEGORY", "AMOUNT", "CURRENCY", "NAME"];
        let rows: Vec<Vec<String>> = lines
            .iter()
            .map(|line| {
                vec![
                    cell(&line.line),
                    cell(&line.service),
                    cell(&line.category),
                    cell(&line.amount),
                    cell(&line.currency),
                    cell(&line.name),
                ]
            })
            .collect();
        table(&header, &rows);
        Ok(ExitCode::SUCCESS)
    }

    /// Returns all lines, page by page: the server keeps a bounded number of them.
    async fn lines(&self, client: &Client) -> Result<Vec<InvoiceLineBody>> {
        let mut lines = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let parameters = query(&[("after", after.as_deref())]);
            let path = format!("/invoices/{}/lines{parameters}", segment(&self.invoice));
            let answer = client.get(&path).await?;
            let page: InvoiceLinesBody = answer.read()?;
            lines.extend(page.lines);
            match page.after {
                Some(last) => after = Some(last.to_string()),
                None => return Ok(lines),
            }
        }
    }
}

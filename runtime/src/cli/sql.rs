//! `extrack sql`

mod ask;
mod output;
mod params;
mod prompt;
mod schema;
mod source;

use std::io::{IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use super::client::{Client, Server};
use super::outcome::Outcome;
use crate::api_types::sql::{SqlFormat, SqlParams, SqlRequest};
use output::{Format, Output};
pub(super) use params::parse as parse_params;
use source::{Offline, Source};

/// Asks the history in SQL (DuckDB's dialect, SELECT only).
///
/// Without a statement it asks for statements at a prompt, with history and completion; `\?` shows
/// its commands. Ctrl-C cancels the query that runs.
///
/// Examples:
///   extrack sql "SELECT service, count(*) FROM observations GROUP BY service"
///   extrack sql --param service=shop-api "SELECT * FROM observations WHERE service = $service"
///   extrack sql -o runs.parquet "SELECT ts, status, latency_ms FROM observations"
///   extrack sql -f report.sql --param from=2026-11-01T00:00:00+01:00 --csv
///   extrack sql --watch 5 "SELECT service, status FROM observations ORDER BY ts DESC LIMIT 5"
///   extrack sql '\d observations'
///   extrack sql --offline data "SELECT service, count(*) FROM observations GROUP BY service"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Sql {
    /// The statement; `-` reads it from standard input, `\d` lists views, `\d VIEW` columns.
    #[arg(conflicts_with = "file")]
    query: Option<String>,
    /// File with the statement.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Repeats the query every so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
    #[command(flatten)]
    offline: Offline,
    #[command(flatten)]
    options: Options,
}

/// Options of everything that asks in SQL.
#[derive(Debug, Clone, Args)]
pub(super) struct Options {
    /// Value of a parameter, `$NAME` or `$1` in the statement. Numbers, `true`, `false` and `null`
    /// are such; `"404"` in quotes is text.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Form of the answer. Default: what the name of the output file ends with, else a table.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// JSON instead of a table.
    #[arg(long, conflicts_with_all = ["csv", "format"])]
    json: bool,
    /// Comma-separated values instead of a table.
    #[arg(long, conflicts_with = "format")]
    csv: bool,
    /// File for the answer; it appears when it is whole.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Most rows.
    #[arg(long)]
    limit: Option<u32>,
}

impl Options {
    fn output(&self) -> Result<Output> {
        let format = match (self.json, self.csv) {
            (true, _) => Some(Format::Json),
            (_, true) => Some(Format::Csv),
            _ => self.format,
        };
        Output::new(format, self.output.clone())
    }

    /// Format that the server is asked for.
    pub(super) fn wanted(&self) -> Result<SqlFormat> {
        Ok(self.output()?.format())
    }

    pub(super) fn params(&self) -> Result<Option<SqlParams>> {
        parse_params(&self.params)
    }

    pub(super) fn limit(&self) -> Option<u32> {
        self.limit
    }
}

impl Sql {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let statement = self.statement()?;
        let source = Source::open(server, self.offline).await?;
        let Some(statement) = statement else {
            return prompt::run(source, self.options).await;
        };
        let statement = statement.trim().trim_end_matches(';').trim_end();
        if statement.is_empty() {
            bail!(
                "the statement is empty; try `extrack sql \"SELECT * FROM observations LIMIT 5\"`"
            );
        }
        if statement.starts_with('\\') {
            schema::command(&source, statement).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let request = request(statement, &self.options)?;
        match self.watch {
            Some(seconds) => {
                watch(
                    &source,
                    &request,
                    &self.options,
                    Duration::from_secs(seconds),
                )
                .await?;
            }
            None => query(&source, &request, &self.options).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns none where statements are to be asked for.
    fn statement(&self) -> Result<Option<String>> {
        let from_input = || -> Result<Option<String>> {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            Ok(Some(text))
        };
        match (&self.query, &self.file) {
            (_, Some(file)) => std::fs::read_to_string(file)
                .map(Some)
                .with_context(|| format!("could not read `{}`", file.display())),
            (Some(query), _) if query == "-" => from_input(),
            (Some(query), _) => Ok(Some(query.clone())),
            (None, None) if std::io::stdin().is_terminal() => Ok(None),
            (None, None) => from_input(),
        }
    }
}

fn request(statement: &str, options: &Options) -> Result<SqlRequest> {
    Ok(SqlRequest {
        query: statement.to_owned(),
        params: options.params()?,
        format: Some(options.wanted()?),
        limit: options.limit,
    })
}

/// Has a server run a query, and prints or stores the answer.
pub(super) async fn run(
    client: &Client,
    path: &str,
    request: &impl Serialize,
    options: &Options,
) -> Result<()> {
    let output = options.output()?;
    ask::ask(
        async |id| client.ask(path, id, request).await,
        async |id| client.query_percent(id).await,
        async |id| {
            // It may have ended just now.
            let _ = client.delete_quietly(&format!("/sql/{id}")).await;
        },
        async |response| output.take(response).await,
    )
    .await
}

/// Asks once, and prints or stores the answer.
async fn query(source: &Source, request: &SqlRequest, options: &Options) -> Result<()> {
    let output = options.output()?;
    ask::ask(
        async |id| source.ask(id, request).await,
        async |id| source.percent(id).await,
        async |id| source.cancel(id).await,
        async |response| output.take(response).await,
    )
    .await
}

/// Asks again and again, until Ctrl-C.
async fn watch(
    source: &Source,
    request: &SqlRequest,
    options: &Options,
    every: Duration,
) -> Result<()> {
    loop {
        super::print::line(&format!(
            "{}, every {} s; Ctrl-C ends it",
            jiff::Timestamp::now().strftime("%F %T UTC"),
            every.as_secs()
        ));
        query(source, request, options).await?;
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        }
    }
}

//! `extrack plugin run FILE`

mod calls;
mod report;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::call::{Call, Given, load};
use crate::cli::outcome::Outcome;
use crate::cli::print::json as print_json;
use crate::plugin_host::Recording;
use crate::telemetry;

/// Runs a plugin once, for real, in the engine the server has; no server is needed. Prints what it
/// found, what the host did for it and what it cost. Exit code 1 unless the service is healthy or
/// degraded, the rule not breached, the message sent, the delivery taken.
///
/// Examples:
///   extrack plugin run dist/quota.wasm --url https://api.example.com --auth 'bearer:$TOKEN'
///   extrack plugin run dist/quota.wasm --url https://api.example.com --settings '{"warnBelow": 500}' --json
///   extrack plugin run dist/quota.wasm --url https://api.example.com --record recordings/quota-exceeded.json
///   extrack plugin run dist/error_share.wasm --history runs.json --settings @tests/example.json
///   extrack plugin run dist/pager.wasm --settings @settings.json --send
///   extrack plugin run dist/forge.wasm --settings '{"secret": "s"}' --body @push.json --sign
/// github:s
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Run {
    /// The component.
    file: PathBuf,
    #[command(flatten)]
    given: Given,
    /// Keeps the recording of the run in this file, for `extrack plugin replay` and for tests.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Run {
    pub(super) async fn run(self) -> Outcome {
        // The plugin's own log lines, and nothing of ours below a warning.
        telemetry::start_logs("warn,extrack::plugin=debug");
        let mut plugin = load(&self.file).await?;
        let call = self.given.call(&plugin).await?;
        if let Call::Notifier { .. } = call
            && !self.given.send
            && !confirmed()?
        {
            bail!("nothing was sent; `--send` sends the sample message for real");
        }
        // Before anything is sent: a run that can't be kept is not made.
        let record = self
            .record
            .as_deref()
            .map(|path| Ok::<_, anyhow::Error>((path, create(path)?)))
            .transpose()?;
        while plugin.account().is_some() {}
        let name = plugin.entry().name.clone();
        let answer = call.make(plugin.host(), &name).await;
        let account = plugin.account();
        let recording = plugin.recording().await.unwrap_or_default();
        if let Some((path, mut file)) = record {
            file.write_all(&recording)
                .with_context(|| format!("writing `{}`", path.display()))?;
        }
        let calls = Recording::parse(&recording)
            .map(|recording| recording.calls)
            .unwrap_or_default();
        let report = report::Report {
            entry: plugin.entry(),
            answer: &answer,
            account: account.as_ref(),
            calls: &calls,
            url: self.given.url.as_deref(),
        };
        if self.json {
            print_json(&report.json());
        } else {
            report.print();
        }
        Ok(if answer.is_good() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Opens the file of a recording, and makes the folders above it.
fn create(path: &Path) -> Result<File> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("making the folder `{}`", folder.display()))?;
    }
    File::create(path).with_context(|| format!("writing `{}`", path.display()))
}

/// Asked at a terminal only.
fn confirmed() -> Result<bool> {
    use std::io::IsTerminal;
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    Ok(dialoguer::Confirm::new()
        .with_prompt("Send a sample message for real?")
        .default(false)
        .interact()?)
}

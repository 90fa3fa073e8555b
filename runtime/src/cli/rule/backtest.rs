//! `extrack rule backtest`

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::Server;
use crate::cli::print::{cell, json as print_json, line, table};
use crate::config;
use crate::domain::duration::format_duration;

/// Characters of the progress bar.
const BAR: usize = 30;

/// Alerts that are listed for one service.
const LISTED: usize = 50;

/// What a rule would have said over the stored history. Changes nothing and tells nobody.
///
/// Examples:
///   extrack rule backtest --rule "Service Down" --since 30d
///   extrack rule backtest --rule slow.yaml --since 7d --service shop-api
///   extrack rule backtest --rule "Service Down" --plugin target/condition.wasm
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Backtest {
    /// A rule in force by its name, or a file with an entry as of `alerts` in alerts.yaml.
    #[arg(long)]
    rule: String,
    /// How long ago it begins, as `30d`, or a moment in RFC 3339.
    #[arg(long, default_value = "30d")]
    since: String,
    /// The same for its end; now if not given.
    #[arg(long)]
    until: Option<String>,
    /// Slug of a service; may be given several times. Every service that the rule looks at if not
    /// given.
    #[arg(long = "service")]
    services: Vec<String>,
    /// A version of the rule's plugin to try: a WebAssembly component. The active version if not
    /// given.
    #[arg(long)]
    plugin: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Backtest {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let mut body = json!({"rule": rule(&self.rule)?, "since": self.since});
        if let Some(until) = &self.until {
            body["until"] = until.as_str().into();
        }
        if !self.services.is_empty() {
            body["services"] = self.services.clone().into();
        }
        if let Some(path) = &self.plugin {
            let bytes =
                std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
            body["component"] = STANDARD.encode(bytes).into();
        }
        let mut report = None;
        let mut bar = Bar::new();
        server
            .connect()?
            .post_lines("/rules/backtest", &body, |line| {
                if let Some(progress) = line.get("progress") {
                    bar.show(progress);
                } else if let Some(error) = line["error"].as_str() {
                    bar.clear();
                    bail!("{error}");
                } else if line.get("report").is_some() {
                    report = Some(line["report"].clone());
                }
                Ok(())
            })
            .await?;
        bar.clear();
        let report = report.context("the server ended without a report")?;
        match self.json {
            true => print_json(&report),
            false => show(&report),
        }
        Ok(())
    }
}

/// A name, or what stands in a file: one entry, or a list of one below `alerts`.
fn rule(text: &str) -> Result<Value> {
    let path = Path::new(text);
    let is_file = ["yaml", "yml", "json"]
        .iter()
        .any(|ending| path.extension().is_some_and(|found| found == *ending));
    if !is_file && !path.is_file() {
        return Ok(Value::from(text));
    }
    let value = config::read_value(path)?;
    match value
        .get("alerts")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        None if value.is_object() => Ok(value),
        Some([entry]) => Ok(entry.clone()),
        Some(entries) => bail!(
            "`{text}` has {} entries below `alerts`; a backtest plays one rule",
            entries.len()
        ),
        None => bail!("`{text}` holds no entry as of `alerts` in alerts.yaml"),
    }
}

/// On standard error, where somebody looks.
struct Bar {
    is_shown: bool,
    started: Instant,
}

impl Bar {
    fn new() -> Self {
        Self {
            is_shown: std::io::stderr().is_terminal(),
            started: Instant::now(),
        }
    }

    fn show(&mut self, progress: &Value) {
        let count = |key: &str| progress[key].as_u64().unwrap_or_default();
        let (done, of) = (count("observations"), count("ofObservations"));
        if !self.is_shown || of == 0 {
            return;
        }
        let filled = (done as usize * BAR / of as usize).min(BAR);
        let per_second = (done as f64 / self.started.elapsed().as_secs_f64().max(0.001)) as u64;
        let bar = format!("{}{}", "#".repeat(filled), ".".repeat(BAR - filled));
        let percent = done * 100 / of;
        let _ = write!(
            std::io::stderr(),
            "\r[{bar}] {percent:>3}% of {of} observations, {per_second}/s "
        );
    }

    fn clear(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r{:width$}\r", "", width = BAR + 60);
        }
    }
}

fn show(report: &Value) {
    let (rule, plugin) = (cell(&report["rule"]), cell(&report["plugin"]));
    line(&format!(
        "{rule} ({plugin} {}), {} to {}",
        cell(&report["pluginVersion"]),
        cell(&report["since"]),
        cell(&report["until"])
    ));
    let services = report["services"].as_array().map_or(&[][..], Vec::as_slice);
    let firing = lasted(&report["firingMs"]);
    line(&format!(
        "would have fired {} time(s), {firing} in all, in {} service(s)",
        report["fired"],
        services.len()
    ));
    line(&format!(
        "really fired {} time(s), {} of them found again",
        report["reallyFired"], report["reallyFound"]
    ));
    if let Some(per_second) = report["evaluationsPerSecond"].as_u64() {
        line(&format!(
            "{} evaluations, {per_second} per second",
            report["evaluations"]
        ));
    }
    for (channel, count) in report["messages"].as_object().into_iter().flatten() {
        line(&format!("{count} message(s) to {channel}"));
    }
    if report["messagesCut"] == true {
        line("and more, which were not counted: the alerts are too many");
    }
    if report["impure"] == true {
        line("the rule says different things for the same history: none of this can be relied on");
    }
    for service in services {
        show_service(service);
    }
}

fn show_service(service: &Value) {
    let list = |key: &str| service[key].as_array().cloned().unwrap_or_default();
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    for (key, only, both) in [
        ("alerts", "only here", "both"),
        ("really", "only really", ""),
        ("current", "only in force", ""),
    ] {
        for alert in list(key) {
            let word = match alert["matched"] == true {
                true if both.is_empty() => continue,
                true => both,
                false => only,
            };
            let fired = cell(&alert["firedAt"]);
            let summary = match alert["suppressedBy"].as_str() {
                Some(mute) => format!("{} (muted by {mute})", cell(&alert["summary"])),
                None => cell(&alert["summary"]),
            };
            let row = vec![
                fired.clone(),
                lasted(&alert["firingMs"]),
                word.to_owned(),
                summary,
            ];
            rows.push((fired, row));
        }
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    if !rows.is_empty() {
        line("");
        line(&cell(&service["service"]));
        let shown: Vec<Vec<String>> = rows
            .iter()
            .take(LISTED)
            .map(|(_, row)| row.clone())
            .collect();
        table(&["FIRED", "FOR", "WHERE", "SUMMARY"], &shown);
        if rows.len() > LISTED {
            line(&format!(
                "and {} more; `--json` has them all",
                rows.len() - LISTED
            ));
        }
    }
    if let Some(failure) = service["firstFailure"].as_str() {
        line(&format!(
            "{}: {} evaluation(s) failed, the first: {failure}",
            cell(&service["service"]),
            service["failures"]
        ));
    }
}

fn lasted(ms: &Value) -> String {
    let seconds = ms.as_u64().unwrap_or_default() / 1_000;
    format_duration(std::time::Duration::from_secs(seconds))
}

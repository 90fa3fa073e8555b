//! `extrack rule backtest`

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;

use crate::api_types::backtest::{
    BacktestBody, BacktestLine, EpisodeBody, ProgressBody, ReportBody, RuleBody, ServiceBody,
};
use crate::cli::client::{Answer, Server};
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, json as print_json, line, plain, table};
use crate::config;
use crate::domain::duration::format_duration;

/// Characters of the progress bar.
const BAR: usize = 30;

/// Alerts that are listed for one service.
const LISTED: usize = 50;

/// Runs a rule over the stored history. Changes nothing and sends nothing.
///
/// Examples:
///   extrack rule backtest --rule "Service Down" --since 30d
///   extrack rule backtest --rule slow.yaml --since 7d --service shop-api
///   extrack rule backtest --rule "Service Down" --plugin target/condition.wasm
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Backtest {
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
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let component = match &self.plugin {
            Some(path) => {
                let bytes =
                    std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
                Some(STANDARD.encode(bytes))
            }
            None => None,
        };
        let body = BacktestBody {
            rule: rule(&self.rule)?,
            since: Some(self.since),
            until: self.until,
            services: (!self.services.is_empty()).then_some(self.services),
            component,
        };
        let mut report = None;
        let mut bar = Bar::new();
        server
            .connect()?
            .post_lines("/rules/backtest", &body, |answer: Answer| {
                match answer.read()? {
                    BacktestLine::Progress(progress) => bar.show(&progress),
                    BacktestLine::Report(_) => report = Some(answer),
                    BacktestLine::Error(error) => {
                        bar.clear();
                        bail!("{error}");
                    }
                }
                Ok(())
            })
            .await?;
        bar.clear();
        let report = report.context("the server ended without a report")?;
        if self.json {
            // The line without its key.
            let values: BTreeMap<String, Value> = report.read()?;
            values.values().for_each(print_json);
        } else if let BacktestLine::Report(report) = report.read()? {
            show(&report);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A name, or what stands in a file: one entry, or a list of one below `alerts`.
fn rule(text: &str) -> Result<RuleBody> {
    let path = Path::new(text);
    let is_file = ["yaml", "yml", "json"]
        .iter()
        .any(|ending| path.extension().is_some_and(|found| found == *ending));
    if !is_file && !path.is_file() {
        return Ok(RuleBody::Named(text.to_owned()));
    }
    let value = config::read_value(path)?;
    match value
        .get("alerts")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        None if value.is_object() => Ok(serde_json::from_value(value)?),
        Some([entry]) => Ok(serde_json::from_value(entry.clone())?),
        Some(entries) => bail!(
            "`{text}` has {} entries below `alerts`; a backtest plays one rule",
            entries.len()
        ),
        None => bail!("`{text}` holds no entry as of `alerts` in alerts.yaml"),
    }
}

/// Progress bar on standard error.
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

    fn show(&mut self, progress: &ProgressBody) {
        let (done, of) = (progress.observations, progress.of_observations);
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

fn show(report: &ReportBody) {
    let (rule, plugin) = (cell(&report.rule), cell(&report.plugin));
    line(&format!(
        "{rule} ({plugin} {}), {} to {}",
        cell(&report.plugin_version),
        cell(&report.since),
        cell(&report.until)
    ));
    let firing = lasted(report.firing_ms);
    line(&format!(
        "would have fired {} time(s), {firing} in all, in {} service(s)",
        report.fired,
        report.services.len()
    ));
    line(&format!(
        "really fired {} time(s), {} of them found again",
        report.really_fired, report.really_found
    ));
    if let Some(per_second) = report.evaluations_per_second {
        line(&format!(
            "{} evaluations, {per_second} per second",
            report.evaluations
        ));
    }
    for (channel, count) in &report.messages {
        line(&format!("{count} message(s) to {}", plain(channel)));
    }
    if report.messages_cut {
        line("and more, which were not counted: the alerts are too many");
    }
    if report.impure {
        line(
            "the rule returns different verdicts for the same history: none of this can be \
             relied on",
        );
    }
    report.services.iter().for_each(show_service);
}

fn show_service(service: &ServiceBody) {
    let mut rows = Vec::new();
    for alert in &service.alerts {
        let place = if alert.matched { "both" } else { "only here" };
        rows.push(episode_row(alert, place));
    }
    let current = service.current.iter().flatten();
    for (alert, place) in service
        .really
        .iter()
        .map(|alert| (alert, "only really"))
        .chain(current.map(|alert| (alert, "only in force")))
    {
        if !alert.matched {
            rows.push(episode_row(alert, place));
        }
    }
    rows.sort_by(|a, b| a.first().cmp(&b.first()));
    if !rows.is_empty() {
        line("");
        line(&cell(&service.service));
        let shown = &rows[..rows.len().min(LISTED)];
        table(&["FIRED", "FOR", "WHERE", "SUMMARY"], shown);
        if rows.len() > LISTED {
            line(&format!(
                "and {} more; `--json` has them all",
                rows.len() - LISTED
            ));
        }
    }
    if let Some(failure) = &service.first_failure {
        line(&format!(
            "{}: {} evaluation(s) failed, the first: {}",
            cell(&service.service),
            service.failures,
            plain(failure)
        ));
    }
}

fn episode_row(alert: &EpisodeBody, place: &str) -> Vec<String> {
    let summary = match &alert.suppressed_by {
        Some(mute) => format!("{} (muted by {})", cell(&alert.summary), plain(mute)),
        None => cell(&alert.summary),
    };
    vec![
        cell(&alert.fired_at),
        lasted(alert.firing_ms),
        place.to_owned(),
        summary,
    ]
}

fn lasted(ms: i64) -> String {
    format_duration(Duration::from_secs(ms.max(0).unsigned_abs() / 1_000))
}

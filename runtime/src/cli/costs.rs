//! `extrack usage`, `extrack costs`

use std::process::ExitCode;

use clap::Args;

use super::client::{Server, query};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::costs::{
    CallCostBody, CostRowBody, CostsBody, GroupBody, UsageBody, UsageRowBody,
};

/// Calls and units, added up: of the present cycle, or of a time.
///
/// Example: extrack usage --by service,consumer --from 2026-11-01T00:00:00Z
#[derive(Debug, Args)]
pub(super) struct Usage {
    #[command(flatten)]
    which: Which,
}

/// Cost of calls so far, and what will be owed: of the present cycle, or of a time.
///
/// Example: extrack costs --by tag --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z
#[derive(Debug, Args)]
pub(super) struct Costs {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
struct Which {
    /// `service`, `consumer`, `route`, `tag` and `day`, several of them joined by commas.
    #[arg(long, default_value = "service")]
    by: String,
    /// Beginning, e.g. `2026-11-01T00:00:00+01:00`; that of the present cycle if not given.
    #[arg(long)]
    from: Option<String>,
    /// First moment that does not count; now if not given.
    #[arg(long)]
    to: Option<String>,
    /// Slug of a service; all services if not given.
    #[arg(long)]
    service: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Which {
    fn path(&self, noun: &str) -> String {
        let parameters = query(&[
            ("by", Some(&self.by)),
            ("from", self.from.as_deref()),
            ("to", self.to.as_deref()),
            ("service", self.service.as_deref()),
        ]);
        format!("/{noun}{parameters}")
    }

    /// Returns the columns of the groups that were asked for.
    fn header(&self) -> Vec<String> {
        let words = self.by.split(',').map(str::trim);
        words.map(str::to_uppercase).collect()
    }

    fn cells(&self, group: &GroupBody) -> Vec<String> {
        let words = self.by.split(',').map(str::trim);
        let cells = words.map(|word| match word {
            "consumer" => cell(&group.consumer),
            "route" => cell(&group.route),
            "tag" => cell(&group.tag),
            "day" => cell(&group.day),
            _ => cell(&group.service),
        });
        cells.collect()
    }

    fn print(&self, columns: &[&str], rows: Vec<(&GroupBody, Vec<String>)>) {
        let mut header = self.header();
        header.extend(columns.iter().map(|column| (*column).to_owned()));
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        let rows: Vec<Vec<String>> = rows
            .into_iter()
            .map(|(group, cells)| [self.cells(group), cells].concat())
            .collect();
        table(&header, &rows);
    }
}

impl Usage {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        let answer = client.get(&self.which.path("usage")).await?;
        if self.which.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let usage: UsageBody = answer.read()?;
        let rows = usage.rows.iter().map(|row| (&row.group, usage_row(row)));
        self.which
            .print(&["CALLS", "ATTEMPTS", "IN", "OUT", "UNITS"], rows.collect());
        Ok(ExitCode::SUCCESS)
    }
}

fn usage_row(row: &UsageRowBody) -> Vec<String> {
    let units = row.units.iter();
    let units: Vec<String> = units
        .map(|(unit, amount)| format!("{amount} {unit}"))
        .collect();
    vec![
        cell(&row.calls),
        cell(&row.attempts),
        cell(&row.bytes_in),
        cell(&row.bytes_out),
        cell(&units.join(", ")),
    ]
}

impl Costs {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        let answer = client.get(&self.which.path("costs")).await?;
        if self.which.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let costs: CostsBody = answer.read()?;
        let rows = costs.rows.iter().map(|row| (&row.group, cost_row(row)));
        let columns = [
            "CYCLE", "CURRENCY", "CALLS", "METERED", "USED", "OWED", "FORECAST",
        ];
        self.which.print(&columns, rows.collect());
        for (currency, overhead) in &costs.overhead {
            let part = |name: &str, sum: &CallCostBody| {
                let cost = between(&sum.at_least, &sum.at_most);
                (sum.calls > 0).then(|| format!("{name} {} ({cost})", sum.calls))
            };
            let retries = (overhead.retries > 0).then(|| {
                format!(
                    "retries {} (at most {})",
                    overhead.retries, overhead.retries_at_most
                )
            });
            let parts = [
                retries,
                part("failures", &overhead.failures),
                part("time-outs", &overhead.timeouts),
                part("cut", &overhead.cut),
                part("own checks", &overhead.own_checks),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            if !parts.is_empty() {
                line(&format!("of which {currency}: {}", cell(&parts.join(", "))));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn cost_row(row: &CostRowBody) -> Vec<String> {
    let amounts = |low: &Option<String>, high: &Option<String>| match (low, high) {
        (Some(low), Some(high)) => between(low, high),
        _ => "-".to_owned(),
    };
    let forecast = match (&row.forecast, &row.forecast_missing) {
        (Some(found), _) => format!("{} ({} to {})", found.likely, found.low, found.high),
        (None, Some(reason)) => reason.clone(),
        (None, None) => "-".to_owned(),
    };
    let metered = match row.calls {
        0 => "-".to_owned(),
        calls => format!("{} %", row.metered.saturating_mul(100) / calls),
    };
    vec![
        cell(&row.cycle.as_ref().map(|cycle| &cycle.name)),
        cell(&row.currency),
        cell(&row.calls),
        metered,
        amounts(&row.used, &row.used_at_most),
        amounts(&row.owed, &row.owed_at_most),
        cell(&forecast),
    ]
}

/// One amount, or both ends where they differ.
fn between(low: &str, high: &str) -> String {
    if low == high {
        low.to_owned()
    } else {
        format!("{low} to {high}")
    }
}

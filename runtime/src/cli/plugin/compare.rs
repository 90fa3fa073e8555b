//! `extrack plugin compare NAME`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::plugin_shadow::{
    BrokenBody, CostBody, DisagreementBody, QuantilesBody, ShadowBody, SideCostBody,
};
use crate::cli::client::Server;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, json as print_json, line, table};

/// How the candidate of a plugin compares with the active version: agreement, the last
/// disagreements, latency and cost.
///
/// Example: extrack plugin compare shop-probe
#[derive(Debug, Args)]
pub(crate) struct Compare {
    name: String,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let path = format!("/plugins/{}/shadow", self.name);
        let answer = server.connect()?.get(&path).await?;
        if self.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let found: ShadowBody = answer.read()?;
        let candidate = &found.candidate;
        line(&format!(
            "{} {} beside {}, {} since {} by {}",
            self.name,
            cell(&candidate.version),
            cell(&found.active.version),
            cell(&candidate.state),
            cell(&candidate.since),
            cell(&candidate.started_by)
        ));
        if let Some(error) = &candidate.last_error {
            line(&format!("it broke last because it {}", cell(error)));
        }
        let BrokenBody {
            errors,
            traps,
            timeouts,
            limits,
        } = found.broken;
        line(&format!(
            "{} runs, {} agreed ({} %), {} broken, {} skipped",
            found.runs,
            found.agreed,
            cell(&found.agreement),
            errors + traps + timeouts + limits,
            candidate.skipped
        ));
        line("");
        table(&["", "P50", "P95", "P99"], &costs(&found.cost));
        if !found.disagreements.is_empty() {
            line("");
            let rows: Vec<Vec<String>> = found.disagreements.iter().map(row).collect();
            table(&["LAST DISAGREEMENTS", "SERVICE", "WHAT"], &rows);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(disagreement: &DisagreementBody) -> Vec<String> {
    let probe = disagreement.probe.as_ref();
    let probe = probe.map(|probe| format!("/{}", cell(probe)));
    vec![
        cell(&disagreement.ts),
        cell(&disagreement.service) + &probe.unwrap_or_default(),
        cell(&disagreement.difference),
    ]
}

/// Returns a row for each value and version.
fn costs(cost: &CostBody) -> Vec<Vec<String>> {
    type Value = fn(&SideCostBody) -> &QuantilesBody;
    let values: [(&str, Value, &str, f64); 3] = [
        ("latency", |side| &side.latency_us, "ms", 1_000.0),
        ("CPU time", |side| &side.cpu_us, "ms", 1_000.0),
        ("memory", |side| &side.memory_bytes, "KiB", 1_024.0),
    ];
    let mut rows = Vec::new();
    for (name, value, unit, divisor) in values {
        for (side, of) in [("active", &cost.active), ("candidate", &cost.candidate)] {
            let quantile = |found: Option<f64>| match found {
                Some(found) => format!("{:.2} {unit}", found / divisor),
                None => "-".to_owned(),
            };
            let QuantilesBody { p50, p95, p99 } = *value(of);
            rows.push(vec![
                format!("{name}, {side}"),
                quantile(p50),
                quantile(p95),
                quantile(p99),
            ]);
        }
    }
    rows
}

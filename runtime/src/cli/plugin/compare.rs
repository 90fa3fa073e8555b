//! `extrack plugin compare NAME`

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::cli::client::Server;
use crate::cli::print::{cell, json as print_json, line, table};

/// How the candidate of a plugin compares with the active version: agreement, the last
/// disagreements, latency and cost.
///
/// Example: extrack plugin compare shop-probe
#[derive(Debug, Args)]
pub(in crate::cli) struct Compare {
    name: String,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let found = server
            .connect()?
            .get(&format!("/plugins/{}/shadow", self.name))
            .await?;
        if self.json {
            print_json(&found);
            return Ok(());
        }
        let (active, candidate) = (&found["active"], &found["candidate"]);
        line(&format!(
            "{} {} beside {}, {} since {} by {}",
            self.name,
            cell(&candidate["version"]),
            cell(&active["version"]),
            cell(&candidate["state"]),
            cell(&candidate["since"]),
            cell(&candidate["startedBy"])
        ));
        if !candidate["lastError"].is_null() {
            line(&format!(
                "it broke last because it {}",
                cell(&candidate["lastError"])
            ));
        }
        let broken: u64 = found["broken"]
            .as_object()
            .into_iter()
            .flat_map(|by| by.values())
            .filter_map(Value::as_u64)
            .sum();
        line(&format!(
            "{} runs, {} agreed ({} %), {broken} broken, {} skipped",
            cell(&found["runs"]),
            cell(&found["agreed"]),
            cell(&found["agreement"]),
            cell(&candidate["skipped"])
        ));
        line("");
        table(&["", "P50", "P95", "P99"], &costs(&found["cost"]));
        let disagreements = found["disagreements"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if !disagreements.is_empty() {
            line("");
            let row = |item: &Value| {
                let probe = item["probe"]
                    .as_str()
                    .map(|probe| format!("/{probe}"))
                    .unwrap_or_default();
                vec![
                    cell(&item["ts"]),
                    cell(&item["service"]) + &probe,
                    cell(&item["difference"]),
                ]
            };
            let rows: Vec<Vec<String>> = disagreements.iter().map(row).collect();
            table(&["LAST DISAGREEMENTS", "SERVICE", "WHAT"], &rows);
        }
        Ok(())
    }
}

/// A row for each value and version.
fn costs(cost: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (key, what, unit, divisor) in [
        ("latencyUs", "latency", "ms", 1_000.0),
        ("cpuUs", "CPU time", "ms", 1_000.0),
        ("memoryBytes", "memory", "KiB", 1_024.0),
    ] {
        for side in ["active", "candidate"] {
            let quantile = |name: &str| match cost[side][key][name].as_f64() {
                Some(value) => format!("{:.2} {unit}", value / divisor),
                None => "-".to_owned(),
            };
            rows.push(vec![
                format!("{what}, {side}"),
                quantile("p50"),
                quantile("p95"),
                quantile("p99"),
            ]);
        }
    }
    rows
}

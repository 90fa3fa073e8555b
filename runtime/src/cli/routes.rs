//! `extrack routes show|preview`

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, table};
use super::silences::words;

#[derive(Debug, Subcommand)]
pub(super) enum Routes {
    /// The routing tree, each node with what it has from the one above.
    ///
    /// Example: extrack routes show
    Show {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Which channels would be told of an alert, in which group, and what mutes it now; tells
    /// nobody.
    ///
    /// Examples: extrack routes preview --alert 'Service Down' --service shop-api
    ///           extrack routes preview --label severity=critical --label tag=eu
    Preview {
        /// Name of an alert.
        #[arg(long, requires = "service", conflicts_with = "labels")]
        alert: Option<String>,
        /// Slug of the alert's service.
        #[arg(long, requires = "alert")]
        service: Option<String>,
        /// `NAME=VALUE`, several times; the same name again gives it several values.
        #[arg(long = "label", required_unless_present = "alert", value_parser = label)]
        labels: Vec<(String, String)>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as `NAME=VALUE`")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Routes {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        match self {
            Routes::Show { json } => {
                let tree = client.get("/routes").await?;
                match (json, &tree["route"]) {
                    (true, _) => print_json(&tree),
                    (false, Value::Null) => line(
                        "there is neither a routing tree nor `notifications` at the top of alerts.yaml: alerts go to the channels of their own rule alone",
                    ),
                    (false, route) => show(route, 0),
                }
            }
            Routes::Preview {
                alert,
                service,
                labels,
                json,
            } => {
                let spec = match alert {
                    Some(alert) => json!({ "alert": alert, "service": service }),
                    None => json!({ "labels": gathered(labels) }),
                };
                let found = client.post("/routes/preview", &spec).await?;
                if json {
                    print_json(&found);
                    return Ok(());
                }
                let row = |place: &Value| {
                    let channels = place["channels"].as_array().into_iter().flatten();
                    let names: Vec<String> =
                        channels.map(|channel| cell(&channel["name"])).collect();
                    vec![
                        names.join(", "),
                        cell(&place["groupKey"]),
                        cell(&place["groupWait"]),
                        cell(&place["groupInterval"]),
                        cell(&place["repeatInterval"]),
                        cell(&place["quietBy"]),
                    ]
                };
                let rows: Vec<Vec<String>> = found["destinations"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(row)
                    .collect();
                table(
                    &[
                        "CHANNELS",
                        "GROUP",
                        "WAIT",
                        "INTERVAL",
                        "REPEAT",
                        "QUIET NOW",
                    ],
                    &rows,
                );
                line(&format!("muted now by: {}", cell(&found["mutedBy"])));
            }
        }
        Ok(())
    }
}

fn gathered(labels: Vec<(String, String)>) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for (name, value) in labels {
        if let Some(values) = all.entry(name).or_insert_with(|| json!([])).as_array_mut() {
            values.push(value.into());
        }
    }
    Value::Object(all)
}

fn show(route: &Value, depth: usize) {
    let matchers = if depth == 0 {
        "everything".to_owned()
    } else {
        words(&route["match"])
    };
    let mut text = format!(
        "{}{matchers} -> {} | by {} | wait {}, interval {}, repeat {}",
        "  ".repeat(depth),
        words(&route["receivers"]),
        words(&route["groupBy"]),
        cell(&route["groupWait"]),
        cell(&route["groupInterval"]),
        cell(&route["repeatInterval"]),
    );
    if route["muteTimes"]
        .as_array()
        .is_some_and(|times| !times.is_empty())
    {
        text.push_str(&format!(" | quiet during {}", words(&route["muteTimes"])));
    }
    if route["continue"] == true {
        text.push_str(" | continue");
    }
    line(&text);
    for below in route["routes"].as_array().into_iter().flatten() {
        show(below, depth + 1);
    }
}

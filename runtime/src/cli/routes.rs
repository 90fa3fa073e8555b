//! `extrack routes show|preview`

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Subcommand;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, list_cell, table};
use crate::api_types::Texts;
use crate::api_types::alert_routes::{
    DestinationBody, RouteBody, RoutePreviewBody, RoutePreviewSpec, RoutesBody,
};

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
    /// Shows the channels that an alert would go to, in which group, and what mutes it now; sends
    /// nothing.
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
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Routes::Show { json } => {
                let answer = client.get("/routes").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                match answer.read::<RoutesBody>()?.route {
                    Some(route) => show(&route, 0),
                    None => line(
                        "there is neither a routing tree nor `notifications` at the top of \
                         alerts.yaml: alerts go to the channels of their own rule alone",
                    ),
                }
            }
            Routes::Preview {
                alert,
                service,
                labels,
                json,
            } => {
                let spec = RoutePreviewSpec {
                    alert,
                    service,
                    labels: gathered(labels),
                };
                let answer = client.post("/routes/preview", &spec).await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let preview: RoutePreviewBody = answer.read()?;
                let rows: Vec<Vec<String>> = preview.destinations.iter().map(row).collect();
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
                line(&format!("muted now by: {}", cell(&preview.muted_by)));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(destination: &DestinationBody) -> Vec<String> {
    let names = destination.channels.iter().map(|channel| &channel.name);
    vec![
        names.map(cell).collect::<Vec<_>>().join(", "),
        cell(&destination.group_key),
        cell(&destination.group_wait),
        cell(&destination.group_interval),
        cell(&destination.repeat_interval),
        cell(&destination.quiet_by),
    ]
}

fn gathered(labels: Vec<(String, String)>) -> BTreeMap<String, Texts> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in labels {
        all.entry(name).or_default().push(value);
    }
    all.into_iter()
        .map(|(name, values)| (name, Texts::Many(values)))
        .collect()
}

fn show(route: &RouteBody, depth: usize) {
    let matchers = if depth == 0 {
        "everything".to_owned()
    } else {
        list_cell(&route.matchers)
    };
    let mut text = format!(
        "{}{matchers} -> {} | by {} | wait {}, interval {}, repeat {}",
        "  ".repeat(depth),
        list_cell(&route.receivers),
        list_cell(&route.group_by),
        cell(&route.group_wait),
        cell(&route.group_interval),
        cell(&route.repeat_interval),
    );
    if !route.mute_times.is_empty() {
        text.push_str(&format!(" | quiet during {}", list_cell(&route.mute_times)));
    }
    if route.continues {
        text.push_str(" | continue");
    }
    line(&text);
    for below in &route.routes {
        show(below, depth + 1);
    }
}

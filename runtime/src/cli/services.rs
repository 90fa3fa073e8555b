//! `extrack services list|show|check`

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, table};

#[derive(Debug, Subcommand)]
pub(super) enum Services {
    /// All services with their status.
    ///
    /// Example: extrack services list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One service: its settings without secrets, its status, its probes.
    ///
    /// Example: extrack services show shop-api
    Show { slug: String },
    /// Runs a check now and prints the observation. Exit code 1 unless the service is healthy or
    /// degraded.
    ///
    /// Example: extrack services check shop-api --probe http
    Check {
        slug: String,
        /// Which probe; the first one if not given.
        #[arg(long)]
        probe: Option<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl Services {
    /// The exit code.
    pub(super) async fn run(self, server: &Server) -> Result<u8> {
        let client = server.connect()?;
        match self {
            Services::List { json } => {
                let items = client.list("/services").await?;
                if json {
                    print_json(&Value::from(items));
                    return Ok(0);
                }
                let rows: Vec<Vec<String>> = items
                    .iter()
                    .map(|item| {
                        vec![
                            cell(&item["slug"]),
                            cell(&item["status"]),
                            cell(&item["type"]),
                            cell(&item["baseUrl"]),
                        ]
                    })
                    .collect();
                table(&["SERVICE", "STATUS", "TYPE", "BASE URL"], &rows);
            }
            Services::Show { slug } => print_json(&client.get(&format!("/services/{slug}")).await?),
            Services::Check { slug, probe, json } => {
                let probe: String = match probe {
                    Some(probe) => {
                        format!(
                            "?probe={}",
                            url::form_urlencoded::byte_serialize(probe.as_bytes())
                                .collect::<String>()
                        )
                    }
                    None => String::new(),
                };
                let observation = client
                    .post(&format!("/services/{slug}/check{probe}"), &json!({}))
                    .await?;
                if json {
                    print_json(&observation);
                } else {
                    print_observation(&observation);
                }
                let available =
                    matches!(observation["status"].as_str(), Some("healthy" | "degraded"));
                return Ok(if available { 0 } else { 1 });
            }
        }
        Ok(0)
    }
}

fn print_observation(observation: &Value) {
    let ms = |value: &Value| {
        value.as_u64().map_or("-".to_owned(), |us| {
            format!("{:.1} ms", us as f64 / 1_000.0)
        })
    };
    let phases = &observation["phases"];
    let mut rows = vec![
        vec!["status".to_owned(), cell(&observation["status"])],
        vec!["latency".to_owned(), ms(&observation["latencyUs"])],
    ];
    for (name, key) in [
        ("dns", "dnsUs"),
        ("connect", "connectUs"),
        ("tls", "tlsUs"),
        ("first byte", "firstByteUs"),
        ("body", "bodyUs"),
    ] {
        if phases[key].is_u64() {
            rows.push(vec![format!("  {name}"), ms(&phases[key])]);
        }
    }
    rows.push(vec![
        "http status".to_owned(),
        cell(&observation["httpStatus"]),
    ]);
    rows.push(vec!["error".to_owned(), cell(&observation["error"])]);
    for metric in observation["metrics"].as_object().into_iter().flatten() {
        rows.push(vec![metric.0.clone(), cell(metric.1)]);
    }
    table(&["", ""], &rows);
}

//! `extrack maintenance list|add|remove`

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, table};
use super::silences::words;

#[derive(Debug, Subcommand)]
pub(super) enum Maintenance {
    /// All windows, of alerts.yaml and of the API.
    ///
    /// Example: extrack maintenance list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Plans a window, once (`--from`, `--until`) or again and again (`--cron`, `--for`).
    ///
    /// Example: extrack maintenance add weekly --match 'service="db"' --cron '0 2 * * SUN' --for 2h
    /// --timezone Europe/Berlin
    Add {
        name: String,
        /// E.g. `service="db"`; all of them have to match. Every alert if not given.
        #[arg(long = "match")]
        matchers: Vec<String>,
        /// E.g. `2026-11-23T22:00:00Z`.
        #[arg(long, requires = "until")]
        from: Option<String>,
        /// E.g. `2026-11-24T02:00:00Z`.
        #[arg(long, requires = "from")]
        until: Option<String>,
        /// Minute, hour, day of the month, month, day of the week.
        #[arg(long, conflicts_with = "from", requires = "duration")]
        cron: Option<String>,
        /// How long it lasts with `--cron`, e.g. `2h`.
        #[arg(long = "for", requires = "cron")]
        duration: Option<String>,
        /// Whose clocks `--cron` means, e.g. `Europe/Berlin`; UTC if not given.
        #[arg(long, requires = "cron")]
        timezone: Option<String>,
        #[arg(long)]
        comment: Option<String>,
    },
    /// Takes a window of the API away; what it muted is heard again.
    ///
    /// Example: extrack maintenance remove weekly
    Remove { name: String },
}

impl Maintenance {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        match self {
            Maintenance::List { json } => {
                let items = Value::from(client.list("/maintenance").await?);
                if json {
                    print_json(&items);
                    return Ok(());
                }
                let row = |item: &Value| {
                    let when = match item["cron"].as_str() {
                        Some(cron) => format!(
                            "{cron} for {} ({})",
                            cell(&item["duration"]),
                            cell(&item["timezone"])
                        ),
                        None => format!("{} to {}", cell(&item["start"]), cell(&item["end"])),
                    };
                    let open = if item["isOpen"] == true {
                        "open"
                    } else {
                        "closed"
                    };
                    vec![
                        cell(&item["name"]),
                        open.to_owned(),
                        cell(&item["origin"]),
                        when,
                        words(&item["match"]),
                    ]
                };
                let rows: Vec<Vec<String>> =
                    items.as_array().into_iter().flatten().map(row).collect();
                table(&["NAME", "NOW", "ORIGIN", "WHEN", "MATCH"], &rows);
            }
            Maintenance::Add {
                name,
                matchers,
                from,
                until,
                cron,
                duration,
                timezone,
                comment,
            } => {
                let mut spec = json!({ "name": name });
                if !matchers.is_empty() {
                    spec["match"] = matchers.into();
                }
                let more = [
                    ("start", from),
                    ("end", until),
                    ("cron", cron),
                    ("duration", duration),
                    ("timezone", timezone),
                    ("comment", comment),
                ];
                for (key, value) in more {
                    if let Some(value) = value {
                        spec[key] = value.into();
                    }
                }
                let window = client.post("/maintenance", &spec).await?;
                let next = if window["isOpen"] == true {
                    format!("is open until {}", cell(&window["closesAt"]))
                } else {
                    format!("opens at {}", cell(&window["opensAt"]))
                };
                line(&format!("maintenance `{name}` {next}"));
            }
            Maintenance::Remove { name } => {
                let segment: String =
                    url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
                client
                    .delete_quietly(&format!("/maintenance/{}", segment.replace('+', "%20")))
                    .await?;
                line(&format!("maintenance `{name}` is gone"));
            }
        }
        Ok(())
    }
}

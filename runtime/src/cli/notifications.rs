//! `extrack notifications list|show|resend`

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, table};

#[derive(Debug, Subcommand)]
pub(super) enum Notifications {
    /// Messages, newest first.
    ///
    /// Example: extrack notifications list --state dead
    List {
        /// `waiting`, `delivered`, `dead` or `digested`; all if not given.
        #[arg(long)]
        state: Option<String>,
        /// Those about one service, by its slug.
        #[arg(long)]
        service: Option<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One message with every attempt to deliver it.
    ///
    /// Example: extrack notifications show 42
    Show {
        id: i64,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Puts a message back that was given up; it leaves at once, under the same idempotency key.
    ///
    /// Example: extrack notifications resend 42
    Resend { id: i64 },
}

impl Notifications {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        match self {
            Notifications::List {
                state,
                service,
                json,
            } => {
                let encode = |text: &str| {
                    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
                };
                let filters: Vec<String> = [("state", state), ("service", service)]
                    .into_iter()
                    .filter_map(|(key, value)| {
                        value.map(|value| format!("{key}={}", encode(&value)))
                    })
                    .collect();
                let question = if filters.is_empty() { "" } else { "?" };
                let items = client
                    .list(&format!("/notifications{question}{}", filters.join("&")))
                    .await?;
                if json {
                    print_json(&Value::from(items));
                    return Ok(());
                }
                let rows: Vec<Vec<String>> = items.iter().map(row).collect();
                table(
                    &[
                        "ID", "STATE", "STATUS", "REASON", "CHANNEL", "ATTEMPTS", "CREATED",
                        "ABOUT",
                    ],
                    &rows,
                );
            }
            Notifications::Show { id, json } => {
                let found = client.get(&format!("/notifications/{id}")).await?;
                if json {
                    print_json(&found);
                } else {
                    show(&found);
                }
            }
            Notifications::Resend { id } => {
                let found = client
                    .post(&format!("/notifications/{id}/resend"), &json!({}))
                    .await?;
                line(&format!(
                    "notification {id} is {} again, for channel {}",
                    cell(&found["state"]),
                    cell(&found["channel"])
                ));
            }
        }
        Ok(())
    }
}

fn row(item: &Value) -> Vec<String> {
    let attempts = item["attempts"].as_array().map_or(0, Vec::len).to_string();
    let mut row: Vec<String> = ["id", "state", "status", "reason", "channel"]
        .into_iter()
        .map(|key| cell(&item[key]))
        .collect();
    row.extend([attempts, cell(&item["createdAt"]), about(item)]);
    row
}

fn about(item: &Value) -> String {
    match item["alerts"].as_array().map_or(&[][..], Vec::as_slice) {
        [] => "-".to_owned(),
        [alert] => format!("{}: {}", cell(&alert["service"]), cell(&alert["name"])),
        [first, others @ ..] => {
            format!(
                "{}: {} and {} more",
                cell(&first["service"]),
                cell(&first["name"]),
                others.len()
            )
        }
    }
}

fn show(found: &Value) {
    let keys = [
        "id",
        "state",
        "status",
        "reason",
        "channel",
        "groupKey",
        "idempotencyKey",
        "createdAt",
        "nextAttemptAt",
        "deliveredAt",
        "reference",
        "resentAt",
        "digest",
        "lastError",
    ];
    let known = keys.into_iter().filter(|key| !found[*key].is_null());
    table(
        &["", ""],
        &known
            .map(|key| vec![key.to_owned(), cell(&found[key])])
            .collect::<Vec<_>>(),
    );
    let alerts = found["alerts"].as_array().into_iter().flatten();
    let alerts: Vec<Vec<String>> = alerts
        .map(|alert| {
            ["id", "state", "service", "name", "summary"]
                .into_iter()
                .map(|key| cell(&alert[key]))
                .collect()
        })
        .collect();
    line("");
    table(&["ALERT", "STATE", "SERVICE", "NAME", "SUMMARY"], &alerts);
    let attempts = found["attempts"].as_array().into_iter().flatten();
    let attempts: Vec<Vec<String>> = attempts
        .map(|attempt| {
            ["startedAt", "durationMs", "outcome", "answer"]
                .into_iter()
                .map(|key| cell(&attempt[key]))
                .collect()
        })
        .collect();
    line("");
    table(&["ATTEMPT", "MS", "OUTCOME", "ANSWER"], &attempts);
}

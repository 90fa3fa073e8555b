//! `extrack alerts …`

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::{Client, Server};
use super::print::{cell, json as print_json, line, table};
use crate::domain::AlertState;

#[derive(Debug, Subcommand)]
pub(super) enum Alerts {
    /// Open alerts, or those in one state.
    ///
    /// Example: extrack alerts list --state resolved
    List {
        /// `pending`, `firing`, `acknowledged`, `resolved` or `suppressed`; all open ones if not
        /// given.
        #[arg(long)]
        state: Option<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One alert with all that happened.
    ///
    /// Example: extrack alerts show 7
    Show {
        id: i64,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Say that you are on it: nobody is told again, and its escalation waits.
    ///
    /// Example: extrack alerts ack 7 --for 2h --note "the vendor knows"
    Ack {
        id: i64,
        /// How long, e.g. `2h`; then it fires again. Until it ends if not given.
        #[arg(long = "for")]
        duration: Option<String>,
        #[command(flatten)]
        note: Note,
    },
    /// Say that nobody is on it any more: it fires again.
    ///
    /// Example: extrack alerts unack 7
    Unack {
        id: i64,
        #[command(flatten)]
        note: Note,
    },
    /// End it by hand: its rule opens no other one before it was satisfied once.
    ///
    /// Example: extrack alerts resolve 7 --note "known, and harmless"
    Resolve {
        id: i64,
        #[command(flatten)]
        note: Note,
    },
}

#[derive(Debug, Args)]
pub(super) struct Note {
    /// What others should know.
    #[arg(long, default_value = "")]
    note: String,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Alerts {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        match self {
            Alerts::List { state, json } => list(&client, state.as_deref(), json).await,
            Alerts::Show { id, json } => show(&client, id, json).await,
            Alerts::Ack { id, duration, note } => {
                let mut body = json!({"note": note.note});
                if let Some(duration) = duration {
                    body["for"] = duration.into();
                }
                act(&client, id, "acknowledge", &body, note.json).await
            }
            Alerts::Unack { id, note } => {
                act(
                    &client,
                    id,
                    "unacknowledge",
                    &json!({"note": note.note}),
                    note.json,
                )
                .await
            }
            Alerts::Resolve { id, note } => {
                act(
                    &client,
                    id,
                    "resolve",
                    &json!({"note": note.note}),
                    note.json,
                )
                .await
            }
        }
    }
}

async fn list(client: &Client, state: Option<&str>, json: bool) -> Result<()> {
    let items = match state {
        Some(state) => client.list(&format!("/alerts?state={state}")).await?,
        None => {
            let mut open = Vec::new();
            for state in AlertState::ALL.into_iter().filter(|state| state.is_open()) {
                open.extend(
                    client
                        .list(&format!("/alerts?state={}", state.as_str()))
                        .await?,
                );
            }
            open
        }
    };
    if json {
        print_json(&Value::from(items));
        return Ok(());
    }
    let row = |item: &Value| {
        vec![
            cell(&item["id"]),
            state_cell(item),
            cell(&item["severity"]),
            cell(&item["service"]),
            cell(&item["name"]),
            cell(&item["summary"]),
        ]
    };
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    table(
        &["ID", "STATE", "SEVERITY", "SERVICE", "ALERT", "SUMMARY"],
        &rows,
    );
    Ok(())
}

async fn show(client: &Client, id: i64, json: bool) -> Result<()> {
    let alert = client.get(&format!("/alerts/{id}")).await?;
    if json {
        print_json(&alert);
        return Ok(());
    }
    line(&format!(
        "{} ({}) of {}",
        cell(&alert["name"]),
        cell(&alert["severity"]),
        cell(&alert["service"])
    ));
    line(&format!(
        "{}: {}",
        state_cell(&alert),
        cell(&alert["summary"])
    ));
    if let Value::Object(_) = &alert["acknowledged"] {
        let acknowledged = &alert["acknowledged"];
        let verb = if alert["state"] == "acknowledged" {
            "acknowledged"
        } else {
            "was acknowledged"
        };
        let until = match &acknowledged["until"] {
            Value::Null => "until it ends".to_owned(),
            until => format!("until {}", cell(until)),
        };
        line(
            format!(
                "{verb} by {} {until} {}",
                cell(&acknowledged["by"]),
                cell(&acknowledged["note"])
            )
            .trim_end(),
        );
    }
    if let Value::Object(_) = &alert["escalation"] {
        let escalation = &alert["escalation"];
        let next = match &escalation["dueAt"] {
            Value::Null => "waits or has come to its end".to_owned(),
            due => format!("step {} at {}", cell(&escalation["step"]), cell(due)),
        };
        line(&format!(
            "escalation {}: {next}",
            cell(&escalation["policy"])
        ));
    }
    line("");
    let events = alert["events"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = events
        .map(|event| {
            vec![
                cell(&event["ts"]),
                cell(&event["to"]),
                cell(&event["actor"]),
                cell(&event["reason"]),
            ]
        })
        .collect();
    table(&["WHEN", "STATE", "WHO", "WHY"], &rows);
    Ok(())
}

async fn act(client: &Client, id: i64, action: &str, body: &Value, json: bool) -> Result<()> {
    let alert = client.post(&format!("/alerts/{id}/{action}"), body).await?;
    match json {
        true => print_json(&alert),
        false => line(&format!(
            "alert {id} ({} of {}) is {}",
            cell(&alert["name"]),
            cell(&alert["service"]),
            state_cell(&alert)
        )),
    }
    Ok(())
}

fn state_cell(alert: &Value) -> String {
    let mut state = cell(&alert["state"]);
    for (key, word) in [("flapping", "flapping"), ("noData", "no data")] {
        if alert[key] == true {
            state.push_str(&format!(", {word}"));
        }
    }
    state
}

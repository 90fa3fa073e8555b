//! `extrack alerts list|show|ack|unack|resolve`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::client::{Answer, Client, Server, query};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::alerts::{
    AcknowledgeBody, AlertBody, AlertDetailBody, AlertEventBody, NoteBody,
};
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
    /// Acknowledge an alert: it is not notified again, and its escalation waits.
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
    /// Take an acknowledgement back: the alert fires again.
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
    /// Note for other people.
    #[arg(long, default_value = "")]
    note: String,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Alerts {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Alerts::List { state, json } => list(&client, state.as_deref(), json).await,
            Alerts::Show { id, json } => show(&client, id, json).await,
            Alerts::Ack { id, duration, note } => {
                let body = AcknowledgeBody {
                    duration,
                    until: None,
                    note: note.note,
                };
                act(&client, id, "acknowledge", &body, note.json).await
            }
            Alerts::Unack { id, note } => {
                let body = NoteBody { note: note.note };
                act(&client, id, "unacknowledge", &body, note.json).await
            }
            Alerts::Resolve { id, note } => {
                let body = NoteBody { note: note.note };
                act(&client, id, "resolve", &body, note.json).await
            }
        }
    }
}

async fn list(client: &Client, state: Option<&str>, json: bool) -> Outcome {
    let states = match state {
        Some(state) => vec![state],
        None => {
            let open = AlertState::ALL.into_iter().filter(|state| state.is_open());
            open.map(AlertState::as_str).collect()
        }
    };
    let mut items: Vec<Value> = Vec::new();
    for state in states {
        let path = format!("/alerts{}", query(&[("state", Some(state))]));
        items.extend(client.list(&path).await?.read::<Vec<Value>>()?);
    }
    let answer = Answer::from(items);
    if json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let row = |alert: AlertBody| {
        vec![
            cell(&alert.id),
            state_cell(&alert),
            cell(&alert.severity),
            cell(&alert.service),
            cell(&alert.name),
            cell(&alert.summary),
        ]
    };
    let alerts: Vec<AlertBody> = answer.read()?;
    let rows: Vec<Vec<String>> = alerts.into_iter().map(row).collect();
    table(
        &["ID", "STATE", "SEVERITY", "SERVICE", "ALERT", "SUMMARY"],
        &rows,
    );
    Ok(ExitCode::SUCCESS)
}

async fn show(client: &Client, id: i64, json: bool) -> Outcome {
    let answer = client.get(&format!("/alerts/{id}")).await?;
    if json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let AlertDetailBody {
        alert,
        events,
        escalation,
        ..
    } = answer.read()?;
    line(&format!(
        "{} ({}) of {}",
        cell(&alert.name),
        cell(&alert.severity),
        cell(&alert.service)
    ));
    line(&format!("{}: {}", state_cell(&alert), cell(&alert.summary)));
    if let Some(acknowledged) = &alert.acknowledged {
        let verb = if alert.state == AlertState::Acknowledged {
            "acknowledged"
        } else {
            "was acknowledged"
        };
        let until = match &acknowledged.until {
            None => "until it ends".to_owned(),
            Some(until) => format!("until {}", cell(until)),
        };
        let (by, note) = (cell(&acknowledged.by), cell(&acknowledged.note));
        line(format!("{verb} by {by} {until} {note}").trim_end());
    }
    if let Some(escalation) = escalation {
        let next = match &escalation.due_at {
            None => "waits or has come to its end".to_owned(),
            Some(due) => format!("step {} at {}", escalation.step, cell(due)),
        };
        line(&format!("escalation {}: {next}", cell(&escalation.policy)));
    }
    line("");
    let row = |event: AlertEventBody| {
        vec![
            cell(&event.ts),
            cell(&event.to),
            cell(&event.actor),
            cell(&event.reason),
        ]
    };
    let rows: Vec<Vec<String>> = events.into_iter().map(row).collect();
    table(&["WHEN", "STATE", "WHO", "WHY"], &rows);
    Ok(ExitCode::SUCCESS)
}

async fn act(client: &Client, id: i64, action: &str, body: &impl Serialize, json: bool) -> Outcome {
    let answer = client.post(&format!("/alerts/{id}/{action}"), body).await?;
    if json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let alert: AlertBody = answer.read()?;
    line(&format!(
        "alert {id} ({} of {}) is {}",
        cell(&alert.name),
        cell(&alert.service),
        state_cell(&alert)
    ));
    Ok(ExitCode::SUCCESS)
}

fn state_cell(alert: &AlertBody) -> String {
    let mut state = cell(&alert.state);
    for (holds, word) in [(alert.flapping, "flapping"), (alert.no_data, "no data")] {
        if holds {
            state.push_str(&format!(", {word}"));
        }
    }
    state
}

//! `extrack notifications list|show|resend`

use std::process::ExitCode;

use clap::Subcommand;

use super::client::{NoBody, Server, query};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::notifications::{AttemptBody, NotificationBody, NotifiedAlertBody};

#[derive(Debug, Subcommand)]
pub(super) enum Notifications {
    /// Messages, newest first.
    ///
    /// Example: extrack notifications list --state dead
    List {
        /// `waiting`, `delivered`, `dead` or `digested`; all if not given.
        #[arg(long)]
        state: Option<String>,
        /// Slug of a service: only messages about it.
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
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Notifications::List {
                state,
                service,
                json,
            } => {
                let filter = query(&[("state", state.as_deref()), ("service", service.as_deref())]);
                let answer = client.list(&format!("/notifications{filter}")).await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let notifications: Vec<NotificationBody> = answer.read()?;
                let rows: Vec<Vec<String>> = notifications.iter().map(row).collect();
                table(
                    &[
                        "ID", "STATE", "STATUS", "REASON", "CHANNEL", "ATTEMPTS", "CREATED",
                        "ABOUT",
                    ],
                    &rows,
                );
            }
            Notifications::Show { id, json } => {
                let answer = client.get(&format!("/notifications/{id}")).await?;
                if json {
                    print_json(&answer);
                } else {
                    show(&answer.read()?);
                }
            }
            Notifications::Resend { id } => {
                let path = format!("/notifications/{id}/resend");
                let found: NotificationBody = client.post(&path, &NoBody {}).await?.read()?;
                line(&format!(
                    "notification {id} is {} again, for channel {}",
                    cell(&found.state),
                    cell(&found.channel)
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(notification: &NotificationBody) -> Vec<String> {
    vec![
        cell(&notification.id),
        cell(&notification.state),
        cell(&notification.status),
        cell(&notification.reason),
        cell(&notification.channel),
        notification.attempts.len().to_string(),
        cell(&notification.created_at),
        about(notification),
    ]
}

fn about(notification: &NotificationBody) -> String {
    match notification.alerts.as_slice() {
        [] => "-".to_owned(),
        [alert] => format!("{}: {}", cell(&alert.service), cell(&alert.name)),
        [first, others @ ..] => {
            let (service, name) = (cell(&first.service), cell(&first.name));
            format!("{service}: {name} and {} more", others.len())
        }
    }
}

fn show(found: &NotificationBody) {
    let rows = [
        ("id", cell(&found.id)),
        ("state", cell(&found.state)),
        ("status", cell(&found.status)),
        ("reason", cell(&found.reason)),
        ("channel", cell(&found.channel)),
        ("groupKey", cell(&found.group_key)),
        ("idempotencyKey", cell(&found.idempotency_key)),
        ("createdAt", cell(&found.created_at)),
        ("nextAttemptAt", cell(&found.next_attempt_at)),
        ("deliveredAt", cell(&found.delivered_at)),
        ("reference", cell(&found.reference)),
        ("resentAt", cell(&found.resent_at)),
        ("digest", cell(&found.digest)),
        ("lastError", cell(&found.last_error)),
    ];
    let known = rows.into_iter().filter(|(_, value)| value != "-");
    let rows: Vec<Vec<String>> = known
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    table(&["", ""], &rows);
    let alert_row = |alert: &NotifiedAlertBody| {
        vec![
            cell(&alert.id),
            cell(&alert.state),
            cell(&alert.service),
            cell(&alert.name),
            cell(&alert.summary),
        ]
    };
    let alerts: Vec<Vec<String>> = found.alerts.iter().map(alert_row).collect();
    line("");
    table(&["ALERT", "STATE", "SERVICE", "NAME", "SUMMARY"], &alerts);
    let attempt_row = |attempt: &AttemptBody| {
        vec![
            cell(&attempt.started_at),
            cell(&attempt.duration_ms),
            cell(&attempt.outcome),
            cell(&attempt.answer),
        ]
    };
    let attempts: Vec<Vec<String>> = found.attempts.iter().map(attempt_row).collect();
    line("");
    table(&["ATTEMPT", "MS", "OUTCOME", "ANSWER"], &attempts);
}

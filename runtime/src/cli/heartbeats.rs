//! `extrack heartbeats list|show|rotate`

use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::client::{NoBody, Server, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, plain, table};
use crate::api_types::heartbeats::HeartbeatBody;
use crate::api_types::services::ServiceBody;

#[derive(Debug, Subcommand)]
pub(super) enum Heartbeats {
    /// All heartbeats with their states, and when they are due.
    ///
    /// Example: extrack heartbeats list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One heartbeat, with the line that its job runs at the end.
    ///
    /// Example: extrack heartbeats show nightly-backup
    Show {
        /// Slug of the service.
        service: String,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Gives a heartbeat another address: the one before is refused from now on.
    ///
    /// Example: extrack heartbeats rotate nightly-backup
    Rotate {
        /// Slug of the service.
        service: String,
    },
}

impl Heartbeats {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Heartbeats::List { json } => {
                let answer = client.list("/heartbeats").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let heartbeats: Vec<HeartbeatBody> = answer.read()?;
                let rows: Vec<Vec<String>> = heartbeats.iter().map(row).collect();
                let header = ["SERVICE", "STATE", "EXPECTED", "DUE", "LAST PING", "PATH"];
                table(&header, &rows);
            }
            Heartbeats::Show { service, json } => {
                let path = format!("/services/{}", segment(&service));
                let body: ServiceBody = client.get(&path).await?.read()?;
                let heartbeat = body
                    .heartbeat_status
                    .with_context(|| format!("service `{service}` has no `heartbeat`"))?;
                if json {
                    print_json(&heartbeat);
                    return Ok(ExitCode::SUCCESS);
                }
                show(&heartbeat, client.base());
            }
            Heartbeats::Rotate { service } => {
                let path = format!("/services/{}/heartbeat/rotate", segment(&service));
                let heartbeat: HeartbeatBody = client.post(&path, &NoBody {}).await?.read()?;
                line(&command(&heartbeat, client.base()));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(heartbeat: &HeartbeatBody) -> Vec<String> {
    vec![
        cell(&heartbeat.service),
        cell(&heartbeat.state),
        cell(&heartbeat.expected),
        cell(&heartbeat.due_at),
        cell(&heartbeat.last_ping_at),
        cell(&heartbeat.path),
    ]
}

fn show(heartbeat: &HeartbeatBody, base: &str) {
    let seconds = |seconds: f64| format!("{seconds} s");
    let rows = [
        ("state", cell(&heartbeat.state)),
        ("since", cell(&heartbeat.state_since)),
        ("reason", cell(&heartbeat.reason)),
        ("expected", cell(&heartbeat.expected)),
        ("grace", seconds(heartbeat.grace_s)),
        ("longest run", seconds(heartbeat.max_duration_s)),
        ("due", cell(&heartbeat.due_at)),
        ("last ping", cell(&heartbeat.last_ping_at)),
        ("last success", cell(&heartbeat.last_success_at)),
        ("running since", cell(&heartbeat.running_since)),
        (
            "last run took",
            heartbeat.last_duration_s.map_or("-".to_owned(), seconds),
        ),
        ("exit status", cell(&heartbeat.exit_status)),
        ("pings", cell(&heartbeat.pings)),
    ];
    let rows = rows.map(|(name, value)| vec![name.to_owned(), value]);
    table(&["", ""], &rows);
    if let Some(message) = &heartbeat.message {
        line("");
        line("Message of the last ping:");
        message
            .lines()
            .for_each(|text| line(&format!("  {}", plain(text))));
    }
    line("");
    line("At the end of the job:");
    line(&format!("  {}", command(heartbeat, base)));
}

/// Returns the line that a job runs. Without a public URL the address is the one that this command
/// reached the program at.
pub(super) fn command(heartbeat: &HeartbeatBody, base: &str) -> String {
    let url = match &heartbeat.url {
        Some(url) => cell(url),
        None => format!("{}{}", cell(base), cell(&heartbeat.path)),
    };
    format!("curl -fsS -m 10 --retry 5 {url}")
}

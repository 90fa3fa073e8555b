//! `extrack maintenance list|add|remove`

use std::process::ExitCode;

use clap::Subcommand;

use super::client::{Server, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, list_cell, plain, table};
use crate::api_types::maintenance::MaintenanceBody;
use crate::api_types::{DurationSpec, MaintenanceSpec, Texts};

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
        /// Time zone of `--cron`, e.g. `Europe/Berlin`; UTC if not given.
        #[arg(long, requires = "cron")]
        timezone: Option<String>,
        #[arg(long)]
        comment: Option<String>,
    },
    /// Takes a window of the API away; what it muted is notified again.
    ///
    /// Example: extrack maintenance remove weekly
    Remove { name: String },
}

impl Maintenance {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Maintenance::List { json } => {
                let answer = client.list("/maintenance").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let windows: Vec<MaintenanceBody> = answer.read()?;
                let rows: Vec<Vec<String>> = windows.iter().map(row).collect();
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
                let spec = MaintenanceSpec {
                    name,
                    matchers: (!matchers.is_empty()).then_some(Texts::Many(matchers)),
                    start: from,
                    end: until,
                    cron,
                    duration: duration.map(DurationSpec::Text),
                    timezone,
                    comment,
                };
                let window: MaintenanceBody = client.post("/maintenance", &spec).await?.read()?;
                let next = if window.is_open {
                    format!("is open until {}", cell(&window.closes_at))
                } else {
                    format!("opens at {}", cell(&window.opens_at))
                };
                line(&format!("maintenance `{}` {next}", spec.name));
            }
            Maintenance::Remove { name } => {
                client
                    .delete_quietly(&format!("/maintenance/{}", segment(&name)))
                    .await?;
                line(&format!("maintenance `{name}` is gone"));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(window: &MaintenanceBody) -> Vec<String> {
    let when = match &window.cron {
        Some(cron) => format!(
            "{} for {} ({})",
            plain(cron),
            cell(&window.duration),
            cell(&window.timezone)
        ),
        None => format!("{} to {}", cell(&window.start), cell(&window.end)),
    };
    let now = if window.is_open { "open" } else { "closed" };
    vec![
        cell(&window.name),
        now.to_owned(),
        cell(&window.origin),
        when,
        list_cell(&window.matchers),
    ]
}

//! `extrack incidents list|show`

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::{Client, Server, query};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::incidents::{IncidentBody, IncidentDetailBody, TimelineEntryBody};
use crate::domain::duration::format_duration;

#[derive(Debug, Subcommand)]
pub(super) enum Incidents {
    /// Incidents, the last to begin first.
    ///
    /// Example: extrack incidents list --service shop-api --from 2026-11-01T00:00:00+01:00
    List(List),
    /// One incident: its alerts, who was notified, and what happened when.
    ///
    /// Example: extrack incidents show 7
    Show {
        id: i64,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Slug of a service; all services if not given.
    #[arg(long)]
    service: Option<String>,
    /// `ours` by our probes, `vendor` by its status page; both if not given.
    #[arg(long)]
    source: Option<String>,
    /// Only those that last.
    #[arg(long)]
    open: bool,
    /// Only those that lasted into this moment or began behind it, e.g. `2026-11-23T00:00:00+01:00`.
    #[arg(long)]
    from: Option<String>,
    /// Only those that began before this moment.
    #[arg(long)]
    to: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl Incidents {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Incidents::List(options) => list(&client, &options).await,
            Incidents::Show { id, json } => show(&client, id, json).await,
        }
    }
}

async fn list(client: &Client, options: &List) -> Outcome {
    let parameters = query(&[
        ("service", options.service.as_deref()),
        ("source", options.source.as_deref()),
        ("open", options.open.then_some("true")),
        ("from", options.from.as_deref()),
        ("to", options.to.as_deref()),
    ]);
    let answer = client.list(&format!("/incidents{parameters}")).await?;
    if options.json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let incidents: Vec<IncidentBody> = answer.read()?;
    let rows: Vec<Vec<String>> = incidents.iter().map(row).collect();
    let header = [
        "ID", "SERVICE", "SOURCE", "KIND", "STARTED", "ENDED", "LASTED", "ALERT", "CAUSE",
    ];
    table(&header, &rows);
    Ok(ExitCode::SUCCESS)
}

async fn show(client: &Client, id: i64, json: bool) -> Outcome {
    let answer = client.get(&format!("/incidents/{id}")).await?;
    if json {
        print_json(&answer);
        return Ok(ExitCode::SUCCESS);
    }
    let IncidentDetailBody {
        incident,
        notified,
        timeline,
        ..
    } = answer.read()?;
    let state = match &incident.ended_at {
        Some(ended) => format!("ended {}", cell(ended)),
        None => "open".to_owned(),
    };
    line(&format!(
        "{} of {} ({}): {}",
        cell(&incident.kind),
        cell(&incident.service),
        cell(&incident.source),
        cell(&incident.cause)
    ));
    line(&format!(
        "started {}, {state}, lasted {}",
        cell(&incident.started_at),
        length(&incident)
    ));
    for channel in &notified {
        line(&format!(
            "notified {}: {} of {} messages delivered",
            cell(&channel.channel),
            channel.delivered,
            channel.messages
        ));
    }
    line("");
    let row = |entry: &TimelineEntryBody| {
        vec![
            cell(&entry.at),
            cell(&entry.event),
            cell(&entry.actor),
            cell(&entry.text),
        ]
    };
    let rows: Vec<Vec<String>> = timeline.iter().map(row).collect();
    table(&["WHEN", "WHAT", "WHO", "TEXT"], &rows);
    Ok(ExitCode::SUCCESS)
}

fn length(incident: &IncidentBody) -> String {
    format_duration(std::time::Duration::from_secs(
        incident.seconds.unsigned_abs(),
    ))
}

fn row(incident: &IncidentBody) -> Vec<String> {
    let ended = match &incident.ended_at {
        Some(ended) => cell(ended),
        None => "open".to_owned(),
    };
    vec![
        cell(&incident.id),
        cell(&incident.service),
        cell(&incident.source),
        cell(&incident.kind),
        cell(&incident.started_at),
        ended,
        length(incident),
        cell(&incident.alert_id),
        cell(&incident.cause),
    ]
}

//! `extrack silences list|add|expire|preview`

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::client::{Client, Server};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, list_cell, table};
use crate::api_types::alerts::AlertBody;
use crate::api_types::silences::{
    SilenceBody, SilencePreviewBody, SilencePreviewSpec, SilenceSpec,
};
use crate::api_types::{DurationSpec, Texts};

#[derive(Debug, Subcommand)]
pub(super) enum Silences {
    /// Silences that hold now or will.
    ///
    /// Example: extrack silences list
    List {
        /// Also those that have ended.
        #[arg(long)]
        ended: bool,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Mutes alerts for a while. Checks go on; what still fires at the end is notified then.
    ///
    /// Example: extrack silences add --match 'service="shop-api"' --for 2h --comment "moving the
    /// database"
    Add {
        /// E.g. `severity="critical"` or `service=~"shop-.*"`; all of them have to match.
        #[arg(long = "match", required = true)]
        matchers: Vec<String>,
        /// How long, e.g. `2h`.
        #[arg(
            long = "for",
            required_unless_present = "until",
            conflicts_with = "until"
        )]
        duration: Option<String>,
        /// End, e.g. `2026-11-23T22:00:00Z`.
        #[arg(long)]
        until: Option<String>,
        /// Begin, e.g. `2026-11-23T20:00:00Z`; now if not given.
        #[arg(long)]
        from: Option<String>,
        /// Why. Shown with every alert it mutes.
        #[arg(long, default_value = "")]
        comment: String,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Ends a silence now.
    ///
    /// Example: extrack silences expire 3
    Expire { id: i64 },
    /// Shows what a silence would mute now; makes none.
    ///
    /// Example: extrack silences preview --match 'tag="eu"'
    Preview {
        /// Matchers as of `add`.
        #[arg(long = "match", required = true)]
        matchers: Vec<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Silences {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Silences::List { ended, json } => {
                let answer = client.list(&format!("/silences?ended={ended}")).await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let silences: Vec<SilenceBody> = answer.read()?;
                let rows: Vec<Vec<String>> = silences.iter().map(row).collect();
                table(
                    &["ID", "STATE", "ENDS", "AUTHOR", "MATCH", "COMMENT"],
                    &rows,
                );
            }
            Silences::Add {
                matchers,
                duration,
                until,
                from,
                comment,
                json,
            } => {
                let spec = SilenceSpec {
                    matchers: Texts::Many(matchers),
                    starts_at: from,
                    ends_at: until,
                    duration: duration.map(DurationSpec::Text),
                    comment,
                };
                let answer = client.post("/silences", &spec).await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let silence: SilenceBody = answer.read()?;
                line(&format!(
                    "silence {} holds until {}; `extrack silences expire {}` ends it",
                    silence.id,
                    cell(&silence.ends_at),
                    silence.id
                ));
            }
            Silences::Expire { id } => {
                let answer = client.delete(&format!("/silences/{id}")).await?;
                let silence: SilenceBody = answer.read()?;
                line(&format!("silence {id} ended at {}", cell(&silence.ends_at)));
            }
            Silences::Preview { matchers, json } => {
                preview(&client, matchers, json).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn preview(client: &Client, matchers: Vec<String>, json: bool) -> Result<()> {
    let spec = SilencePreviewSpec {
        matchers: Texts::Many(matchers),
    };
    let answer = client.post("/silences/preview", &spec).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let SilencePreviewBody { alerts, services } = answer.read()?;
    let rows: Vec<Vec<String>> = alerts.iter().map(alert_row).collect();
    table(&["ID", "STATE", "SERVICE", "ALERT"], &rows);
    line(&format!("services it is about: {}", list_cell(&services)));
    Ok(())
}

fn row(silence: &SilenceBody) -> Vec<String> {
    vec![
        cell(&silence.id),
        cell(&silence.state),
        cell(&silence.ends_at),
        cell(&silence.author),
        list_cell(&silence.matchers),
        cell(&silence.comment),
    ]
}

fn alert_row(alert: &AlertBody) -> Vec<String> {
    vec![
        cell(&alert.id),
        cell(&alert.state),
        cell(&alert.service),
        cell(&alert.name),
    ]
}

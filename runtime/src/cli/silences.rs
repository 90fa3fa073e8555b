//! `extrack silences list|add|expire|preview`

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, table};

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
    /// Mutes alerts for a while. Checks go on; what still fires at the end is told of then.
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
        /// Until when, e.g. `2026-11-23T22:00:00Z`.
        #[arg(long)]
        until: Option<String>,
        /// From when on, e.g. `2026-11-23T20:00:00Z`; now if not given.
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
    /// What a silence would mute now; makes none.
    ///
    /// Example: extrack silences preview --match 'tag="eu"'
    Preview {
        /// As of `add`.
        #[arg(long = "match", required = true)]
        matchers: Vec<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Silences {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        match self {
            Silences::List { ended, json } => {
                let items = Value::from(client.list(&format!("/silences?ended={ended}")).await?);
                if json {
                    print_json(&items);
                    return Ok(());
                }
                let row = |item: &Value| {
                    vec![
                        cell(&item["id"]),
                        cell(&item["state"]),
                        cell(&item["endsAt"]),
                        cell(&item["author"]),
                        words(&item["matchers"]),
                        cell(&item["comment"]),
                    ]
                };
                let rows: Vec<Vec<String>> =
                    items.as_array().into_iter().flatten().map(row).collect();
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
                let mut spec = json!({ "matchers": matchers, "comment": comment });
                for (key, value) in [
                    ("duration", duration),
                    ("endsAt", until),
                    ("startsAt", from),
                ] {
                    if let Some(value) = value {
                        spec[key] = value.into();
                    }
                }
                let silence = client.post("/silences", &spec).await?;
                match json {
                    true => print_json(&silence),
                    false => line(&format!(
                        "silence {} holds until {}; `extrack silences expire {}` ends it",
                        silence["id"],
                        cell(&silence["endsAt"]),
                        silence["id"]
                    )),
                }
            }
            Silences::Expire { id } => {
                let silence = client.delete(&format!("/silences/{id}")).await?;
                line(&format!(
                    "silence {id} ended at {}",
                    cell(&silence["endsAt"])
                ));
            }
            Silences::Preview { matchers, json } => {
                let found = client
                    .post("/silences/preview", &json!({ "matchers": matchers }))
                    .await?;
                if json {
                    print_json(&found);
                    return Ok(());
                }
                let row = |alert: &Value| {
                    ["id", "state", "service", "name"]
                        .map(|key| cell(&alert[key]))
                        .to_vec()
                };
                let rows: Vec<Vec<String>> = found["alerts"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(row)
                    .collect();
                table(&["ID", "STATE", "SERVICE", "ALERT"], &rows);
                line(&format!(
                    "services it is about: {}",
                    words(&found["services"])
                ));
            }
        }
        Ok(())
    }
}

/// A list of texts in one cell; `-` for none.
pub(super) fn words(list: &Value) -> String {
    let words: Vec<String> = list.as_array().into_iter().flatten().map(cell).collect();
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

//! `extrack consumers add|list|revoke`

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, list_cell, note, table};
use crate::api_types::consumers::{ConsumerBody, ConsumerSpec, NewConsumerBody};

#[derive(Debug, Subcommand)]
pub(super) enum Consumers {
    /// Adds a consumer and prints its token, once: only a hash of it is kept.
    ///
    /// Example: extrack consumers add billing --service stripe --service twilio
    Add {
        /// Unique; `consumer` of its calls.
        name: String,
        /// Slug of a service it may call, or `*` for all; again for several.
        #[arg(long = "service", required = true)]
        services: Vec<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Consumers, without their tokens.
    ///
    /// Example: extrack consumers list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Revokes a consumer: its token is refused from now on.
    ///
    /// Example: extrack consumers revoke billing
    Revoke {
        /// Name of the consumer, or its id.
        #[arg(value_name = "NAME")]
        name_or_id: String,
    },
}

impl Consumers {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Consumers::Add {
                name,
                services,
                json,
            } => {
                let spec = ConsumerSpec { name, services };
                let answer = client.post("/consumers", &spec).await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let NewConsumerBody { token, body } = answer.read()?;
                note(&format!(
                    "consumer `{}` may call {}; its token is shown only now:",
                    cell(&body.name),
                    list_cell(&body.services)
                ));
                line(&cell(&token));
            }
            Consumers::List { json } => {
                let answer = client.list("/consumers").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let consumers: Vec<ConsumerBody> = answer.read()?;
                let rows: Vec<Vec<String>> = consumers.iter().map(row).collect();
                table(&["ID", "NAME", "SERVICES", "SINCE"], &rows);
            }
            Consumers::Revoke { name_or_id } => {
                let consumers: Vec<ConsumerBody> = client.list("/consumers").await?.read()?;
                let named = consumers.iter().find(|known| known.name == name_or_id);
                let numbered = || {
                    let id: i64 = name_or_id.parse().ok()?;
                    consumers.iter().find(|known| known.id == id)
                };
                let Some(found) = named.or_else(numbered) else {
                    bail!(
                        "there is no consumer `{name_or_id}`; `extrack consumers list` shows who there is"
                    )
                };
                client
                    .delete_quietly(&format!("/consumers/{}", found.id))
                    .await?;
                line(&format!("consumer `{}` is revoked", cell(&found.name)));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn row(consumer: &ConsumerBody) -> Vec<String> {
    vec![
        cell(&consumer.id),
        cell(&consumer.name),
        list_cell(&consumer.services),
        cell(&consumer.created_at),
    ]
}

//! `extrack webhooks list|show|replay`

use std::process::ExitCode;

use clap::Subcommand;

use super::client::{NoBody, Server, query, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, table};
use crate::api_types::webhooks::{AcceptedBody, DeliveryBody};

#[derive(Debug, Subcommand)]
pub(super) enum Webhooks {
    /// Deliveries of a service's webhooks that were kept, newest first.
    ///
    /// Example: extrack webhooks list shop-api --webhook github
    List {
        /// Slug of the service.
        service: String,
        /// Only those of the webhook of that name.
        #[arg(long)]
        webhook: Option<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// One delivery with its headers and its body, as JSON.
    ///
    /// Example: extrack webhooks show shop-api 17
    Show {
        /// Slug of the service.
        service: String,
        id: i64,
    },
    /// Plays a delivery again, as after its plugin was mended: events that are known are not kept
    /// twice.
    ///
    /// Example: extrack webhooks replay shop-api 17
    Replay {
        /// Slug of the service.
        service: String,
        id: i64,
    },
}

impl Webhooks {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Webhooks::List {
                service,
                webhook,
                json,
            } => {
                let parameters = query(&[("webhook", webhook.as_deref())]);
                let answer = client
                    .list(&format!("{}{parameters}", path(&service)))
                    .await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let deliveries: Vec<DeliveryBody> = answer.read()?;
                let rows: Vec<Vec<String>> = deliveries.iter().map(row).collect();
                let header = [
                    "ID", "RECEIVED", "WEBHOOK", "BYTES", "OUTCOME", "EVENTS", "REPLAYED", "ERROR",
                ];
                table(&header, &rows);
            }
            Webhooks::Show { service, id } => {
                print_json(&client.get(&format!("{}/{id}", path(&service))).await?);
            }
            Webhooks::Replay { service, id } => {
                let path = format!("{}/{id}/replay", path(&service));
                let accepted: AcceptedBody = client.post(&path, &NoBody {}).await?.read()?;
                line(&format!(
                    "events kept: {}, known before: {}",
                    accepted.events, accepted.repeated
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn path(service: &str) -> String {
    format!("/services/{}/webhooks/deliveries", segment(service))
}

fn row(delivery: &DeliveryBody) -> Vec<String> {
    vec![
        cell(&delivery.id),
        cell(&delivery.received_at),
        cell(&delivery.webhook),
        cell(&delivery.bytes),
        cell(&delivery.outcome),
        cell(&delivery.events),
        cell(&delivery.replayed_at),
        cell(&delivery.error),
    ]
}

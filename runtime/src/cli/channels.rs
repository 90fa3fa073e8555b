//! `extrack channels list|preview|test`

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, table};

#[derive(Debug, Subcommand)]
pub(super) enum Channels {
    /// All channels of the configuration.
    ///
    /// Example: extrack channels list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// What a message to a channel would say; nothing is sent.
    ///
    /// Example: extrack channels preview ops-slack --firing 2 --resolved 1
    Preview {
        /// Name or id.
        channel: String,
        /// Sample alerts that fire; 1 if nothing else is asked for.
        #[arg(long)]
        firing: Option<usize>,
        /// Sample alerts that ended.
        #[arg(long)]
        resolved: Option<usize>,
        /// Id of an alert, in place of samples.
        #[arg(long)]
        alert: Option<i64>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Sends a sample message now. Exit code 1 if it does not arrive.
    ///
    /// Example: extrack channels test ops-slack
    Test {
        /// Name or id.
        channel: String,
        /// That all is well again, in place of a message that fires.
        #[arg(long)]
        resolved: bool,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl Channels {
    /// The exit code.
    pub(super) async fn run(self, server: &Server) -> Result<u8> {
        let client = server.connect()?;
        match self {
            Channels::List { json } => {
                let items = client.list("/channels").await?;
                if json {
                    print_json(&Value::from(items));
                    return Ok(0);
                }
                let row = |item: &Value| {
                    let limit = match &item["rateLimit"] {
                        Value::Null => Value::Null,
                        limit => {
                            let per = std::time::Duration::from_millis(
                                limit["perMs"].as_u64().unwrap_or_default(),
                            );
                            let per = crate::domain::duration::format_duration(per);
                            Value::from(format!("{} per {per}", limit["messages"]))
                        }
                    };
                    let values = [
                        &item["name"],
                        &item["plugin"],
                        &item["template"],
                        &limit,
                        &item["fallback"]["channel"],
                    ];
                    values
                        .into_iter()
                        .chain([&item["id"]])
                        .map(cell)
                        .collect::<Vec<String>>()
                };
                let rows: Vec<Vec<String>> = items.iter().map(row).collect();
                table(
                    &["CHANNEL", "NOTIFIER", "TEMPLATE", "LIMIT", "FALLBACK", "ID"],
                    &rows,
                );
            }
            Channels::Preview {
                channel,
                firing,
                resolved,
                alert,
                json,
            } => {
                let mut body = Map::new();
                for (key, value) in [("firing", firing), ("resolved", resolved)] {
                    value.map(|value| body.insert(key.to_owned(), value.into()));
                }
                alert.map(|alert| body.insert("alert".to_owned(), alert.into()));
                let found = client
                    .post(
                        &format!("/channels/{}/preview", escape(&channel)),
                        &Value::from(body),
                    )
                    .await?;
                if json {
                    print_json(&found);
                    return Ok(0);
                }
                line(&cell(&found["title"]));
                for (name, text) in [("text", &found["text"]), ("html", &found["html"])] {
                    if let Some(text) = text.as_str() {
                        line(&format!("\n--- {name}"));
                        text.lines()
                            .for_each(|text| line(&cell(&Value::from(text))));
                    }
                }
                if found["template"].is_null() {
                    line("\nThe channel has no template: its notifier writes the rest itself.");
                }
            }
            Channels::Test {
                channel,
                resolved,
                json,
            } => {
                let status = if resolved { "resolved" } else { "firing" };
                let path = format!("/channels/{}/test", escape(&channel));
                let found = client.post(&path, &json!({"status": status})).await?;
                let delivered = found["delivered"] == true;
                if json {
                    print_json(&found);
                } else {
                    let outcome = if delivered {
                        "delivered"
                    } else {
                        "not delivered"
                    };
                    line(&format!(
                        "{outcome} in {} ms: {}",
                        found["durationMs"],
                        cell(&found["answer"])
                    ));
                }
                return Ok(if delivered { 0 } else { 1 });
            }
        }
        Ok(0)
    }
}

fn escape(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

//! `extrack channels list|preview|test`

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::client::{Client, Server, segment};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, plain, table};
use crate::api_types::channels::{ChannelBody, PreviewBody, PreviewRequest, TestBody, TestRequest};
use crate::domain::NotificationStatus;
use crate::domain::duration::format_duration;

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
    /// Shows the message that a channel would get; nothing is sent.
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
        /// Send a resolved message in place of one that fires.
        #[arg(long)]
        resolved: bool,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl Channels {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Channels::List { json } => {
                let answer = client.list("/channels").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let channels: Vec<ChannelBody> = answer.read()?;
                let rows: Vec<Vec<String>> = channels.iter().map(row).collect();
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
                let body = PreviewRequest {
                    firing,
                    resolved,
                    alert,
                    template: None,
                };
                let path = format!("/channels/{}/preview", segment(&channel));
                let answer = client.post(&path, &body).await?;
                if json {
                    print_json(&answer);
                } else {
                    print_preview(&answer.read()?);
                }
            }
            Channels::Test {
                channel,
                resolved,
                json,
            } => {
                let status = if resolved {
                    NotificationStatus::Resolved
                } else {
                    NotificationStatus::Firing
                };
                return test(&client, &channel, status, json).await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn test(client: &Client, channel: &str, status: NotificationStatus, json: bool) -> Outcome {
    let body = TestRequest {
        status: Some(status),
    };
    let path = format!("/channels/{}/test", segment(channel));
    let answer = client.post(&path, &body).await?;
    let test: TestBody = answer.read()?;
    if json {
        print_json(&answer);
    } else {
        let outcome = if test.delivered {
            "delivered"
        } else {
            "not delivered"
        };
        let (ms, answer) = (test.duration_ms, cell(&test.answer));
        line(&format!("{outcome} in {ms} ms: {answer}"));
    }
    if !test.delivered {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(channel: &ChannelBody) -> Vec<String> {
    let limit = channel.rate_limit.as_ref().map(|limit| {
        let per = format_duration(Duration::from_millis(limit.per_ms));
        format!("{} per {per}", limit.messages)
    });
    let fallback = channel.fallback.as_ref().map(|other| &other.channel);
    vec![
        cell(&channel.name),
        cell(&channel.plugin),
        cell(&channel.template),
        cell(&limit),
        cell(&fallback),
        cell(&channel.id),
    ]
}

fn print_preview(preview: &PreviewBody) {
    line(&cell(&preview.title));
    for (name, text) in [("text", &preview.text), ("html", &preview.html)] {
        if let Some(text) = text {
            line(&format!("\n--- {name}"));
            text.lines().for_each(|text| line(&plain(text)));
        }
    }
    if preview.template.is_none() {
        line("\nThe channel has no template: its notifier writes the rest itself.");
    }
}

//! `extrack config show|accept`

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line};

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Whether the configuration files are in use, and why not.
    ///
    /// Example: extrack config show
    Show {
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Takes over the configuration files as they are, whatever they remove: alerts of services and
    /// rules that are gone end.
    ///
    /// Example: extrack config accept
    Accept {
        /// Of the files that are meant, as `show` prints it; others are refused. Default: as they
        /// are now.
        #[arg(long)]
        digest: Option<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl Config {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        match self {
            Config::Show { json } => show(&client.get("/config").await?, json),
            Config::Accept { digest, json } => {
                let before = client.get("/config").await?;
                let is_held = before["status"] == "held";
                if is_held && !json {
                    reasons(&before).for_each(|reason| line(&format!("confirmed: {reason}")));
                }
                // What is shown is what is confirmed.
                let digest = digest.or_else(|| is_held.then(|| cell(&before["digest"])));
                let encoded = digest.map(|digest| {
                    url::form_urlencoded::byte_serialize(digest.as_bytes()).collect()
                });
                let query =
                    encoded.map_or(String::new(), |digest: String| format!("?digest={digest}"));
                show(
                    &client
                        .post(&format!("/config/accept{query}"), &json!({}))
                        .await?,
                    json,
                );
            }
        }
        Ok(())
    }
}

fn reasons(configuration: &Value) -> impl Iterator<Item = &str> {
    configuration["reasons"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn show(configuration: &Value, json: bool) {
    if json {
        return print_json(configuration);
    }
    line(&format!(
        "the configuration files are {}, since {}",
        cell(&configuration["status"]),
        cell(&configuration["since"])
    ));
    reasons(configuration).for_each(|reason| line(&format!("  {reason}")));
    line(&format!("  digest {}", cell(&configuration["digest"])));
    if configuration["status"] == "held" {
        line(
            "what was in use before stays; `extrack config accept` takes over the files as they are",
        );
    }
}

//! `extrack config show|accept`

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::client::{Answer, NoBody, Server, query};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, plain};
use crate::api_types::configuration::ConfigurationBody;

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
        /// Digest of the files that are meant, as `show` prints it; others are rejected. Default:
        /// as they are now.
        #[arg(long)]
        digest: Option<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
}

impl Config {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Config::Show { json } => show(&client.get("/config").await?, json)?,
            Config::Accept { digest, json } => {
                let before: ConfigurationBody = client.get("/config").await?.read()?;
                let is_held = before.status == HELD;
                if is_held && !json {
                    for reason in &before.reasons {
                        line(&format!("confirmed: {}", plain(reason)));
                    }
                }
                // What is shown is what is confirmed.
                let digest = digest.or_else(|| is_held.then_some(before.digest));
                let query = query(&[("digest", digest.as_deref())]);
                let path = format!("/config/accept{query}");
                show(&client.post(&path, &NoBody {}).await?, json)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Status of files that wait for a confirmation.
const HELD: &str = "held";

fn show(answer: &Answer, json: bool) -> Result<()> {
    if json {
        print_json(answer);
        return Ok(());
    }
    let configuration: ConfigurationBody = answer.read()?;
    line(&format!(
        "the configuration files are {}, since {}",
        cell(&configuration.status),
        cell(&configuration.since)
    ));
    for reason in &configuration.reasons {
        line(&format!("  {}", plain(reason)));
    }
    line(&format!("  digest {}", cell(&configuration.digest)));
    if configuration.status == HELD {
        line(
            "what was in use before stays; `extrack config accept` takes over the files as they are",
        );
    }
    Ok(())
}

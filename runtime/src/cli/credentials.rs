//! `extrack credentials list`

use std::process::ExitCode;

use clap::Subcommand;

use super::client::Server;
use super::outcome::Outcome;
use super::print::{cell, json as print_json, table};
use crate::api_types::credentials::CredentialBody;

#[derive(Debug, Subcommand)]
pub(super) enum Credentials {
    /// Credentials of all services, without their values.
    ///
    /// Example: extrack credentials list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Credentials {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let Credentials::List { json } = self;
        let answer = server.connect()?.list("/credentials").await?;
        if json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let credentials: Vec<CredentialBody> = answer.read()?;
        let rows: Vec<Vec<String>> = credentials.iter().map(row).collect();
        table(&["SERVICE", "NAME", "KIND", "LAST USED", "EXPIRES"], &rows);
        Ok(ExitCode::SUCCESS)
    }
}

fn row(credential: &CredentialBody) -> Vec<String> {
    let or = |moment: &Option<String>, none: &str| match moment {
        Some(moment) => cell(moment),
        None => none.to_owned(),
    };
    vec![
        cell(&credential.service),
        cell(&credential.name),
        cell(&credential.kind),
        or(&credential.last_used_at, "never"),
        or(&credential.expires_at, "-"),
    ]
}

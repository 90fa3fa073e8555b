//! `extrack token create|list|revoke`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;

use super::client::{Client, Server};
use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, list_cell, note, table};
use crate::api_types::tokens::{NewTokenBody, TokenBody, TokenSpec};

#[derive(Debug, Subcommand)]
pub(super) enum Tokens {
    /// Makes a token and prints it, once: only a hash of it is kept.
    ///
    /// Example: extrack token create ci --scope read --scope deploy --expires 90d
    Create {
        /// Unique; the actor of what is done with it, in the audit log.
        name: String,
        /// `read`, `write`, `sql`, `deploy` or `admin`, which includes the others; again for
        /// several.
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// How long it is good, e.g. `90d`; for ever if not given.
        #[arg(long)]
        expires: Option<String>,
        /// JSON instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Tokens, without their text.
    ///
    /// Example: extrack token list
    List {
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Revokes a token and signs out the sessions that were opened with it.
    ///
    /// Example: extrack token revoke ci
    Revoke {
        // Not called `token`, which is the global option.
        /// Name of the token, or its id.
        #[arg(value_name = "NAME")]
        name_or_id: String,
    },
}

impl Tokens {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        match self {
            Tokens::Create {
                name,
                scopes,
                expires,
                json,
            } => {
                let spec = TokenSpec {
                    name,
                    scopes,
                    expires_in: expires,
                    expires_at: None,
                };
                create(&client, &spec, json).await?;
            }
            Tokens::List { json } => {
                let answer = client.list("/tokens").await?;
                if json {
                    print_json(&answer);
                    return Ok(ExitCode::SUCCESS);
                }
                let tokens: Vec<TokenBody> = answer.read()?;
                let rows: Vec<Vec<String>> = tokens.iter().map(row).collect();
                table(
                    &["ID", "NAME", "SCOPES", "ORIGIN", "EXPIRES", "LAST USED"],
                    &rows,
                );
            }
            Tokens::Revoke { name_or_id } => {
                let tokens: Vec<TokenBody> = client.list("/tokens").await?.read()?;
                let named = tokens.iter().find(|token| token.name == name_or_id);
                let numbered = || {
                    let id: i64 = name_or_id.parse().ok()?;
                    tokens.iter().find(|token| token.id == id)
                };
                let Some(found) = named.or_else(numbered) else {
                    bail!("there is no token `{name_or_id}`; `extrack token list` lists them")
                };
                client
                    .delete_quietly(&format!("/tokens/{}", found.id))
                    .await?;
                line(&format!("token `{}` is revoked", cell(&found.name)));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn create(client: &Client, spec: &TokenSpec, json: bool) -> Result<()> {
    let answer = client.post("/tokens", spec).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let NewTokenBody { token, body } = answer.read()?;
    let until = match body.expires_at {
        Some(until) => format!("good until {until}"),
        None => "good until it is revoked".to_owned(),
    };
    note(&format!(
        "token `{}` with {}, {until}; it is shown only now:",
        spec.name,
        list_cell(&body.scopes)
    ));
    line(&cell(&token));
    Ok(())
}

fn row(token: &TokenBody) -> Vec<String> {
    let expires = if token.is_expired {
        "expired".to_owned()
    } else {
        cell(&token.expires_at)
    };
    vec![
        cell(&token.id),
        cell(&token.name),
        list_cell(&token.scopes),
        cell(&token.origin),
        expires,
        cell(&token.last_used_at),
    ]
}

//! `extrack token create|list|revoke`

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::client::Server;
use super::print::{cell, json as print_json, line, note, table};
use super::silences::words;

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
        /// Its name, or its id.
        #[arg(value_name = "NAME")]
        name_or_id: String,
    },
}

impl Tokens {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        match self {
            Tokens::Create {
                name,
                scopes,
                expires,
                json,
            } => {
                let mut spec = json!({ "name": name, "scopes": scopes });
                if let Some(expires) = expires {
                    spec["expiresIn"] = expires.into();
                }
                let made = client.post("/tokens", &spec).await?;
                if json {
                    print_json(&made);
                    return Ok(());
                }
                let until = match made["expiresAt"].as_str() {
                    Some(until) => format!("good until {until}"),
                    None => "good until it is revoked".to_owned(),
                };
                note(&format!(
                    "token `{name}` with {}, {until}; it is shown only now:",
                    words(&made["scopes"])
                ));
                line(&cell(&made["token"]));
            }
            Tokens::List { json } => {
                let items = client.list("/tokens").await?;
                if json {
                    print_json(&Value::from(items));
                    return Ok(());
                }
                let row = |item: &Value| {
                    let expires = match item["isExpired"] == true {
                        true => "expired".to_owned(),
                        false => cell(&item["expiresAt"]),
                    };
                    vec![
                        cell(&item["id"]),
                        cell(&item["name"]),
                        words(&item["scopes"]),
                        cell(&item["origin"]),
                        expires,
                        cell(&item["lastUsedAt"]),
                    ]
                };
                let rows: Vec<Vec<String>> = items.iter().map(row).collect();
                table(
                    &["ID", "NAME", "SCOPES", "ORIGIN", "EXPIRES", "LAST USED"],
                    &rows,
                );
            }
            Tokens::Revoke { name_or_id } => {
                let items = client.list("/tokens").await?;
                let named = items
                    .iter()
                    .find(|item| item["name"] == name_or_id.as_str());
                let found = named.or_else(|| {
                    items
                        .iter()
                        .find(|item| name_or_id.parse::<i64>().is_ok_and(|id| item["id"] == id))
                });
                let Some(found) = found else {
                    bail!("there is no token `{name_or_id}`; `extrack token list` lists them")
                };
                client
                    .delete_quietly(&format!("/tokens/{}", found["id"]))
                    .await?;
                line(&format!("token `{}` is revoked", cell(&found["name"])));
            }
        }
        Ok(())
    }
}

//! `extrack alerts list`

use anyhow::Result;
use clap::Subcommand;
use serde_json::Value;

use super::client::Server;
use super::print::{cell, json as print_json, table};
use crate::domain::AlertState;

#[derive(Debug, Subcommand)]
pub(super) enum Alerts {
    /// Open alerts, or those in one state.
    ///
    /// Example: extrack alerts list --state resolved
    List {
        /// `pending`, `firing`, `acknowledged`, `resolved` or `suppressed`; all open ones if not given.
        #[arg(long)]
        state: Option<String>,
        /// JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
}

impl Alerts {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let Alerts::List { state, json } = self;
        let client = server.connect()?;
        let items = match &state {
            Some(state) => client.list(&format!("/alerts?state={state}")).await?,
            None => {
                let mut open = Vec::new();
                for state in AlertState::ALL.into_iter().filter(|state| state.is_open()) {
                    open.extend(client.list(&format!("/alerts?state={}", state.as_str())).await?);
                }
                open
            }
        };
        if json {
            print_json(&Value::from(items));
            return Ok(());
        }
        let row = |item: &Value| {
            vec![
                cell(&item["id"]),
                cell(&item["state"]),
                cell(&item["severity"]),
                cell(&item["service"]),
                cell(&item["name"]),
                cell(&item["summary"]),
            ]
        };
        let rows: Vec<Vec<String>> = items.iter().map(row).collect();
        table(&["ID", "STATE", "SEVERITY", "SERVICE", "ALERT", "SUMMARY"], &rows);
        Ok(())
    }
}

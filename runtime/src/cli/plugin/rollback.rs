//! `extrack plugin rollback NAME`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Makes the version that was active before this one active again.
///
/// Example: extrack plugin rollback shop-probe
#[derive(Debug, Args)]
pub(in crate::cli) struct Rollback {
    name: String,
}

impl Rollback {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let entry = server.connect()?.post(&format!("/plugins/{}/rollback", self.name), &json!({})).await?;
        line(&format!("{} is back at {}", cell(&entry["name"]), cell(&entry["version"])));
        Ok(())
    }
}

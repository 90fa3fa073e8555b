//! `extrack plugin promote NAME`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Makes the candidate of a plugin the active version: verified once more, then active at once,
/// without a missed run.
///
/// Example: extrack plugin promote shop-probe
#[derive(Debug, Args)]
pub(in crate::cli) struct Promote {
    name: String,
}

impl Promote {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let entry = server
            .connect()?
            .post(&format!("/plugins/{}/promote", self.name), &json!({}))
            .await?;
        line(&format!(
            "{} {} is {}",
            cell(&entry["name"]),
            cell(&entry["version"]),
            cell(&entry["state"])
        ));
        Ok(())
    }
}

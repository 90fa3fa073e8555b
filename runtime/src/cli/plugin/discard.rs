//! `extrack plugin discard NAME`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Ends the candidate of a plugin; the active version stays as it is, and what was compared stays
/// in SQL (`shadow_runs`).
///
/// Example: extrack plugin discard shop-probe
#[derive(Debug, Args)]
pub(in crate::cli) struct Discard {
    name: String,
}

impl Discard {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let entry = server
            .connect()?
            .post(&format!("/plugins/{}/discard", self.name), &json!({}))
            .await?;
        line(&format!(
            "{} {} runs alone again",
            cell(&entry["name"]),
            cell(&entry["version"])
        ));
        Ok(())
    }
}

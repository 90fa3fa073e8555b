//! `extrack plugin remove NAME`

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Takes an installed plugin away. If the program has one of that name, it takes its place; else
/// nothing may use the plugin any more, and all its versions are deleted.
///
/// Example: extrack plugin remove shop-probe
#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    name: String,
}

impl Remove {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let entry = server
            .connect()?
            .delete(&format!("/plugins/{}", self.name))
            .await?;
        line(&match &entry {
            Value::Null => format!("{} is removed", self.name),
            entry => format!(
                "{} is back at {}, which came with the program",
                self.name,
                cell(&entry["version"])
            ),
        });
        Ok(())
    }
}

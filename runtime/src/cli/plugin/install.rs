//! `extrack plugin install FILE`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::described;
use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Brings a component to the server: verified first, then active at once, without a missed run.
///
/// Example: extrack plugin install target/components/shop-probe.wasm
#[derive(Debug, Args)]
pub(in crate::cli) struct Install {
    file: PathBuf,
}

impl Install {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let (bytes, entry) = described(&self.file).await?;
        let entry = server.connect()?.put_bytes(&format!("/plugins/{}", entry.name), bytes.to_vec()).await?;
        line(&format!(
            "{} {} {} is {}",
            cell(&entry["kind"]),
            cell(&entry["name"]),
            cell(&entry["version"]),
            cell(&entry["state"])
        ));
        Ok(())
    }
}

//! `extrack plugin install FILE`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::call::load;
use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Brings a component to the server: verified first, then active at once, without a missed run.
///
/// Example: extrack plugin install dist/shop-probe.wasm
#[derive(Debug, Args)]
pub(in crate::cli) struct Install {
    file: PathBuf,
}

impl Install {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let bytes = std::fs::read(&self.file).with_context(|| format!("reading `{}`", self.file.display()))?;
        let name = load(&self.file).await?.entry().name.clone();
        let entry = server.connect()?.put_bytes(&format!("/plugins/{name}"), bytes).await?;
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

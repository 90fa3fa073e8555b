//! `extrack plugin shadow FILE`

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::call::load;
use super::install::signature_of;
use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Runs a candidate beside the active version of its plugin: it gets the same calls, what it says
/// is compared, nobody is alerted. `compare` shows how it does, `promote` makes it the active one,
/// `discard` ends it.
///
/// Its requests are real: a probe that changes something at its service changes it twice.
///
/// Example: extrack plugin shadow dist/shop-probe.wasm
#[derive(Debug, Args)]
pub(in crate::cli) struct Shadow {
    file: PathBuf,
    /// Its signature. Default: FILE.minisig, if it is there.
    #[arg(long)]
    signature: Option<PathBuf>,
}

impl Shadow {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let bytes = std::fs::read(&self.file)
            .with_context(|| format!("reading `{}`", self.file.display()))?;
        let path = format!("/plugins/{}/shadow", load(&self.file).await?.entry().name);
        let signature = signature_of(&self.file, self.signature.as_deref())?;
        let entry = server
            .connect()?
            .put_component(&path, bytes, signature)
            .await?;
        let (name, active) = (cell(&entry["name"]), cell(&entry["version"]));
        line(&format!(
            "{name} {} runs beside {active}, which stays active",
            cell(&entry["shadow"]["version"])
        ));
        line(&format!(
            "its requests are real; `extrack plugin compare {name}` shows how it does"
        ));
        Ok(())
    }
}

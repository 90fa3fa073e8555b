//! `extrack plugin shadow FILE`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::described;
use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Runs a candidate beside the active version of its plugin: it gets the same calls, what it says is compared, nobody is
/// alerted. `compare` shows how it does, `promote` makes it the active one, `discard` ends it.
///
/// Its requests are real: a probe that changes something at its service changes it twice.
///
/// Example: extrack plugin shadow target/components/shop-probe.wasm
#[derive(Debug, Args)]
pub(in crate::cli) struct Shadow {
    file: PathBuf,
}

impl Shadow {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let (bytes, candidate) = described(&self.file).await?;
        let path = format!("/plugins/{}/shadow", candidate.name);
        let entry = server.connect()?.put_bytes(&path, bytes.to_vec()).await?;
        let (name, active) = (cell(&entry["name"]), cell(&entry["version"]));
        line(&format!("{name} {} runs beside {active}, which stays active", cell(&entry["shadow"]["version"])));
        line(&format!("its requests are real; `extrack plugin compare {name}` shows how it does"));
        Ok(())
    }
}

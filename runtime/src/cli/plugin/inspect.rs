//! `extrack plugin inspect FILE`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::described;
use crate::cli::print::json as print_json;

/// What a component file says of itself; needs no server.
///
/// Example: extrack plugin inspect shop-probe.wasm
#[derive(Debug, Args)]
pub(in crate::cli) struct Inspect {
    file: PathBuf,
}

impl Inspect {
    pub(super) async fn run(self) -> Result<()> {
        let (_, entry) = described(&self.file).await?;
        print_json(&json!({
            "name": entry.name,
            "kind": entry.kind,
            "version": entry.version,
            "digest": entry.digest,
            "size": entry.size,
            "summary": entry.info.summary,
            "imports": entry.imports,
            "wants": entry.info.wants,
            "settingsSchema": entry.info.settings_schema,
        }));
        Ok(())
    }
}

//! `extrack plugin shadow FILE`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::call::load;
use super::install::signature_of;
use crate::api_types::plugins::PluginBody;
use crate::cli::client::Server;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, line};

/// Runs a candidate beside the active version of its plugin: it gets the same calls, its results
/// are compared, and it alerts no one. `compare` shows the comparison, `promote` makes it the
/// active one, `discard` ends it.
///
/// Its requests are real: a probe that changes something at its service changes it twice.
///
/// Example: extrack plugin shadow dist/shop-probe.wasm
#[derive(Debug, Args)]
pub(crate) struct Shadow {
    file: PathBuf,
    /// Signature of the component. Default: FILE.minisig, if it is there.
    #[arg(long)]
    signature: Option<PathBuf>,
}

impl Shadow {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let bytes = std::fs::read(&self.file)
            .with_context(|| format!("reading `{}`", self.file.display()))?;
        let path = format!("/plugins/{}/shadow", load(&self.file).await?.entry().name);
        let signature = signature_of(&self.file, self.signature.as_deref())?;
        let answer = server
            .connect()?
            .put_component(&path, bytes, signature)
            .await?;
        let plugin: PluginBody = answer.read()?;
        let candidate = plugin.shadow.as_ref().map(|candidate| &candidate.version);
        let (name, active) = (cell(&plugin.name), cell(&plugin.version));
        line(&format!(
            "{name} {} runs beside {active}, which stays active",
            cell(&candidate)
        ));
        line(&format!(
            "its requests are real; `extrack plugin compare {name}` shows how it does"
        ));
        Ok(ExitCode::SUCCESS)
    }
}

//! `extrack plugin rollback NAME`

use std::process::ExitCode;

use clap::Args;

use crate::api_types::plugins::PluginBody;
use crate::cli::client::{NoBody, Server, query};
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, line};

/// Makes the version that was active before this one active again, or another one that is kept.
///
/// Examples: extrack plugin rollback shop-probe
///           extrack plugin rollback shop-probe --to 1.2.0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Rollback {
    name: String,
    /// A version, or the first 8 or more digits of its digest; `extrack plugin versions` lists
    /// them.
    #[arg(long)]
    to: Option<String>,
}

impl Rollback {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let to = query(&[("to", self.to.as_deref())]);
        let path = format!("/plugins/{}/rollback{to}", self.name);
        let plugin: PluginBody = server.connect()?.post(&path, &NoBody {}).await?.read()?;
        line(&format!(
            "{} is back at {}",
            cell(&plugin.name),
            cell(&plugin.version)
        ));
        Ok(ExitCode::SUCCESS)
    }
}

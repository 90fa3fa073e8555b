//! `extrack plugin rollback NAME`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::cli::client::Server;
use crate::cli::print::{cell, line};

/// Makes the version that was active before this one active again, or another one that is kept.
///
/// Examples: extrack plugin rollback shop-probe
///           extrack plugin rollback shop-probe --to 1.2.0
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Rollback {
    name: String,
    /// A version, or the first 8 or more digits of its digest; `extrack plugin versions` lists
    /// them.
    #[arg(long)]
    to: Option<String>,
}

impl Rollback {
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let to = match &self.to {
            Some(to) => format!(
                "?to={}",
                url::form_urlencoded::byte_serialize(to.as_bytes()).collect::<String>()
            ),
            None => String::new(),
        };
        let entry = server
            .connect()?
            .post(&format!("/plugins/{}/rollback{to}", self.name), &json!({}))
            .await?;
        line(&format!(
            "{} is back at {}",
            cell(&entry["name"]),
            cell(&entry["version"])
        ));
        Ok(())
    }
}

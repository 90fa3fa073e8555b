//! `extrack plugin check FILE`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::call::note_compiling;
use super::grants;
use super::install::signature_of;
use crate::api_types::plugin_check::{PluginCheckBody, PluginCheckStep};
use crate::cli::client::{Answer, NoAnswer, Server};
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, json as print_json, line, table};
use crate::config::{self, Environment};
use crate::local;
use crate::plugin_host::COMPONENT_BYTES;

/// Whether the server would accept a component, step by step, and what it would be granted. Changes
/// nothing.
///
/// Without a server, what needs one is left out. Exit code 1 if it would be refused.
///
/// Example: extrack plugin check dist/shop-probe.wasm
#[derive(Debug, Args)]
pub(crate) struct Check {
    file: PathBuf,
    /// Signature of the component. Default: FILE.minisig, if it is there.
    #[arg(long)]
    signature: Option<PathBuf>,
    /// Ask no server, even if there is one.
    #[arg(long)]
    offline: bool,
    /// Folder with a `plugins.yaml` to check against without a server. Default: the default
    /// grants.
    #[arg(long)]
    config: Option<PathBuf>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let bytes = std::fs::read(&self.file)
            .with_context(|| format!("reading `{}`", self.file.display()))?;
        if bytes.len() > COMPONENT_BYTES {
            bail!(
                "`{}` is larger than {} MiB, the most that a component may have",
                self.file.display(),
                COMPONENT_BYTES >> 20
            );
        }
        let signature = signature_of(&self.file, self.signature.as_deref())?;
        let (checked, server_less) = if self.offline || self.config.is_some() {
            (self.offline(bytes).await?, None)
        } else {
            let server = server.connect()?;
            note_compiling(bytes.len());
            match server
                .post_component("/plugins/check", bytes.clone(), signature)
                .await
            {
                Ok(checked) => (checked, None),
                Err(error) => match error.downcast_ref::<NoAnswer>() {
                    Some(no_answer) => (self.offline(bytes).await?, Some(no_answer.to_string())),
                    None => return Err(error),
                },
            }
        };
        let body: PluginCheckBody = checked.read()?;
        if self.json {
            print_json(&checked);
        } else {
            print(&body, server_less.as_deref());
        }
        Ok(if body.accepted {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn offline(&self, bytes: Vec<u8>) -> Result<Answer> {
        let policies = match &self.config {
            Some(folder) => policies(folder).await?,
            None => BTreeMap::new(),
        };
        let checked = local::check_plugin(bytes.into(), policies, note_compiling).await?;
        Answer::new(&PluginCheckBody::from(checked))
    }
}

async fn policies(folder: &Path) -> Result<BTreeMap<String, crate::domain::PluginPolicy>> {
    let folder = folder.to_owned();
    let draft =
        tokio::task::spawn_blocking(move || config::read(&folder, &Environment::read(&folder)))
            .await?;
    Ok(draft.plugins().policies.clone())
}

fn print(checked: &PluginCheckBody, server_less: Option<&str>) {
    if let Some(reason) = server_less {
        line(&format!(
            "{reason}; checked without it, against the default grants and no settings in use"
        ));
    }
    let row = |step: &PluginCheckStep| {
        let reason = step.reason.as_ref().map(cell).unwrap_or_default();
        vec![cell(&step.step), cell(&step.outcome), reason]
    };
    let rows: Vec<Vec<String>> = checked.steps.iter().map(row).collect();
    table(&["STEP", "OUTCOME", ""], &rows);
    if let (Some(plugin), Some(grants)) = (&checked.plugin, &checked.grants) {
        line("");
        let (kind, name) = (cell(&plugin.kind), cell(&plugin.name));
        let version = cell(&plugin.version);
        line(&format!("{kind} {name} {version} would be granted:"));
        grants::print(grants);
    }
}

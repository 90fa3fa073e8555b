//! `extrack plugin check FILE`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::call::note_compiling;
use super::grants;
use super::install::signature_of;
use crate::cli::client::{NoAnswer, Server};
use crate::cli::print::{cell, json as print_json, line, table};
use crate::config::{self, Environment};
use crate::local;
use crate::plugin_host::{
    self, COMPONENT_BYTES, ComponentCheck, PluginGrants, PolicyOrigin, StepOutcome,
};

/// Whether the server would accept a component, step by step, and what it would be granted. Changes
/// nothing.
///
/// Without a server, what needs one is left out. Exit code 1 if it would be refused.
///
/// Example: extrack plugin check dist/shop-probe.wasm
#[derive(Debug, Args)]
pub(in crate::cli) struct Check {
    file: PathBuf,
    /// Its signature. Default: FILE.minisig, if it is there.
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
    /// The exit code.
    pub(super) async fn run(self, server: &Server) -> Result<u8> {
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
        if self.json {
            print_json(&checked);
        } else {
            print(&checked, server_less.as_deref());
        }
        Ok(u8::from(checked["accepted"] != true))
    }

    async fn offline(&self, bytes: Vec<u8>) -> Result<Value> {
        let policies = match &self.config {
            Some(folder) => policies(folder).await?,
            None => BTreeMap::new(),
        };
        Ok(shown(
            local::check_plugin(bytes.into(), policies, note_compiling).await?,
        ))
    }
}

async fn policies(folder: &Path) -> Result<BTreeMap<String, crate::domain::PluginPolicy>> {
    let folder = folder.to_owned();
    let draft =
        tokio::task::spawn_blocking(move || config::read(&folder, &Environment::read(&folder)))
            .await?;
    Ok(draft.plugins().policies.clone())
}

/// In the shape of the API's answer.
fn shown(check: ComponentCheck) -> Value {
    let step = |step: &plugin_host::CheckedStep| match &step.outcome {
        StepOutcome::Passed => json!({"step": step.step, "outcome": "passed", "reason": null}),
        StepOutcome::Failed(reason) => {
            json!({"step": step.step, "outcome": "failed", "reason": reason})
        }
        StepOutcome::NotReached => {
            json!({"step": step.step, "outcome": "not-reached", "reason": null})
        }
    };
    let plugin = check.plugin.as_ref().map(|plugin| {
        json!({
            "name": plugin.name, "kind": plugin.kind, "version": plugin.version, "digest": plugin.digest,
            "size": plugin.size, "imports": plugin.imports, "summary": plugin.info.summary, "wants": plugin.info.wants,
        })
    });
    json!({
        "accepted": check.is_accepted(),
        "steps": check.steps.iter().map(step).collect::<Vec<_>>(),
        "plugin": plugin,
        "grants": check.grants.as_ref().map(shown_grants),
    })
}

fn shown_grants(grants: &PluginGrants) -> Value {
    let origin = if grants.origin == PolicyOrigin::File {
        "file"
    } else {
        "default"
    };
    let capabilities: Vec<&str> = grants.capabilities.iter().map(|one| one.as_str()).collect();
    let missing =
        |missing: &plugin_host::Missing| json!({"want": missing.want, "setting": missing.setting});
    json!({
        "plugin": grants.name, "kind": grants.kind, "origin": origin, "wants": grants.wants,
        "effective": {
            "hosts": grants.hosts, "credentials": grants.credentials, "methods": grants.methods,
            "capabilities": capabilities,
        },
        "missing": grants.missing.iter().map(missing).collect::<Vec<_>>(),
        "budget": grants.budget_shown(),
    })
}

fn print(checked: &Value, server_less: Option<&str>) {
    if let Some(reason) = server_less {
        line(&format!(
            "{reason}; checked without it, against the default grants and no settings in use"
        ));
    }
    let steps = checked["steps"].as_array().into_iter().flatten();
    let rows: Vec<Vec<String>> = steps
        .map(|step| {
            let reason = if step["reason"].is_null() {
                String::new()
            } else {
                cell(&step["reason"])
            };
            vec![cell(&step["step"]), cell(&step["outcome"]), reason]
        })
        .collect();
    table(&["STEP", "OUTCOME", ""], &rows);
    let plugin = &checked["plugin"];
    if plugin.is_object() {
        line("");
        let (kind, name, version) = (
            cell(&plugin["kind"]),
            cell(&plugin["name"]),
            cell(&plugin["version"]),
        );
        line(&format!("{kind} {name} {version} would be granted:"));
        grants::print(&checked["grants"]);
    }
}

//! `extrack plugin grants NAME`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::api_types::plugin_grants::PluginGrantsBody;
use crate::api_types::{GrantsSpec, PolicySpec};
use crate::cli::client::Server;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, json as print_json, line, plain, table};
use crate::domain::Want;

/// Shows what a plugin wants, is granted and gets; with options, changes it.
///
/// Examples:
///   extrack plugin grants shop-probe
///   extrack plugin grants shop-probe --allow-host api.example.com --allow-host '*.example.org'
///   extrack plugin grants shop-probe --budget memory=128MiB --budget wallClock=10s
///   extrack plugin grants shop-probe --reset
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Grants {
    name: String,
    /// A host it may reach, if it wants it: `name`, `name:port`, `*.name`.
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,
    /// Takes such a grant back.
    #[arg(long, value_name = "HOST")]
    deny_host: Vec<String>,
    /// A line of its budget; an empty value is the default again.
    #[arg(long, value_name = "KEY=VALUE")]
    budget: Vec<String>,
    /// Back to the defaults.
    #[arg(long, conflicts_with_all = ["allow_host", "deny_host", "budget"])]
    reset: bool,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Grants {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        let path = format!("/plugins/{}/grants", self.name);
        let answer = if self.reset {
            client.delete(&path).await?
        } else {
            let answer = client.get(&path).await?;
            let grants: PluginGrantsBody = answer.read()?;
            match self.changed(grants.policy)? {
                Some(policy) => client.put(&path, &policy).await?,
                None => answer,
            }
        };
        if self.json {
            print_json(&answer);
        } else {
            print(&answer.read()?);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Returns the policy with what is to be changed, if anything is.
    fn changed(&self, policy: PolicySpec) -> Result<Option<ChangedPolicy>> {
        if self.allow_host.is_empty() && self.deny_host.is_empty() && self.budget.is_empty() {
            return Ok(None);
        }
        let mut grants = policy.grants;
        for host in &self.deny_host {
            let before = grants.hosts.len();
            grants.hosts.retain(|granted| granted != host);
            if grants.hosts.len() == before {
                bail!(
                    "`{host}` is not among the hosts that `{}` is granted",
                    self.name
                );
            }
        }
        for host in &self.allow_host {
            if !grants.hosts.contains(host) {
                grants.hosts.push(host.clone());
            }
        }
        let mut budget = match serde_json::to_value(policy.budget)? {
            Value::Object(budget) => budget,
            _ => Map::new(),
        };
        for line in &self.budget {
            let Some((key, value)) = line.split_once('=') else {
                bail!("`{line}` is not KEY=VALUE, as in `memory=128MiB`");
            };
            set(&mut budget, key, value);
        }
        Ok(Some(ChangedPolicy { grants, budget }))
    }
}

/// A policy whose budget the server reads: it reports keys that it does not have.
#[derive(Debug, Serialize)]
struct ChangedPolicy {
    grants: GrantsSpec,
    budget: Map<String, Value>,
}

fn set(budget: &mut Map<String, Value>, key: &str, value: &str) {
    match (value, value.parse::<u64>()) {
        ("", _) => {
            budget.remove(key);
        }
        (_, Ok(number)) => {
            budget.insert(key.to_owned(), number.into());
        }
        (text, Err(_)) => {
            budget.insert(key.to_owned(), text.into());
        }
    }
}

pub(super) fn print(grants: &PluginGrantsBody) {
    let origin = match grants.origin.as_str() {
        "file" => "plugins.yaml",
        "api" => "the API",
        _ => "defaults",
    };
    let effective = &grants.effective;
    let mut rows = vec![vec!["grants from".to_owned(), origin.to_owned()]];
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    let wants: Vec<String> = grants.wants.iter().map(want).collect();
    row("wants", listed(&wants, "nothing beside its service"));
    row("other hosts", listed(&effective.hosts, "none"));
    row(
        "credentials",
        all_or_listed(effective.credentials.as_deref()),
    );
    row("methods", all_or_listed(effective.methods.as_deref()));
    row("capabilities", listed(&effective.capabilities, "none"));
    for (key, value) in &grants.budget {
        row(&format!("budget {key}"), cell(value));
    }
    table(&["", ""], &rows);
    for missing in &grants.missing {
        line(&format!(
            "not granted: {} (`{}` in plugins.yaml)",
            want(&missing.want),
            cell(&missing.setting)
        ));
    }
}

fn all_or_listed(items: Option<&[String]>) -> String {
    items.map_or("all".to_owned(), |items| listed(items, "none"))
}

fn listed(items: &[String], none: &str) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    items.iter().map(cell).collect::<Vec<_>>().join(", ")
}

/// Returns `host a.example` for that host.
fn want(want: &Want) -> String {
    match want {
        Want::Host(host) => format!("host {}", plain(host)),
        Want::Credential(name) => format!("credential {}", plain(name)),
        Want::Capability(name) => format!("capability {}", plain(name)),
        Want::Feature(name) => format!("feature {}", plain(name)),
    }
}

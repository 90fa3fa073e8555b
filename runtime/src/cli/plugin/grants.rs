//! `extrack plugin grants NAME`

use anyhow::{Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::client::Server;
use crate::cli::print::{cell, json as print_json, line, table};

/// What a plugin wants, is granted and gets; with options, changes it.
///
/// Examples:
///   extrack plugin grants shop-probe
///   extrack plugin grants shop-probe --allow-host api.example.com --allow-host '*.example.org'
///   extrack plugin grants shop-probe --budget memory=128MiB --budget wallClock=10s
///   extrack plugin grants shop-probe --reset
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct Grants {
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
    pub(super) async fn run(self, server: &Server) -> Result<()> {
        let client = server.connect()?;
        let path = format!("/plugins/{}/grants", self.name);
        let grants = if self.reset {
            client.delete(&path).await?
        } else {
            let grants = client.get(&path).await?;
            let mut policy = grants["policy"].clone();
            match self.change(&mut policy)? {
                true => client.put(&path, &policy).await?,
                false => grants,
            }
        };
        if self.json {
            print_json(&grants);
        } else {
            print(&grants);
        }
        Ok(())
    }

    /// Whether anything is to be changed.
    fn change(&self, policy: &mut Value) -> Result<bool> {
        if !policy["grants"]["hosts"].is_array() {
            policy["grants"]["hosts"] = json!([]);
        }
        let Some(hosts) = policy["grants"]["hosts"].as_array_mut() else {
            bail!("the server's answer has no hosts")
        };
        for host in &self.deny_host {
            let before = hosts.len();
            hosts.retain(|granted| granted != host);
            if hosts.len() == before {
                bail!(
                    "`{host}` is not among the hosts that `{}` is granted",
                    self.name
                );
            }
        }
        for host in &self.allow_host {
            if !hosts.iter().any(|granted| granted == host) {
                hosts.push(json!(host));
            }
        }
        for line in &self.budget {
            let Some((key, value)) = line.split_once('=') else {
                bail!("`{line}` is not KEY=VALUE, as in `memory=128MiB`");
            };
            let Some(budget) = policy["budget"].as_object_mut() else {
                bail!("the server's answer has no budget")
            };
            set(budget, key, value);
        }
        Ok(!self.allow_host.is_empty() || !self.deny_host.is_empty() || !self.budget.is_empty())
    }
}

fn set(budget: &mut Map<String, Value>, key: &str, value: &str) {
    match (value, value.parse::<u64>()) {
        ("", _) => {
            budget.remove(key);
        }
        (_, Ok(number)) => {
            budget.insert(key.to_owned(), json!(number));
        }
        (text, Err(_)) => {
            budget.insert(key.to_owned(), json!(text));
        }
    }
}

/// Of the API's answer, or of what `check` made without one.
pub(super) fn print(grants: &Value) {
    let origin = match grants["origin"].as_str() {
        Some("file") => "plugins.yaml",
        Some("api") => "the API",
        _ => "defaults",
    };
    let effective = &grants["effective"];
    let mut rows = vec![vec!["grants from".to_owned(), origin.to_owned()]];
    let mut row = |name: &str, value: String| rows.push(vec![name.to_owned(), value]);
    row(
        "wants",
        listed(&grants["wants"], "nothing beside its service"),
    );
    row("other hosts", listed(&effective["hosts"], "none"));
    row("credentials", listed(&effective["credentials"], "none"));
    row("methods", listed(&effective["methods"], "none"));
    row("capabilities", listed(&effective["capabilities"], "none"));
    for (key, value) in grants["budget"].as_object().into_iter().flatten() {
        row(&format!("budget {key}"), cell(value));
    }
    table(&["", ""], &rows);
    for missing in grants["missing"].as_array().into_iter().flatten() {
        line(&format!(
            "not granted: {} (`{}` in plugins.yaml)",
            want(&missing["want"]),
            cell(&missing["setting"])
        ));
    }
}

fn listed(value: &Value, none: &str) -> String {
    match value.as_array() {
        None => "all".to_owned(),
        Some(items) if items.is_empty() => none.to_owned(),
        Some(items) => items.iter().map(want).collect::<Vec<_>>().join(", "),
    }
}

/// `{"host": "a.example"}` is `host a.example`.
fn want(value: &Value) -> String {
    match value.as_object() {
        Some(want) => want
            .iter()
            .map(|(kind, name)| format!("{kind} {}", cell(name)))
            .collect(),
        None => cell(value),
    }
}

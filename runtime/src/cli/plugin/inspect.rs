//! `extrack plugin inspect FILE`

mod schema;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::call::load;
use super::units::bytes;
use crate::cli::outcome::Outcome;
use crate::cli::print::{json as print_json, line, table};
use crate::domain::Want;
use crate::plugin_host::PluginEntry;

/// Describes a component file: kind, version, digest, size, what it imports and wants, and its
/// settings.
///
/// Examples:
///   extrack plugin inspect dist/shop-probe.wasm
///   extrack plugin inspect dist/shop-probe.wasm --json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Inspect {
    file: PathBuf,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub(super) async fn run(self) -> Outcome {
        let plugin = load(&self.file).await?;
        let entry = plugin.entry();
        // As minisign names it.
        let mut signature = self.file.into_os_string();
        signature.push(".minisig");
        let signature = Some(PathBuf::from(signature)).filter(|path| path.is_file());
        if self.json {
            print_json(&json!({
                "name": entry.name,
                "kind": entry.kind,
                "version": entry.version,
                "digest": entry.digest,
                "size": entry.size,
                "summary": entry.info.summary,
                "imports": entry.imports,
                "wants": entry.info.wants,
                "signature": signature,
                "settingsSchema": entry.info.settings_schema,
            }));
        } else {
            print(entry, signature);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(entry: &PluginEntry, signature: Option<PathBuf>) {
    line(&format!(
        "{} {} {}",
        entry.kind.as_str(),
        entry.name,
        entry.version
    ));
    line(&entry.info.summary);
    line("");
    line(&format!("digest     sha256:{}", entry.digest));
    line(&format!("size       {}", bytes(entry.size as u64)));
    line(&format!(
        "imports    {}",
        listed(entry.imports.iter().map(|import| short(import).to_owned()))
    ));
    line(&format!(
        "wants      {}",
        listed(entry.info.wants.iter().map(wanted))
    ));
    let signature = signature.map_or("no `.minisig` beside it".to_owned(), |path| {
        path.display().to_string()
    });
    line(&format!("signature  {signature}"));
    line("");
    let rows = schema::rows(&entry.info.settings_schema);
    if rows.is_empty() {
        line("It takes no settings.");
        return;
    }
    table(
        &["SETTING", "TYPE", "DEFAULT", "MEANING"],
        &rows.into_iter().map(schema::Row::cells).collect::<Vec<_>>(),
    );
}

/// Returns our own interfaces without the package they all share.
fn short(import: &str) -> &str {
    match import.strip_prefix("external-tracking:plugin/") {
        Some(name) => name.split('@').next().unwrap_or(name),
        None => import,
    }
}

fn wanted(want: &Want) -> String {
    match want {
        Want::Host(host) => format!("host {host}"),
        Want::Credential(name) => format!("credential {name}"),
        Want::Capability(name) => format!("capability {name}"),
        Want::Feature(name) => format!("feature {name}"),
    }
}

fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        "nothing".to_owned()
    } else {
        items.join(", ")
    }
}

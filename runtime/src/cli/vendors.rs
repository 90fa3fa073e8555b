//! `extrack vendors list|show|check`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::outcome::Outcome;
use super::print::{cell, json as print_json, line, note, table};
use crate::local;
use crate::vendors::{Checked, Entry, Found, VendorCatalog, VendorCheck};

#[derive(Debug, Subcommand)]
pub(super) enum Vendors {
    /// All vendors of the catalog, and your own.
    ///
    /// Example: extrack vendors list
    List(List),
    /// One vendor: what a service of it is made of.
    ///
    /// Example: extrack vendors show stripe
    Show(Show),
    /// Asks the health endpoint and the status page of one vendor, or of all: whether they answer as
    /// the catalog expects. Exit code 1 if one does not.
    ///
    /// Example: extrack vendors check stripe github
    Check(Check),
}

/// Folder of the configuration, with entries of one's own.
#[derive(Debug, Args)]
pub(super) struct ConfigFolder {
    /// Folder of the configuration; its `vendors/*.yaml` come on top of the catalog.
    #[arg(long, env = "EXTRACK_CONFIG", default_value = "config")]
    config: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    config: ConfigFolder,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    vendor: String,
    #[command(flatten)]
    config: ConfigFolder,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Names of vendors.
    #[arg(required_unless_present = "all")]
    vendors: Vec<String>,
    /// All vendors of the catalog, which asks each of them over the internet.
    #[arg(long, conflicts_with = "vendors")]
    all: bool,
    #[command(flatten)]
    config: ConfigFolder,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

impl ConfigFolder {
    pub(super) async fn catalog(&self) -> Result<VendorCatalog> {
        let folder = self.config.clone();
        let read = tokio::task::spawn_blocking(move || VendorCatalog::read(&folder)).await?;
        read.context("reading the catalog of vendors")
    }
}

impl Vendors {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Vendors::List(list) => list.run().await,
            Vendors::Show(show) => show.run().await,
            Vendors::Check(check) => check.run().await,
        }
    }
}

impl List {
    async fn run(self) -> Outcome {
        let catalog = self.config.catalog().await?;
        if self.json {
            let entries: Vec<Value> = catalog.entries().map(shown).collect();
            print_json(&entries);
            return Ok(ExitCode::SUCCESS);
        }
        let rows: Vec<Vec<String>> = catalog.entries().map(row).collect();
        table(&["VENDOR", "TITLE", "BASE URL", "NEEDS", "FROM"], &rows);
        Ok(ExitCode::SUCCESS)
    }
}

fn row(entry: &Entry) -> Vec<String> {
    let vendor = &entry.vendor;
    let needed = vendor.parameters.iter();
    let needed = needed
        .filter(|(_, parameter)| parameter.default.is_none())
        .map(|(name, _)| name.as_str());
    let needed: Vec<&str> = needed
        .chain(vendor.credential.as_ref().map(|one| one.env.as_str()))
        .collect();
    let from = entry
        .file
        .as_ref()
        .map_or_else(|| "catalog".to_owned(), |file| file.display().to_string());
    vec![
        cell(&vendor.name),
        cell(&vendor.title),
        cell(&vendor.base_url),
        cell(&Some(needed.join(", ")).filter(|needed| !needed.is_empty())),
        cell(&from),
    ]
}

fn shown(entry: &Entry) -> Value {
    let mut shown = json!(entry.vendor);
    shown["file"] = json!(entry.file);
    shown
}

impl Show {
    async fn run(self) -> Outcome {
        let catalog = self.config.catalog().await?;
        print_json(&shown(catalog.entry(&self.vendor)?));
        Ok(ExitCode::SUCCESS)
    }
}

impl Check {
    async fn run(self) -> Outcome {
        let catalog = self.config.catalog().await?;
        let entries: Vec<&Entry> = if self.all {
            catalog.entries().collect()
        } else {
            let asked = self.vendors.iter().map(|name| catalog.entry(name));
            asked.collect::<Result<_, _>>()?
        };
        note(&format!("asking {} vendors", entries.len()));
        let check = VendorCheck::new(local::network()?);
        let checked = check.check(&entries).await;
        if self.json {
            let answers: Vec<Value> = checked.iter().map(answer).collect();
            print_json(&answers);
        } else {
            let rows: Vec<Vec<String>> = checked
                .iter()
                .map(|one| {
                    vec![
                        cell(&one.vendor),
                        cell(&said(&one.health)),
                        cell(&said(&one.status_page)),
                    ]
                })
                .collect();
            table(&["VENDOR", "HEALTH", "STATUS PAGE"], &rows);
        }
        let is_wrong = |one: &&Checked| one.health.is_wrong() || one.status_page.is_wrong();
        let wrong = checked.iter().filter(is_wrong).count();
        if wrong == 0 {
            return Ok(ExitCode::SUCCESS);
        }
        if !self.json {
            line(&format!(
                "{wrong} of {} are not as the catalog says",
                checked.len()
            ));
        }
        Ok(ExitCode::FAILURE)
    }
}

fn said(found: &Found) -> String {
    match found {
        Found::Right(text) => format!("ok: {text}"),
        Found::Wrong(text) => format!("WRONG: {text}"),
        Found::NotAsked(text) => format!("not asked: {text}"),
    }
}

fn answer(one: &Checked) -> Value {
    let part = |found: &Found| match found {
        Found::Right(text) => json!({"found": "right", "detail": text}),
        Found::Wrong(text) => json!({"found": "wrong", "detail": text}),
        Found::NotAsked(text) => json!({"found": "notAsked", "detail": text}),
    };
    json!({"vendor": one.vendor, "health": part(&one.health), "statusPage": part(&one.status_page)})
}

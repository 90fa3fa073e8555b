//! `extrack export`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value};

use super::client::{Client, Server};
use super::outcome::Outcome;
use super::owned::{owned_queries, owned_silences, owned_windows};
use super::print::{line, note};
use crate::api_types::MaintenanceSpec;
use crate::api_types::services::ServiceBody;
use crate::api_types::silences::SilenceSpec;
use crate::domain::Origin;
use crate::spec::ServiceSpec;
use crate::vendors::{escape_variables, service_entry, stored_service, yaml_of};

/// Lines before the services. They hold no moment and no server, so that an export can be compared
/// with one of before.
const HEADER: &str = "\
# What the API owns; `extrack apply -f FILE` takes this file.
# `***` stands for a secret that is stored and stays as it is: to set another one, write the value, `${VARIABLE}`, or the key
# with `File` behind it and a path.
# Not in here: what configuration files own, tokens, consumers of the gateway, pauses, silences and windows that are over.
";

/// Prints the services that the API owns, with their rules and channels, and maintenance windows, silences
/// and saved queries, as YAML that `apply` takes. Secrets are never in it. Saved queries need a token that
/// may ask in SQL.
///
/// Example: extrack export > registry.yaml
#[derive(Debug, Args)]
pub(super) struct Export {}

impl Export {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let client = server.connect()?;
        let services = owned_services(&client).await?;
        let lists = lists_beside(&client).await?;
        let mut text = HEADER.to_owned();
        text.push_str(if services.is_empty() {
            "services: []\n"
        } else {
            "services:\n"
        });
        for service in services {
            for fault in &service.faults {
                note(&format!(
                    "`{}` does not run: {}",
                    service.slug, fault.message
                ));
            }
            text.push_str(&service_entry(&described(service)?));
        }
        text.push_str(&yaml_of(&lists));
        line(text.trim_end());
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the services that the API owns, by slug.
pub(super) async fn owned_services(client: &Client) -> Result<Vec<ServiceBody>> {
    let services: Vec<ServiceBody> = client.list("/services").await?.read()?;
    Ok(services
        .into_iter()
        .filter(|service| service.origin == Origin::Api)
        .collect())
}

/// Returns the lists beside services that have an entry, by their keys in the file.
async fn lists_beside(client: &Client) -> Result<Map<String, Value>> {
    let windows = owned_windows(client).await?.into_iter();
    let windows: Vec<MaintenanceSpec> = windows
        .filter(|window| !window.is_over)
        .map(|window| window.spec)
        .collect();
    let silences = owned_silences(client).await?.into_iter();
    let silences: Vec<SilenceSpec> = silences.map(|silence| silence.spec).collect();
    let mut lists = Map::new();
    for (key, list) in [
        ("maintenance", serde_json::to_value(windows)?),
        ("silences", serde_json::to_value(silences)?),
        (
            "queries",
            serde_json::to_value(owned_queries(client).await?)?,
        ),
    ] {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            lists.insert(key.to_owned(), list);
        }
    }
    let mut lists = Value::Object(lists);
    escape_variables(&mut lists);
    Ok(lists.as_object().cloned().unwrap_or_default())
}

fn described(service: ServiceBody) -> Result<ServiceSpec> {
    let ServiceBody { slug, spec, .. } = service;
    stored_service(&slug, spec)
        .with_context(|| format!("this version of `extrack` can't read service `{slug}`"))
}

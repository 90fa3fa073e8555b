//! `extrack export`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::Value;

use super::client::{Client, Server};
use super::outcome::Outcome;
use super::print::{line, note};
use crate::api_types::services::ServiceBody;
use crate::domain::Origin;
use crate::spec::ServiceSpec;
use crate::vendors::service_entry;

/// Lines before the services. They hold no moment and no server, so that an export can be compared
/// with one of before.
const HEADER: &str = "\
# Services that the API owns; `extrack apply -f FILE` takes this file.
# `***` stands for a secret that is stored and stays as it is: to set another one, write the value, `${VARIABLE}`, or the key
# with `File` behind it and a path.
# Not in here: what configuration files own, tokens, consumers of the gateway, pauses, silences, maintenance windows, saved queries.
";

/// Prints the services that the API owns, with their rules and channels, as YAML that `apply` takes.
/// Secrets are never in it.
///
/// Example: extrack export > registry.yaml
#[derive(Debug, Args)]
pub(super) struct Export {}

impl Export {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        let services = owned_services(&server.connect()?).await?;
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

fn described(service: ServiceBody) -> Result<ServiceSpec> {
    let ServiceBody { slug, spec, .. } = service;
    let mut spec = Value::Object(spec);
    escape(&mut spec);
    let described: ServiceSpec = serde_json::from_value(spec)
        .with_context(|| format!("this version of `extrack` can't read service `{slug}`"))?;
    Ok(ServiceSpec {
        slug: Some(slug),
        ..described
    })
}

/// Keeps texts from being read as variables.
fn escape(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.replace("${", "$${"),
        Value::Array(items) => items.iter_mut().for_each(escape),
        Value::Object(members) => members.values_mut().for_each(escape),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

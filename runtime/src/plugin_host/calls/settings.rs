//! Are these settings good? The schema first, then the plugin's own word.

use jsonschema::error::ValidationErrorKind;
use serde_json::Value;
use tokio::time::Instant;

use super::account::row_of;
use super::{Calls, end};
use crate::domain::fault::child;
use crate::domain::{Fault, PluginKind, ServiceFacts, percentage_hint};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::contract::bindings::describe::exports::external_tracking::plugin::description::ProposedSettings;
use crate::plugin_host::contract::bindings::imports::types;
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::run::{RunError, RunUsage};
use crate::plugin_host::versions::loader::LoadedPlugin;

/// A plugin's own check of settings.
type Checked = Result<(), Vec<types::Fault>>;

impl Calls {
    /// The schema first, then the plugin's own word.
    pub(in crate::plugin_host) async fn check_settings(
        &self,
        kind: PluginKind,
        name: &str,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        match self.known(kind, name) {
            Ok(plugin) => self.check_against(&plugin, settings, service).await,
            Err(error) => Err(vec![Fault::new("", error.to_string())]),
        }
    }

    pub(in crate::plugin_host) async fn check_against(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> Result<(), Vec<Fault>> {
        let faults = schema_faults(plugin, settings);
        if !faults.is_empty() {
            return Err(faults);
        }
        let (answer, usage) = self.ask_check(plugin, settings, service).await;
        let run_id = self.next_run_id();
        let slug = service.map(|service| service.slug.as_str());
        let run = row_of(plugin, run_id, "check-settings", slug, end(&answer), &usage);
        self.account(plugin, run, usage.is_crowded_out);
        checked(plugin, answer)
    }

    /// The same, without a trace.
    pub(super) async fn check_unnoticed(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        let faults = schema_faults(plugin, settings);
        if !faults.is_empty() {
            return Err(faults);
        }
        checked(plugin, self.ask_check(plugin, settings, None).await.0)
    }

    async fn ask_check(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
        service: Option<&ServiceFacts>,
    ) -> (Result<Checked, RunError>, RunUsage) {
        let sealed = SealedSettings::new(settings, &plugin.info.settings_schema);
        let proposed = ProposedSettings {
            settings: sealed.settings.to_string(),
            service: service.map(convert::service),
            attributes: Vec::new(),
        };
        let deadline = Instant::now() + limits::DESCRIBE;
        let access = Access {
            secrets: sealed,
            ..Access::default()
        };
        self.runner
            .run(
                &plugin.pre,
                plugin.label(service.map(|service| service.slug.as_str())),
                access,
                deadline,
                async |store, instance| {
                    let guest = plugin.description.load(&mut *store, instance)?;
                    guest
                        .external_tracking_plugin_description()
                        .call_check_settings(&mut *store, &proposed)
                        .await
                },
            )
            .await
    }
}

fn checked(plugin: &LoadedPlugin, answer: Result<Checked, RunError>) -> Result<(), Vec<Fault>> {
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(faults)) => Err(convert::faults(faults)),
        Err(broken) => {
            let message = format!(
                "plugin `{}` could not check them: {}",
                plugin.name, broken.reason
            );
            Err(vec![Fault::new("", message)])
        }
    }
}

/// All at once; values are never repeated, they may be secret.
fn schema_faults(plugin: &LoadedPlugin, settings: &Value) -> Vec<Fault> {
    faults_of(&plugin.schema, &plugin.info.settings_schema, settings)
}

fn faults_of(validator: &jsonschema::Validator, schema: &Value, settings: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for error in validator.iter_errors(settings) {
        let path = error.instance_path().as_str().to_owned();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                faults.extend(unexpected.iter().map(|name| {
                    Fault::new(child(&path, name), format!("unknown setting `{name}`"))
                }));
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                faults.push(Fault::new(path, format!("setting `{name}` is missing")));
            }
            _ => {
                let hint = percentage_hint(schema, error.schema_path().as_str(), error.instance());
                faults.push(Fault::new(path, format!("{}{hint}", error.masked())));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests;

//! Are these settings good? The schema first, then the plugin's own word.

use jsonschema::error::ValidationErrorKind;
use serde_json::Value;
use tokio::time::Instant;

use super::end;
use crate::domain::fault::child;
use crate::domain::{Fault, PluginKind};
use crate::plugin_host::PluginHost;
use crate::plugin_host::capabilities::state::Access;
use crate::plugin_host::contract::bindings::imports::types;
use crate::plugin_host::contract::convert;
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::run::{Broken, Used};
use crate::plugin_host::versions::loader::LoadedPlugin;

/// What a plugin says of settings.
type Checked = Result<(), Vec<types::Fault>>;

impl PluginHost {
    /// The schema first, then the plugin's own word.
    pub async fn check_settings(
        &self,
        kind: PluginKind,
        name: &str,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        match self.known(kind, name) {
            Ok(plugin) => self.check_against(&plugin, settings).await,
            Err(error) => Err(vec![Fault::new("", error.to_string())]),
        }
    }

    pub(in crate::plugin_host) async fn check_against(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        let faults = schema_faults(&plugin.schema, settings);
        if !faults.is_empty() {
            return Err(faults);
        }
        let (answer, used) = self.ask_check(plugin, settings).await;
        let (outcome, error) = end(&answer);
        self.account(
            plugin,
            self.next_run_id(),
            "check-settings",
            None,
            outcome,
            error,
            used,
        );
        checked(plugin, answer)
    }

    /// The same, without a trace.
    pub(super) async fn check_unnoticed(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> Result<(), Vec<Fault>> {
        let faults = schema_faults(&plugin.schema, settings);
        match faults.is_empty() {
            true => checked(plugin, self.ask_check(plugin, settings).await.0),
            false => Err(faults),
        }
    }

    async fn ask_check(
        &self,
        plugin: &LoadedPlugin,
        settings: &Value,
    ) -> (Result<Checked, Broken>, Used) {
        let sealed = SealedSettings::new(settings, &plugin.info.settings_schema);
        let text = sealed.settings.to_string();
        let secrets = sealed.redactor();
        let deadline = Instant::now() + limits::DESCRIBE;
        let access = Access {
            secrets: sealed,
            ..Access::default()
        };
        let (mut answer, used) = self
            .shared
            .runner
            .run(
                &plugin.pre,
                plugin.label(None),
                access,
                deadline,
                async |store, instance| {
                    let guest = plugin.description.load(&mut *store, instance)?;
                    guest
                        .external_tracking_plugin_description()
                        .call_check_settings(&mut *store, &text)
                        .await
                },
            )
            .await;
        if let Ok(Err(faults)) = &mut answer {
            faults.iter_mut().for_each(|fault| {
                fault.message = secrets.stable(std::mem::take(&mut fault.message))
            });
        }
        (answer, used)
    }
}

fn checked(plugin: &LoadedPlugin, answer: Result<Checked, Broken>) -> Result<(), Vec<Fault>> {
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
fn schema_faults(schema: &jsonschema::Validator, settings: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for error in schema.iter_errors(settings) {
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
            _ => faults.push(Fault::new(path, error.masked().to_string())),
        }
    }
    faults
}

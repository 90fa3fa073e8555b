//! Settings that are in use, for the check before a plugin is replaced.

use serde_json::Value;

use super::Registry;
use crate::domain::{Origin, PluginKind};

/// Settings that some probe, webhook, alert or channel hands to a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsUse {
    /// Origin of the service, or of the channel.
    pub origin: Origin,
    /// e.g. ``probe `http` of service `shop-api` ``
    pub owner: String,
    pub kind: PluginKind,
    pub settings: Value,
}

impl Registry {
    /// Returns the settings that this plugin has to go on accepting, with their owners.
    pub fn settings_using(&self, plugin: &str) -> Vec<SettingsUse> {
        let (catalog, state) = (self.catalog(), self.state());
        let mut uses = Vec::new();
        let mut add = |name: &str, origin: Origin, kind, settings: &Value, owner: String| {
            if name == plugin {
                uses.push(SettingsUse {
                    origin,
                    owner,
                    kind,
                    settings: settings.clone(),
                });
            }
        };
        for service in catalog.services.values() {
            let (origin, slug) = (service.origin, &service.slug);
            for probe in &service.probes {
                let owner = format!("probe `{}` of service `{slug}`", probe.name);
                let settings = &probe.settings;
                add(&probe.plugin, origin, PluginKind::Probe, settings, owner);
            }
            for webhook in &service.webhooks {
                let owner = format!("webhook `{}` of service `{slug}`", webhook.name);
                let settings = &webhook.settings;
                add(
                    &webhook.plugin,
                    origin,
                    PluginKind::Webhook,
                    settings,
                    owner,
                );
            }
        }
        let is_shared = |name: &str| state.files.rules.iter().any(|rule| rule.draft.name == name);
        for rule in catalog.rules.values().flatten() {
            let owner = format!("alert `{}` of service `{}`", rule.name, rule.service);
            let service = catalog.services.get(&rule.service);
            let origin = match service.filter(|_| !is_shared(&rule.name)) {
                Some(service) => service.origin,
                None => Origin::File,
            };
            add(
                &rule.plugin,
                origin,
                PluginKind::Rule,
                &rule.settings,
                owner,
            );
        }
        for channel in catalog.channels.values() {
            let (owner, settings) = (format!("channel `{}`", channel.name), &channel.settings);
            add(
                &channel.plugin,
                channel.origin,
                PluginKind::Notifier,
                settings,
                owner,
            );
        }
        uses
    }
}

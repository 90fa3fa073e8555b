//! Settings that are in use, for the check before a plugin is replaced.

use serde_json::Value;

use super::Registry;
use crate::domain::{Origin, PluginKind, ServiceFacts};

/// Settings that some probe, webhook, meter, alert or channel hands to a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsUse {
    /// Origin of the service, or of the channel.
    pub origin: Origin,
    /// e.g. ``probe `http` of service `shop-api` ``
    pub owner: String,
    pub kind: PluginKind,
    pub settings: Value,
    /// The service of a probe, a webhook or a meter.
    pub service: Option<ServiceFacts>,
}

impl Registry {
    /// Returns the settings that this plugin has to go on accepting, with their owners.
    pub fn settings_using(&self, plugin: &str) -> Vec<SettingsUse> {
        let (catalog, state) = (self.catalog(), self.state());
        let mut uses = Vec::new();
        for service in catalog.services.values() {
            let (origin, slug) = (service.origin, &service.slug);
            let of_service = |kind, what: &str, settings: &Value| SettingsUse {
                origin,
                owner: format!("{what} of service `{slug}`"),
                kind,
                settings: settings.clone(),
                service: Some(service.facts()),
            };
            let probes = service.probes.iter().filter(|probe| probe.plugin == plugin);
            uses.extend(probes.map(|probe| {
                let what = format!("probe `{}`", probe.name);
                of_service(PluginKind::Probe, &what, &probe.settings)
            }));
            let webhooks = service.webhooks.iter();
            let webhooks = webhooks.filter(|webhook| webhook.plugin == plugin);
            uses.extend(webhooks.map(|webhook| {
                let what = format!("webhook `{}`", webhook.name);
                of_service(PluginKind::Webhook, &what, &webhook.settings)
            }));
            let meters = service.meters.iter().filter(|meter| meter.plugin == plugin);
            uses.extend(meters.map(|meter| {
                let what = format!("meter `{}`", meter.name);
                of_service(PluginKind::Meter, &what, &meter.settings)
            }));
        }
        let is_shared = |name: &str| state.files.rules.iter().any(|rule| rule.draft.name == name);
        let rules = catalog.rules.values().flatten();
        uses.extend(rules.filter(|rule| rule.plugin == plugin).map(|rule| {
            let service = catalog.services.get(&rule.service);
            SettingsUse {
                origin: service
                    .filter(|_| !is_shared(&rule.name))
                    .map_or(Origin::File, |service| service.origin),
                owner: format!("alert `{}` of service `{}`", rule.name, rule.service),
                kind: PluginKind::Rule,
                settings: rule.settings.clone(),
                service: None,
            }
        }));
        let channels = catalog.channels.values();
        let channels = channels.filter(|channel| channel.plugin == plugin);
        uses.extend(channels.map(|channel| SettingsUse {
            origin: channel.origin,
            owner: format!("channel `{}`", channel.name),
            kind: PluginKind::Notifier,
            settings: channel.settings.clone(),
            service: None,
        }));
        uses
    }
}

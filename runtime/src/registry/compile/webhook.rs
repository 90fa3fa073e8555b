//! Compiles the `webhooks` of a service.

use serde_json::Value;

use super::Compiler;
use crate::domain::fault::child;
use crate::domain::{PluginKind, Probe, Webhook, slug};
use crate::spec::{ServiceSpec, WebhookSpec};

/// More is a mistake.
const MAX_WEBHOOKS: usize = 16;
const MAX_NAME_CHARS: usize = 64;

impl Compiler<'_> {
    /// Reports of a webhook are observations: its name must not be that of a probe.
    pub(super) async fn webhooks(
        &mut self,
        spec: &ServiceSpec,
        probes: &[Probe],
        at: &str,
    ) -> Vec<Webhook> {
        let list_at = child(at, "webhooks");
        if spec.webhooks.len() > MAX_WEBHOOKS {
            self.report.fault(
                &list_at,
                format!("must have at most {MAX_WEBHOOKS} entries"),
            );
        }
        let mut webhooks: Vec<Webhook> = Vec::new();
        for (index, entry) in spec.webhooks.iter().take(MAX_WEBHOOKS).enumerate() {
            let entry_at = child(&list_at, index);
            let Some(webhook) = self.webhook(entry, &entry_at).await else {
                continue;
            };
            let other = if webhooks.iter().any(|other| other.name == webhook.name) {
                Some("webhook")
            } else {
                probes
                    .iter()
                    .any(|probe| probe.name == webhook.name)
                    .then_some("probe")
            };
            if let Some(other) = other {
                let message = format!(
                    "a {other} of this service is named `{}`; give this one another `name`",
                    webhook.name
                );
                self.report.fault(child(&entry_at, "name"), message);
            }
            webhooks.push(webhook);
        }
        webhooks
    }

    async fn webhook(&mut self, spec: &WebhookSpec, at: &str) -> Option<Webhook> {
        let name = spec.name.clone().unwrap_or_else(|| spec.plugin.clone());
        self.plain_name_check(&name, at);
        if !self.plugin_exists(PluginKind::Webhook, &spec.plugin, &child(at, "plugin")) {
            return None;
        }
        let settings = Value::Object(spec.settings.0.clone());
        let locate = |pointer: &str| format!("{at}/settings{pointer}");
        self.settings_check(PluginKind::Webhook, &spec.plugin, &settings, &[], locate)
            .await;
        let unsigned = spec.unsigned.unwrap_or_default();
        if unsigned {
            let message = "takes deliveries from anybody who knows the URL; leave it out where the sender can sign";
            self.report.warn(child(at, "unsigned"), message);
        }
        Some(Webhook {
            name,
            plugin: spec.plugin.clone(),
            settings,
            unsigned,
        })
    }

    /// Checks a name that stands in a URL that people copy, or in an id.
    pub(super) fn plain_name_check(&mut self, name: &str, at: &str) {
        let is_plain = |character: char| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || "-_".contains(character)
        };
        if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(is_plain) {
            let plain: String = slug(name)
                .chars()
                .filter(char::is_ascii)
                .take(MAX_NAME_CHARS)
                .collect();
            let hint = if plain.is_empty() {
                String::new()
            } else {
                format!("; write `{plain}`")
            };
            let message = format!(
                "must be of lower case letters, digits, `-` and `_`, at most {MAX_NAME_CHARS}{hint}"
            );
            self.report.fault(child(at, "name"), message);
        }
    }
}

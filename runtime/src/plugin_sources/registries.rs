//! Plugins that `plugins.yaml` takes from a registry: pulled at the start, and when the file names
//! another reference. A pull that fails leaves the version that is there, and is logged.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;

use crate::domain::{Origin, PluginTrust};
use crate::plugin_host::{InstallRequest, InstallStep, PluginHost, StagedPlugin};
use crate::registry::Registry;

/// Pulls at the same time; a start should not be a storm at the registry.
const MAX_PULLS: usize = 4;

/// [`crate::plugin_host::PluginEntry::by`] of these plugins.
const BY: &str = "plugins.yaml";

/// References of `plugins.yaml`, and which of them were pulled.
#[derive(Default)]
pub struct PluginSources {
    /// Reference that was pulled last, by plugin.
    pulled: BTreeMap<String, String>,
}

/// Versions that were pulled for files that are not in use yet.
#[derive(Default)]
pub struct StagedSources {
    /// Versions by the names of their plugins.
    pub plugins: BTreeMap<String, StagedPlugin>,
    /// Names with the references that are as they should be once the versions are active.
    pub pulled: Vec<(String, String)>,
}

impl PluginSources {
    /// Pulls plugins of which there is no version at all, before the services are checked, which
    /// may name one. A start waits for nothing else, as a registry may be down.
    pub async fn pull_missing(&mut self, host: &PluginHost, trust: &PluginTrust) {
        let missing = trust
            .sources
            .iter()
            .filter(|(name, _)| host.get(name).is_none());
        let missing = missing
            .map(|(name, source)| (name.clone(), source.clone()))
            .collect();
        self.pull_all(host, missing).await;
    }

    /// Pulls what differs from the file; a tag is asked for once.
    pub async fn pull(&mut self, host: &PluginHost, trust: &PluginTrust) {
        self.pulled
            .retain(|name, _| trust.sources.contains_key(name));
        let changed = trust
            .sources
            .iter()
            .filter(|(name, source)| self.pulled.get(*name) != Some(*source));
        let changed = changed
            .map(|(name, source)| (name.clone(), source.clone()))
            .collect();
        self.pull_all(host, changed).await;
    }

    /// Pulls what differs from these files, verified under their trust, and not active. A version
    /// that can't be had is logged and left out: a registry that is down holds up no other change.
    pub async fn stage(
        &self,
        host: &PluginHost,
        registry: &Registry,
        trust: &PluginTrust,
    ) -> StagedSources {
        let changed = trust
            .sources
            .iter()
            .filter(|(name, source)| self.pulled.get(*name) != Some(*source));
        let changed: Vec<(String, String)> = changed
            .map(|(name, source)| (name.clone(), source.clone()))
            .collect();
        let stages = changed.into_iter().map(|(name, source)| async move {
            let staged = host.stage_pull(&source, &name, trust, BY).await;
            (name, source, staged.map_err(|refusal| refusal.to_string()))
        });
        let mut stages = stream::iter(stages).buffer_unordered(MAX_PULLS);
        let mut staged = StagedSources::default();
        while let Some((name, source, answer)) = stages.next().await {
            let answer = match answer {
                Ok(Some(plugin)) => accepted_by_services(host, registry, plugin).await.map(Some),
                other => other,
            };
            match answer {
                Ok(plugin) => {
                    staged
                        .plugins
                        .extend(plugin.map(|plugin| (name.clone(), plugin)));
                    staged.pulled.push((name, source));
                }
                Err(refusal) => not_pulled(&name, &source, &refusal),
            }
        }
        staged
    }

    /// Notes that the files are in use.
    pub fn taken_over(&mut self, trust: &PluginTrust, pulled: Vec<(String, String)>) {
        self.pulled
            .retain(|name, _| trust.sources.contains_key(name));
        self.pulled.extend(pulled);
    }

    async fn pull_all(&mut self, host: &PluginHost, wanted: Vec<(String, String)>) {
        let pulls = wanted.into_iter().map(|(name, source)| async move {
            let request = InstallRequest::registry(&source, BY)
                .named(&name)
                .rejecting_withdrawn();
            let answer = match host.install(request).await {
                Ok(entry) => Ok(Some(entry)),
                Err(error) if error.step == InstallStep::Withdrawn => {
                    tracing::warn!(plugin = name, source, %error, "the version of a source is not activated again");
                    Ok(host.get(&name))
                }
                Err(error) => Err(error),
            };
            (name, source, answer)
        });
        let mut pulls = stream::iter(pulls).buffer_unordered(MAX_PULLS);
        while let Some((name, source, answer)) = pulls.next().await {
            match answer {
                Ok(entry) => {
                    tracing::info!(
                        plugin = name,
                        source,
                        version = entry.as_ref().map(|entry| entry.version.as_str()),
                        digest = entry.as_ref().map(|entry| entry.digest.as_str()),
                        "a plugin matches its source"
                    );
                    self.pulled.insert(name, source);
                }
                Err(refusal) => not_pulled(&name, &source, &refusal.to_string()),
            }
        }
    }
}

/// Checks the settings of services of the API; those of the files are checked with the files.
async fn accepted_by_services(
    host: &PluginHost,
    registry: &Registry,
    plugin: StagedPlugin,
) -> Result<StagedPlugin, String> {
    for usage in registry.settings_using(&plugin.info().name) {
        let is_meant = usage.origin == Origin::Api && usage.kind == plugin.kind();
        if is_meant
            && let Err(faults) = host
                .check_settings_staged(&plugin, &usage.settings, usage.service.as_ref())
                .await
        {
            let first = faults
                .first()
                .map(|fault| fault.message.as_str())
                .unwrap_or_default();
            return Err(format!(
                "it does not accept settings that are in use: {}: {first}",
                usage.owner
            ));
        }
    }
    Ok(plugin)
}

fn not_pulled(plugin: &str, source: &str, refusal: &str) {
    tracing::error!(
        plugin,
        source,
        refusal,
        "a plugin could not be pulled, what was active stays; it is tried again at the next change of the configuration and \
         the next start"
    );
}

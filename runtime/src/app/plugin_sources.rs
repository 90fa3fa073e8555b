//! Plugins that `plugins.yaml` keeps in a registry: pulled at the start, and when the file says
//! something else. A pull that fails leaves the version that is there, and is told.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;

use crate::domain::{Origin, PluginTrust};
use crate::plugin_host::{PluginHost, StagedPlugin};
use crate::registry::Registry;

/// At the same time; a start should not be a storm at the registry.
const AT_ONCE: usize = 4;

/// [`crate::plugin_host::PluginEntry::by`] of what came so.
const BY: &str = "plugins.yaml";

#[derive(Default)]
pub(super) struct PluginSources {
    /// By plugin: the reference that was pulled last.
    pulled: BTreeMap<String, String>,
}

/// Versions that were pulled for files that are not in use yet.
#[derive(Default)]
pub(super) struct StagedSources {
    /// By name.
    pub(super) plugins: BTreeMap<String, StagedPlugin>,
    /// Names with the references that are as they should be once the versions are active.
    pub(super) pulled: Vec<(String, String)>,
}

impl PluginSources {
    /// Before the services are checked, which may name one: those of which there is no version at
    /// all. A start waits for nothing else, as a registry may be down.
    pub(super) async fn pull_missing(&mut self, host: &PluginHost, trust: &PluginTrust) {
        let missing = trust
            .sources
            .iter()
            .filter(|(name, _)| host.get(name).is_none());
        let missing = missing
            .map(|(name, source)| (name.clone(), source.clone()))
            .collect();
        self.pull_all(host, missing).await;
    }

    /// What is not yet as the file says; a tag is asked for once. True when a version may have
    /// become active.
    pub(super) async fn pull(&mut self, host: &PluginHost, trust: &PluginTrust) -> bool {
        self.pulled
            .retain(|name, _| trust.sources.contains_key(name));
        let changed = trust
            .sources
            .iter()
            .filter(|(name, source)| self.pulled.get(*name) != Some(*source));
        let changed = changed
            .map(|(name, source)| (name.clone(), source.clone()))
            .collect();
        self.pull_all(host, changed).await
    }

    /// What is not yet as these files say, verified under their trust, and not active. A version
    /// that can't be had is logged and left out: a registry that is down holds up no other
    /// change.
    pub(super) async fn stage(
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
        let mut stages = stream::iter(stages).buffer_unordered(AT_ONCE);
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

    /// The files are in use.
    pub(super) fn taken_over(&mut self, trust: &PluginTrust, pulled: Vec<(String, String)>) {
        self.pulled
            .retain(|name, _| trust.sources.contains_key(name));
        self.pulled.extend(pulled);
    }

    async fn pull_all(&mut self, host: &PluginHost, wanted: Vec<(String, String)>) -> bool {
        let pulls = wanted.into_iter().map(|(name, source)| async move {
            let answer = host.pull_source(&source, &name, BY).await;
            (name, source, answer)
        });
        let mut pulls = stream::iter(pulls).buffer_unordered(AT_ONCE);
        let mut changed = false;
        while let Some((name, source, answer)) = pulls.next().await {
            match answer {
                Ok(entry) => {
                    tracing::info!(
                        plugin = name,
                        source,
                        version = entry.as_ref().map(|entry| entry.version.as_str()),
                        digest = entry.as_ref().map(|entry| entry.digest.as_str()),
                        "a plugin is as its source says"
                    );
                    self.pulled.insert(name, source);
                    changed = true;
                }
                Err(refusal) => not_pulled(&name, &source, &refusal.to_string()),
            }
        }
        changed
    }
}

/// What the files say is checked with the files; what was made over the API has to go on as it is.
async fn accepted_by_services(
    host: &PluginHost,
    registry: &Registry,
    plugin: StagedPlugin,
) -> Result<StagedPlugin, String> {
    for usage in registry.settings_using(&plugin.info().name) {
        let is_meant = usage.origin == Origin::Api && usage.kind == plugin.kind();
        if is_meant && let Err(faults) = host.check_settings_staged(&plugin, &usage.settings).await
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

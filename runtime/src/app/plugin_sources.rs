//! Plugins that `plugins.yaml` keeps in a registry: pulled at the start, and when the file says something else. A pull that fails
//! leaves the version that is there, and is told.

use std::collections::BTreeMap;

use futures::StreamExt;
use futures::stream;

use crate::domain::PluginTrust;
use crate::plugin_host::PluginHost;

/// At the same time; a start should not be a storm at the registry.
const AT_ONCE: usize = 4;

/// [`crate::plugin_host::PluginEntry::by`] of what came so.
const BY: &str = "plugins.yaml";

#[derive(Default)]
pub(super) struct PluginSources {
    /// By plugin: the reference that was pulled last.
    pulled: BTreeMap<String, String>,
}

impl PluginSources {
    /// Before the services are checked, which may name one: those of which there is no version at all. A start waits for
    /// nothing else, as a registry may be down.
    pub(super) async fn pull_missing(&mut self, host: &PluginHost, trust: &PluginTrust) {
        let missing = trust.sources.iter().filter(|(name, _)| host.get(name).is_none());
        let missing = missing.map(|(name, source)| (name.clone(), source.clone())).collect();
        self.pull_all(host, missing).await;
    }

    /// What is not yet as the file says; a tag is asked for once. True when a version may have become active.
    pub(super) async fn pull(&mut self, host: &PluginHost, trust: &PluginTrust) -> bool {
        self.pulled.retain(|name, _| trust.sources.contains_key(name));
        let changed = trust.sources.iter().filter(|(name, source)| self.pulled.get(*name) != Some(*source));
        let changed = changed.map(|(name, source)| (name.clone(), source.clone())).collect();
        self.pull_all(host, changed).await
    }

    async fn pull_all(&mut self, host: &PluginHost, wanted: Vec<(String, String)>) -> bool {
        let pulls = wanted.into_iter().map(|(name, source)| async move {
            let answer = host.pull(&source, Some(&name), BY).await;
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
                        version = entry.version,
                        digest = entry.digest,
                        "a plugin is as its source says"
                    );
                    self.pulled.insert(name, source);
                    changed = true;
                }
                Err(refusal) => tracing::error!(
                    plugin = name, source, %refusal,
                    "a plugin could not be pulled, what was active stays; it is tried again at the next change of the \
                     configuration and the next start"
                ),
            }
        }
        changed
    }
}

//! Replacing a plugin while it is in use: verify, keep, commit, swap. A version that fails any step never becomes active.

use std::sync::Arc;

use super::loader::{LoadedPlugin, Provenance, Refusal, Source, digest, refuse};
use super::versions::{Activation, BUNDLED};
use super::{Active, PluginEntry, PluginHost, SetupError, entry};
use crate::domain::now_ms;

impl PluginHost {
    /// `name`, where given, has to be what the component says of itself. Installing the active version again changes
    /// nothing.
    pub async fn install(&self, name: Option<&str>, bytes: bytes::Bytes, by: &str) -> Result<PluginEntry, Refusal> {
        let _one_at_a_time = self.shared.installing.lock().await;
        let provenance = Provenance { source: Source::Stored, since_ms: now_ms(), by: by.to_owned() };
        let candidate = self.shared.loader.load(&self.shared.runner, bytes.clone(), provenance).await?;
        if let Some(name) = name
            && name != candidate.info.name
        {
            return Err(refuse("name", format!("the component calls itself `{}`, not `{name}`", candidate.info.name)));
        }
        if let Some(active) = self.shared.active.load().get(&candidate.info.name)
            && active.digest == candidate.digest
        {
            return Ok(entry(active));
        }
        self.shared.components.put(&candidate.digest, bytes).await?;
        self.activate(candidate).await
    }

    /// Back to the version that was active before this one; twice is forth again. None: there is no earlier one.
    pub async fn rollback(&self, name: &str, by: &str) -> Result<Option<PluginEntry>, Refusal> {
        let _one_at_a_time = self.shared.installing.lock().await;
        let Some(active) = self.shared.active.load().get(name).cloned() else {
            return Err(refuse("name", format!("there is no plugin `{name}`")));
        };
        let log = self.shared.log.activations(Some(name)).await.map_err(|error| refuse("store", error))?;
        let earlier = log.into_iter().find(|activation| activation.digest != active.digest);
        let Some(earlier) = earlier else { return Ok(None) };
        let path = self.shared.components.path(&earlier.digest);
        let bytes = tokio::fs::read(&path).await.map_err(|error| {
            refuse("store", format!("can't read the earlier version `{}`: {error}", path.display()))
        })?;
        let provenance = Provenance { source: Source::Stored, since_ms: now_ms(), by: by.to_owned() };
        let candidate = self.shared.loader.load(&self.shared.runner, bytes.into(), provenance).await?;
        self.activate(candidate).await.map(Some)
    }

    /// The checks first, then the log, then the swap: after a crash the log decides.
    async fn activate(&self, candidate: LoadedPlugin) -> Result<PluginEntry, Refusal> {
        self.check_candidate(&candidate).await?;
        let outgoing = self.shared.active.load().get(&candidate.info.name).cloned();
        if let Some(outgoing) = &outgoing
            && let Source::Bundled(bytes) = outgoing.source
        {
            // So that there is something to go back to, even after the binary was replaced.
            self.shared.components.put(&outgoing.digest, bytes::Bytes::from_static(bytes)).await?;
            self.log(outgoing).await?;
        }
        self.log(&candidate).await?;
        let (name, kind, version) = (candidate.info.name.clone(), candidate.kind, candidate.info.version.clone());
        let candidate = Arc::new(candidate);
        self.shared.active.rcu(|active| {
            let mut active = Active::clone(active);
            active.insert(name.clone(), candidate.clone());
            active
        });
        self.shared.swaps.send_modify(|count| *count += 1);
        tracing::info!(
            plugin = name,
            kind = kind.as_str(),
            version,
            digest = candidate.digest,
            "plugin version is active"
        );
        Ok(entry(&candidate))
    }

    /// Whether it may take the place of the version that is active.
    pub(super) async fn check_candidate(&self, candidate: &LoadedPlugin) -> Result<(), Refusal> {
        let outgoing = self.shared.active.load().get(&candidate.info.name).cloned();
        if let Some(outgoing) = outgoing.filter(|outgoing| outgoing.kind != candidate.kind) {
            return Err(refuse(
                "name",
                format!(
                    "`{}` is a {}; the component is a {}, which needs another name",
                    candidate.info.name,
                    outgoing.kind.as_str(),
                    candidate.kind.as_str()
                ),
            ));
        }
        self.allowance(candidate).check_imports(&candidate.imports)?;
        self.check_in_use(candidate).await
    }

    async fn check_in_use(&self, candidate: &LoadedPlugin) -> Result<(), Refusal> {
        let in_use = (self.shared.in_use.load())(candidate.kind, &candidate.info.name);
        let mut refused = Vec::new();
        for user in &in_use {
            if let Err(faults) = self.check_against(candidate, &user.settings).await {
                let faults: Vec<String> =
                    faults.iter().map(|fault| format!("{} {}", fault.path, fault.message).trim().to_owned()).collect();
                refused.push(format!("{}: {}", user.owner, faults.join(", ")));
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        let more = refused.len().saturating_sub(5);
        refused.truncate(5);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        Err(refuse("settings", format!("does not accept settings that are in use: {}{more}", refused.join("; "))))
    }

    async fn log(&self, plugin: &LoadedPlugin) -> Result<(), Refusal> {
        let activation = Activation {
            name: plugin.info.name.clone(),
            kind: plugin.kind,
            version: plugin.info.version.clone(),
            digest: plugin.digest.clone(),
            by: plugin.by.clone(),
            ts_ms: plugin.since_ms,
        };
        self.shared.log.activate(activation).await.map_err(|error| refuse("store", error))
    }

    /// At the start: what was installed over the bundled plugins, or beside them. One that does not load any more leaves
    /// the bundled version active and says so.
    pub(super) async fn load_installed(&self) -> Result<(), SetupError> {
        let log = self.shared.log.activations(None).await.map_err(SetupError::Activations)?;
        let mut active = Active::clone(&self.shared.active.load());
        let mut seen = std::collections::HashSet::new();
        for activation in log {
            if !seen.insert(activation.name.clone()) || activation.by == BUNDLED {
                continue;
            }
            let path = self.shared.components.path(&activation.digest);
            let loaded = match tokio::fs::read(&path).await {
                Ok(bytes) if digest(&bytes) == activation.digest => {
                    let provenance =
                        Provenance { source: Source::Stored, since_ms: activation.ts_ms, by: activation.by.clone() };
                    self.shared.loader.load(&self.shared.runner, bytes.into(), provenance).await
                }
                Ok(_) => Err(refuse("store", format!("`{}` is not what was installed", path.display()))),
                Err(error) => Err(refuse("store", format!("can't read `{}`: {error}", path.display()))),
            };
            match loaded {
                Ok(loaded) => {
                    active.insert(loaded.info.name.clone(), Arc::new(loaded));
                }
                Err(error) => tracing::error!(
                    plugin = activation.name, version = activation.version, digest = activation.digest, %error,
                    "an installed plugin does not load; the bundled version, if there is one, is active instead"
                ),
            }
        }
        self.shared.active.store(Arc::new(active));
        Ok(())
    }
}

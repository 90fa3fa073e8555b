//! Loads versions at the start: those of the program, those installed over them or beside them, and
//! the candidates on trial. The log decides which.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::shadow::{Shadow, ShadowMap};
use crate::domain::{PluginActivation, PluginRecord, UnixMillis, now_ms};
use crate::plugin_host::engine::bundled;
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::install_error::InstallStep;
use crate::plugin_host::run::Runner;
use crate::plugin_host::setup::SetupError;
use crate::plugin_host::versions::Versions;
use crate::plugin_host::versions::active::Active;
use crate::plugin_host::versions::bundled::BundledPlugin;
use crate::plugin_host::versions::loader::{LoadedPlugin, Loader, Provenance, Source};
use crate::plugin_host::versions::log::BUNDLED;
use crate::plugin_host::versions::trial::{RolledBack, Trial};

/// Loads the bundled plugins at once: the first start compiles them, on as many cores as there are.
pub(in crate::plugin_host) async fn load_bundled(
    loader: &Loader,
    runner: &Runner,
    records: &[PluginRecord],
) -> Result<(Active, BTreeMap<String, BundledPlugin>), SetupError> {
    let started_ms = now_ms();
    let loads = bundled::bundled().plugins.iter().map(|(name, bytes)| async move {
        let component = ComponentBytes::new(Bytes::from_static(bytes));
        let (since_ms, by) = made_active(records, &component.digest).unwrap_or((started_ms, BUNDLED.to_owned()));
        let provenance = Provenance { source: Source::Bundled(bytes), since_ms, by };
        let loaded = loader.load(runner, component, provenance).await;
        match loaded {
            Ok(loaded) => Ok(Some((*bytes, with_history(loaded, records)))),
            // The operator's word, not a fault of the plugin.
            Err(refusal) if refusal.step == InstallStep::Pin => {
                tracing::error!(plugin = name, %refusal, "a plugin that is part of the program is not loaded");
                Ok(None)
            }
            Err(source) => Err(SetupError::Bundled { name, source }),
        }
    });
    let loaded = futures::future::try_join_all(loads).await?;
    let (mut active, mut bundled) = (Active::new(), BTreeMap::new());
    for (bytes, plugin) in loaded.into_iter().flatten() {
        let name = plugin.info.name.clone();
        bundled.insert(
            name.clone(),
            BundledPlugin {
                bytes,
                kind: plugin.kind,
                version: plugin.info.version.clone(),
                digest: plugin.digest.clone(),
                since_ms: started_ms,
            },
        );
        active.insert(name, Arc::new(plugin));
    }
    Ok((active, bundled))
}

/// Returns when and by whom a bundled version was made active again.
fn made_active(records: &[PluginRecord], digest: &str) -> Option<(UnixMillis, String)> {
    let newest = records
        .iter()
        .filter_map(|record| record.activations.first());
    let mut mine = newest.filter(|activation| activation.digest.as_deref() == Some(digest));
    mine.next()
        .map(|activation| (activation.activated_ms, activation.activated_by.clone()))
}

fn with_history(loaded: LoadedPlugin, records: &[PluginRecord]) -> LoadedPlugin {
    let is_newest = |record: &&PluginRecord| {
        let newest = record
            .activations
            .first()
            .and_then(|activation| activation.digest.as_ref());
        record.name == loaded.info.name && newest == Some(&loaded.digest)
    };
    let record = records.iter().find(is_newest);
    LoadedPlugin {
        rolled_back: record.and_then(RolledBack::newest),
        trial: record.and_then(|record| resumed(record.activations.first()?)),
        ..loaded
    }
}

/// Returns the trial that goes on after the restart.
fn resumed(activation: &PluginActivation) -> Option<Trial> {
    activation.trial.as_ref().map(Trial::resumed)
}

impl Versions {
    /// One that does not load any more leaves the bundled version of its name active, if there is
    /// one.
    pub(in crate::plugin_host) async fn load_installed(&self, records: &[PluginRecord]) {
        let mut active = Active::clone(&self.active.load());
        for record in records {
            let Some(activation) = record.activations.first() else {
                continue;
            };
            let Some(digest) = &activation.digest else {
                continue;
            };
            if activation.is_bundled && self.bundled.contains_key(&record.name) {
                continue;
            }
            match self
                .load_version(&record.name, digest, &activation.activated_by)
                .await
            {
                Ok(loaded) => {
                    let loaded = LoadedPlugin {
                        since_ms: activation.activated_ms,
                        rolled_back: RolledBack::newest(record),
                        trial: resumed(activation),
                        ..loaded
                    };
                    active.insert(record.name.clone(), Arc::new(loaded));
                }
                Err(error) => tracing::error!(
                    plugin = record.name, digest, %error,
                    "an installed plugin does not load; the bundled version, if there is one, is active instead"
                ),
            }
        }
        self.active.start_with(active);
    }

    /// A candidate that does not load any more is said and stays in the log, until it is discarded
    /// or loads again.
    pub(in crate::plugin_host) async fn load_shadows(&self, records: &[PluginRecord]) {
        let mut shadows = ShadowMap::new();
        for record in records {
            let Some(shadow) = &record.shadow else {
                continue;
            };
            match self
                .load_version(&record.name, &shadow.digest, &shadow.started_by)
                .await
            {
                Ok(loaded) if self.active.of_kind(loaded.kind, &record.name).is_some() => {
                    let candidate = LoadedPlugin {
                        since_ms: shadow.started_ms,
                        ..loaded
                    };
                    shadows.insert(
                        record.name.clone(),
                        Arc::new(Shadow::new(candidate, Duration::ZERO)),
                    );
                }
                Ok(_) => tracing::error!(
                    plugin = record.name,
                    digest = shadow.digest,
                    "there is no active version beside which the candidate could run"
                ),
                Err(error) => tracing::error!(
                    plugin = record.name, digest = shadow.digest, %error,
                    "the candidate does not load and is not run"
                ),
            }
        }
        self.shadows.start_with(shadows);
    }
}

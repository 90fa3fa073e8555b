//! At the start: what came with the program, what was installed over it or beside it, and the
//! candidates on trial. The log decides which.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::loader::{LoadedPlugin, Loader, Provenance, Source, digest};
use super::shadow::{Shadow, Shadows};
use super::trial::rolled_back;
use crate::domain::{PluginKind, PluginRecord, UnixMillis, now_ms};
use crate::plugin_host::engine::bundled;
use crate::plugin_host::run::Runner;
use crate::plugin_host::versions::history::BUNDLED;
use crate::plugin_host::{Active, PluginHost, SetupError};

/// A plugin of this program.
pub(in crate::plugin_host) struct BundledPlugin {
    pub(in crate::plugin_host) bytes: &'static [u8],
    pub(in crate::plugin_host) kind: PluginKind,
    pub(in crate::plugin_host) version: String,
    pub(in crate::plugin_host) digest: String,
    /// When the program started.
    pub(in crate::plugin_host) since_ms: UnixMillis,
}

/// At once: the first start compiles them, on as many cores as there are.
pub(in crate::plugin_host) async fn load_bundled(
    loader: &Loader,
    runner: &Runner,
    records: &[PluginRecord],
) -> Result<(Active, BTreeMap<String, BundledPlugin>), SetupError> {
    let started_ms = now_ms();
    let loads = bundled::bundled().plugins.iter().map(|(name, bytes)| async move {
        let (since_ms, by) = made_active(records, &digest(bytes)).unwrap_or((started_ms, BUNDLED.to_owned()));
        let provenance = Provenance { source: Source::Bundled(bytes), since_ms, by };
        let loaded = loader.load(runner, Bytes::from_static(bytes), provenance).await;
        match loaded {
            Ok(loaded) => Ok(Some((*bytes, with_history(loaded, records)))),
            // The operator's word, not a fault of the plugin.
            Err(refusal) if refusal.step == "pin" => {
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

/// Somebody went back to what came with the program.
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
    let rolled_back = records.iter().find(is_newest).and_then(rolled_back);
    LoadedPlugin {
        rolled_back,
        ..loaded
    }
}

impl PluginHost {
    /// One that does not load any more leaves the bundled version of its name active, if there is
    /// one.
    pub(in crate::plugin_host) async fn load_installed(&self, records: &[PluginRecord]) {
        let mut active = Active::clone(&self.shared.active.load());
        for record in records {
            let Some(activation) = record.activations.first() else {
                continue;
            };
            let Some(digest) = &activation.digest else {
                continue;
            };
            if activation.is_bundled && self.shared.bundled.contains_key(&record.name) {
                continue;
            }
            match self
                .load_version(&record.name, digest, &activation.activated_by)
                .await
            {
                Ok(loaded) => {
                    let loaded = LoadedPlugin {
                        since_ms: activation.activated_ms,
                        rolled_back: rolled_back(record),
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
        self.shared.active.store(Arc::new(active));
    }

    /// A candidate that does not load any more is said and stays in the log, until it is discarded
    /// or loads again.
    pub(in crate::plugin_host) async fn load_shadows(&self, records: &[PluginRecord]) {
        let mut shadows = Shadows::new();
        for record in records {
            let Some(shadow) = &record.shadow else {
                continue;
            };
            match self
                .load_version(&record.name, &shadow.digest, &shadow.started_by)
                .await
            {
                Ok(loaded) if self.plugin(loaded.kind, &record.name).is_some() => {
                    let candidate = LoadedPlugin {
                        since_ms: shadow.started_ms,
                        ..loaded
                    };
                    shadows.insert(record.name.clone(), Arc::new(Shadow::new(candidate)));
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
        self.shared.shadows.store(Arc::new(shadows));
    }
}

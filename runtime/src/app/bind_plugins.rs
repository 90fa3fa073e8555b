//! Which plugin versions are active is state: the control store keeps it.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::plugin_host::{Activation, ActivationLog};
use crate::store::ControlStore;

pub(super) struct ControlLog(pub(super) ControlStore);

impl ActivationLog for ControlLog {
    fn activations(&self, name: Option<&str>) -> BoxFuture<'_, Result<Vec<Activation>, String>> {
        let name = name.map(str::to_owned);
        async move {
            let stored = self.0.plugin_list().await.map_err(|error| error.to_string())?;
            let mut activations = Vec::new();
            for plugin in stored.into_iter().filter(|plugin| name.as_ref().is_none_or(|name| *name == plugin.name)) {
                for activation in plugin.activations {
                    let digest = activation.digest.unwrap_or_default();
                    let Some(version) = plugin.versions.iter().find(|version| version.digest == digest) else {
                        continue;
                    };
                    activations.push(Activation {
                        name: plugin.name.clone(),
                        kind: version.kind,
                        version: version.version.clone(),
                        digest,
                        by: activation.activated_by,
                        ts_ms: activation.activated_ms,
                    });
                }
            }
            Ok(activations)
        }
        .boxed()
    }

    fn activate(&self, activation: Activation) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let Activation { name, kind, version, digest, by, .. } = &activation;
            self.0.plugin_version_insert(name, *kind, version, digest, by).await.map_err(|error| error.to_string())?;
            self.0.plugin_activate(name, digest, by).await.map_err(|error| error.to_string())?;
            self.0
                .audit_append(by, "plugin.activate", name, &serde_json::json!({ "version": version, "digest": digest }))
                .await
                .map_err(|error| error.to_string())
        }
        .boxed()
    }
}

/// For checks without a server: nothing was ever installed, and what is now is forgotten.
pub(super) struct NoLog;

impl ActivationLog for NoLog {
    fn activations(&self, _name: Option<&str>) -> BoxFuture<'_, Result<Vec<Activation>, String>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn activate(&self, _activation: Activation) -> BoxFuture<'_, Result<(), String>> {
        async { Ok(()) }.boxed()
    }
}

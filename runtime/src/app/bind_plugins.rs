//! Which plugin versions are active is state: the control store keeps it.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::plugin_host::{Activation, ActivationLog, PluginHost};
use crate::registry::plugin_policy_read;
use crate::store::{ControlError, ControlStore};

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

/// What was said over the API about plugins, at the start. What this version can't read grants nothing and is told.
pub(super) async fn stored_policies(control: &ControlStore, host: &PluginHost) -> Result<(), ControlError> {
    for stored in control.plugin_policy_list().await? {
        match plugin_policy_read(&stored.policy) {
            Ok((_, policy)) => host.set_api_policy(&stored.name, Some(policy)),
            Err(faults) => {
                let faults: Vec<String> =
                    faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect();
                tracing::error!(
                    plugin = stored.name,
                    faults = faults.join("; "),
                    "the grants of a plugin can't be read, the defaults hold; say them again with `extrack plugin grants`"
                );
            }
        }
    }
    Ok(())
}

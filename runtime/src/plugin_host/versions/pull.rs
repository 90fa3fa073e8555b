//! From a reference to an installed plugin.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::plugin_host::policy::trust::Trust;
use crate::plugin_host::policy::trust::oci::{Client, Registry, Resolved};
use crate::plugin_host::policy::trust::reference::Reference;
use crate::plugin_host::versions::loader::{Refusal, digest, refuse};
use crate::plugin_host::{PluginEntry, PluginHost};

/// What the reference stands for: a few small answers.
const RESOLVE: Duration = Duration::from_secs(20);

/// All of it: 64 MiB over a slow line.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a reference stands for.
pub(in crate::plugin_host) enum Pulled {
    /// The version that is active already.
    Active(Box<PluginEntry>),
    Component {
        component: Bytes,
        signature: Option<String>,
    },
}

impl PluginHost {
    /// Pulls a component and its signature from an OCI registry and installs it. What is active
    /// already, or was installed before, is not downloaded again.
    pub async fn pull(
        &self,
        reference: &str,
        name: Option<&str>,
        by: &str,
    ) -> Result<PluginEntry, Refusal> {
        match self
            .pull_component(&self.shared.trust, reference, name)
            .await?
        {
            Pulled::Active(entry) => Ok(*entry),
            Pulled::Component {
                component,
                signature,
            } => self.install_signed(name, component, signature, by).await,
        }
    }

    /// As [`PluginHost::pull`], for a file that names the reference. A version that was rolled back
    /// by itself is not activated again so: then this answers with the one that is active.
    pub async fn pull_source(
        &self,
        reference: &str,
        name: &str,
        by: &str,
    ) -> Result<Option<PluginEntry>, Refusal> {
        match self
            .pull_component(&self.shared.trust, reference, Some(name))
            .await?
        {
            Pulled::Active(entry) => Ok(Some(*entry)),
            Pulled::Component { component, .. }
                if self.is_withdrawn(name, &digest(&component)).await? =>
            {
                Ok(self.get(name))
            }
            Pulled::Component {
                component,
                signature,
            } => self
                .install_signed(Some(name), component, signature, by)
                .await
                .map(Some),
        }
    }

    /// With a line in the log.
    pub(in crate::plugin_host) async fn is_withdrawn(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<bool, Refusal> {
        let Some(reason) = self
            .withdrawn(digest)
            .await
            .map_err(|error| refuse("store", error))?
        else {
            return Ok(false);
        };
        tracing::warn!(
            plugin = name,
            digest,
            reason,
            "a version that was rolled back by itself is not activated again; `extrack plugin rollback NAME --to DIGEST` does so"
        );
        Ok(true)
    }

    pub(in crate::plugin_host) async fn pull_component(
        &self,
        trust: &Trust,
        reference: &str,
        name: Option<&str>,
    ) -> Result<Pulled, Refusal> {
        let failed = |reason: String| refuse("pull", format!("`{reference}`: {reason}"));
        let parsed = Reference::parse(reference).map_err(|reason| refuse("pull", reason))?;
        let policy = trust.policy();
        let registry = Registry {
            net: &self.shared.net,
            access: policy.registries.get(&parsed.registry),
            deadline: Instant::now() + PATIENCE,
        };
        let mut client = Client::new(registry, &parsed);
        let resolved = tokio::time::timeout(RESOLVE, client.resolve());
        let resolved = resolved
            .await
            .map_err(|_| failed(format!("no answer within {} s", RESOLVE.as_secs())))?;
        let resolved = resolved.map_err(failed)?;
        if let Some(name) = name {
            trust.check_pin(name, &resolved.component)?;
            let active = self.shared.active.load();
            if let Some(active) = active
                .get(name)
                .filter(|active| active.digest == resolved.component)
            {
                return Ok(Pulled::Active(Box::new(self.entry(active))));
            }
        }
        let component = match self.stored(&resolved).await {
            Some(component) => component,
            None => client.component(&resolved).await.map_err(failed)?,
        };
        let signature = client.signature(&resolved).await.map_err(failed)?;
        Ok(Pulled::Component {
            component,
            signature,
        })
    }

    async fn stored(&self, resolved: &Resolved) -> Option<Bytes> {
        self.shared.components.read(&resolved.component).await.ok()
    }
}

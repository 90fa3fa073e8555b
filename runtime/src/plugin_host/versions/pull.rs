//! Pulls components from OCI registries.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::plugin_host::policy::install_error::{InstallError, InstallStep};
use crate::plugin_host::policy::trust::Trust;
use crate::plugin_host::policy::trust::oci::Resolved;
use crate::plugin_host::policy::trust::oci::{Client, Registry};
use crate::plugin_host::policy::trust::reference::Reference;
use crate::plugin_host::versions::Versions;
use crate::plugin_host::versions::entry::PluginEntry;

/// Time to resolve a reference: a few small answers.
const RESOLVE: Duration = Duration::from_secs(20);

/// All of it: 64 MiB over a slow line.
const PATIENCE: Duration = Duration::from_secs(120);

/// The version that a reference names.
pub(in crate::plugin_host) enum Pulled {
    /// The version that is active already.
    Active(Box<PluginEntry>),
    Component {
        component: Bytes,
        signature: Option<String>,
    },
}

impl Versions {
    /// Fails for a version that the program rolled back by itself, unless it was activated since.
    pub(in crate::plugin_host) async fn reject_withdrawn(
        &self,
        digest: &str,
    ) -> Result<(), InstallError> {
        let withdrawn = self.withdrawn(digest).await;
        match withdrawn.map_err(|error| InstallStep::Store.error(error))? {
            None => Ok(()),
            Some(reason) => Err(InstallStep::Withdrawn.error(format!(
                "the program rolled this version back by itself ({reason}); `extrack plugin rollback NAME --to DIGEST` \
                 or `extrack plugin install` activates it again"
            ))),
        }
    }

    pub(in crate::plugin_host) async fn pull_component(
        &self,
        trust: &Trust,
        reference: &str,
        name: Option<&str>,
    ) -> Result<Pulled, InstallError> {
        let failed = |reason: String| InstallStep::Pull.error(format!("`{reference}`: {reason}"));
        let parsed =
            Reference::parse(reference).map_err(|reason| InstallStep::Pull.error(reason))?;
        let policy = trust.policy();
        let registry = Registry {
            net: &self.net,
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
            if let Some(active) = self
                .active
                .get(name)
                .filter(|active| active.digest == resolved.component)
            {
                return Ok(Pulled::Active(Box::new(self.entry(&active))));
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
        let component = self.components.read(&resolved.component).await.ok()?;
        Some(component.bytes)
    }
}

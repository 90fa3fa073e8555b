//! The control store keeps which plugin versions there are, which are active, and what they may do.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::{PluginChange, PluginRecord};
use crate::plugin_host::{NotKept, PluginHost, VersionLog};
use crate::registry::plugin_policy_read;
use crate::store::{ControlError, ControlStore};

/// Log of plugin versions in the control store.
pub(in crate::app) struct ControlLog(pub(in crate::app) ControlStore);

impl VersionLog for ControlLog {
    fn plugins(&self, name: Option<&str>) -> BoxFuture<'_, Result<Vec<PluginRecord>, String>> {
        let name = name.map(str::to_owned);
        async move {
            self.0
                .plugin_list(name.as_deref())
                .await
                .map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn commit(&self, change: PluginChange) -> BoxFuture<'_, Result<(), NotKept>> {
        let not_kept = |error: ControlError| {
            if error.is_full() {
                NotKept::NoRoom(error.to_string())
            } else {
                NotKept::Failed(error.to_string())
            }
        };
        async move { self.0.plugin_change(&change).await.map_err(not_kept) }.boxed()
    }
}

/// Hands the host what was set over the API about plugins. What this version can't read grants
/// nothing and is logged.
pub(in crate::app) async fn load_api_policies(
    control: &ControlStore,
    host: &PluginHost,
) -> Result<(), ControlError> {
    for stored in control.plugin_policy_list().await? {
        match plugin_policy_read(&stored.policy) {
            Ok((_, policy)) => host.set_api_policy(&stored.name, Some(policy)),
            Err(faults) => {
                let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
                tracing::error!(
                    plugin = stored.name,
                    faults = faults.join("; "),
                    "the grants of a plugin can't be read, the defaults hold; set them again with `extrack plugin grants`"
                );
            }
        }
    }
    Ok(())
}

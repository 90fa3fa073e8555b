//! Which plugin versions are there and active is state: the control store keeps it.

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::domain::{PluginChange, PluginRecord};
use crate::plugin_host::{NotKept, PluginHost, VersionLog, Withdrawer};
use crate::registry::{Registry, plugin_policy_read};
use crate::store::{ControlError, ControlStore};

pub(super) struct ControlLog(pub(super) ControlStore);

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
        let not_kept = |error: ControlError| match error.is_full() {
            true => NotKept::NoRoom(error.to_string()),
            false => NotKept::Failed(error.to_string()),
        };
        async move { self.0.plugin_change(&change).await.map_err(not_kept) }.boxed()
    }
}

/// Versions that break from their first run on. Services are looked at again after each, as after
/// every other change.
pub(super) async fn roll_back(
    mut withdrawer: Withdrawer,
    registry: Registry,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            rolled_back = withdrawer.next() => if rolled_back.is_none() { return Ok(()) },
        }
        registry.recheck().await;
    }
}

/// What was said over the API about plugins, at the start. What this version can't read grants
/// nothing and is told.
pub(super) async fn stored_policies(
    control: &ControlStore,
    host: &PluginHost,
) -> Result<(), ControlError> {
    for stored in control.plugin_policy_list().await? {
        match plugin_policy_read(&stored.policy) {
            Ok((_, policy)) => host.set_api_policy(&stored.name, Some(policy)),
            Err(faults) => {
                let faults: Vec<String> = faults
                    .iter()
                    .map(|fault| format!("{}: {}", fault.pointer, fault.message))
                    .collect();
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

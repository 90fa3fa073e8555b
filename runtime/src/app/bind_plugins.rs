//! Which plugin versions are there and active is state: the control store keeps it.

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::domain::{PluginChange, PluginRecord};
use crate::plugin_host::VersionLog;
use crate::store::ControlStore;

pub(super) struct ControlLog(pub(super) ControlStore);

impl VersionLog for ControlLog {
    fn plugins(&self, name: Option<&str>) -> BoxFuture<'_, Result<Vec<PluginRecord>, String>> {
        let name = name.map(str::to_owned);
        async move { self.0.plugin_list(name.as_deref()).await.map_err(|error| error.to_string()) }.boxed()
    }

    fn commit(&self, change: PluginChange) -> BoxFuture<'_, Result<(), String>> {
        async move { self.0.plugin_change(&change).await.map_err(|error| error.to_string()) }.boxed()
    }
}

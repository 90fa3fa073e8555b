//! The log of versions: which are kept and which was active when. After a crash it decides.

use crate::domain::{PluginChange, PluginRecord};
use crate::store::ControlStore;

/// [`installed_by`](crate::domain::PluginVersion::installed_by) of plugins that are part of the
/// program.
pub const BUNDLED: &str = "bundled";

/// The actor of changes that the program makes by itself: deleting old versions, rolling back
/// versions that do not work.
pub(in crate::plugin_host) const PROGRAM: &str = "extrack";

/// Storage of versions and of decisions about them.
#[derive(Clone)]
pub struct VersionLog(Option<ControlStore>);

impl VersionLog {
    /// Returns the log that the control store keeps.
    pub fn of(store: ControlStore) -> Self {
        Self(Some(store))
    }

    /// Returns a log for work without a server: it starts empty and forgets every change.
    pub fn none() -> Self {
        Self(None)
    }

    /// Returns the record of one plugin, or of all.
    pub(in crate::plugin_host) async fn plugins(
        &self,
        name: Option<&str>,
    ) -> Result<Vec<PluginRecord>, String> {
        match &self.0 {
            Some(store) => store
                .plugin_list(name)
                .await
                .map_err(|error| error.to_string()),
            None => Ok(Vec::new()),
        }
    }

    /// Stores how many first runs of the active version broke; with none its trial is over.
    pub(in crate::plugin_host) async fn note_trial(
        &self,
        name: &str,
        digest: &str,
        broken: Option<u32>,
    ) -> Result<(), String> {
        match &self.0 {
            Some(store) => store
                .plugin_trial_note(name, digest, broken)
                .await
                .map_err(|error| error.to_string()),
            None => Ok(()),
        }
    }

    /// Stores a change whole or not at all; durable when it returns.
    pub(in crate::plugin_host) async fn commit(&self, change: PluginChange) -> Result<(), NotKept> {
        let Some(store) = &self.0 else {
            return Ok(());
        };
        store.plugin_change(&change).await.map_err(|error| {
            let reason = error.to_string();
            if error.is_full() {
                NotKept::NoRoom(reason)
            } else {
                NotKept::Failed(reason)
            }
        })
    }
}

/// Reasons why a change of versions was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin_host) enum NotKept {
    /// The disk is full.
    NoRoom(String),
    Failed(String),
}

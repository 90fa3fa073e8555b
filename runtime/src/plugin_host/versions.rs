//! The versions of plugins: loading and checking a component, installing, rolling back and trying
//! one beside the active version.

pub(super) mod active;
pub(super) mod bundled;
pub(super) mod changes;
pub(super) mod check;
pub(super) mod components;
pub(super) mod entry;
pub(super) mod grants;
pub(super) mod history;
pub(super) mod install;
pub(super) mod loader;
pub(super) mod local;
pub(super) mod log;
pub(super) mod pull;
pub(super) mod request;
pub(super) mod shadow;
pub(super) mod staging;
pub(super) mod start;
pub(super) mod sweep;
pub(super) mod trial;
pub(super) mod users;
pub(super) mod withdrawal;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use self::active::ActivePlugins;
use self::bundled::BundledPlugin;
use self::components::ComponentStore;
use self::entry::PluginEntry;
use self::loader::{LoadedPlugin, Loader};
use self::log::VersionLog;
use self::shadow::Shadows;
use self::trial::TrialNews;
use self::users::PluginUsers;
use super::calls::Calls;
use super::policy::install_error::{InstallError, InstallStep};
use super::policy::trust::Trust;
use crate::net::Net;

/// Parts that a change of versions needs.
pub(super) struct Versions {
    pub(super) loader: Loader,
    pub(super) components: ComponentStore,
    pub(super) trust: Arc<Trust>,
    pub(super) active: Arc<ActivePlugins>,
    pub(super) shadows: Arc<Shadows>,
    pub(super) bundled: BTreeMap<String, BundledPlugin>,
    pub(super) calls: Arc<Calls>,
    pub(super) users: Arc<PluginUsers>,
    pub(super) log: VersionLog,
    pub(super) net: Net,
    pub(super) versions_kept: usize,
    /// Held by one change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    /// Held until the withdrawer takes it.
    pub(super) trial_inbox: Mutex<Option<mpsc::Receiver<TrialNews>>>,
}

impl Versions {
    pub(super) fn entry(&self, plugin: &LoadedPlugin) -> PluginEntry {
        let shadow = self.shadows.get(&plugin.info.name);
        PluginEntry::of(plugin, shadow.map(|shadow| shadow.entry()))
    }

    fn active_version(&self, name: &str) -> Result<Arc<LoadedPlugin>, InstallError> {
        self.active
            .get(name)
            .ok_or_else(|| InstallStep::Name.error(format!("there is no plugin `{name}`")))
    }
}

//! The active version of every plugin, and the signals of what changed about them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::loader::LoadedPlugin;
use crate::domain::{PluginHealth, PluginKind, StoredRun, StoredRuns, UnixMillis, now_ms};

/// Versions by the name of their plugin.
pub(in crate::plugin_host) type Active = BTreeMap<String, Arc<LoadedPlugin>>;

/// The active versions. The map is replaced whole: a call in flight keeps the version it began
/// with.
#[derive(Default)]
pub(in crate::plugin_host) struct ActivePlugins {
    map: ArcSwap<Active>,
    /// Grows with each version that becomes active or is removed.
    swaps: watch::Sender<u64>,
    /// Grows with each swap, each change of a candidate, and each change of a plugin's health.
    changes: watch::Sender<u64>,
    /// Swaps of rules and changes of their candidates.
    rule_swaps: AtomicU64,
}

impl ActivePlugins {
    pub(in crate::plugin_host) fn load(&self) -> arc_swap::Guard<Arc<Active>> {
        self.map.load()
    }

    pub(in crate::plugin_host) fn get(&self, name: &str) -> Option<Arc<LoadedPlugin>> {
        self.map.load().get(name).cloned()
    }

    /// Returns the active version of a plugin of this kind.
    pub(in crate::plugin_host) fn of_kind(
        &self,
        kind: PluginKind,
        name: &str,
    ) -> Option<Arc<LoadedPlugin>> {
        self.get(name).filter(|plugin| plugin.kind == kind)
    }

    /// Sets all versions at once, while the host starts.
    pub(in crate::plugin_host) fn start_with(&self, active: Active) {
        self.map.store(Arc::new(active));
    }

    pub(in crate::plugin_host) fn insert(&self, plugin: Arc<LoadedPlugin>) {
        self.map.rcu(|active| {
            let mut active = Active::clone(active);
            active.insert(plugin.info.name.clone(), plugin.clone());
            active
        });
        self.note_swap(plugin.kind);
    }

    pub(in crate::plugin_host) fn remove(&self, name: &str, kind: PluginKind) {
        self.map.rcu(|active| {
            let mut active = Active::clone(active);
            active.remove(name);
            active
        });
        self.note_swap(kind);
    }

    fn note_swap(&self, kind: PluginKind) {
        self.swaps.send_modify(|count| *count += 1);
        self.note_candidate(kind);
    }

    /// Signals that a candidate beside a plugin of this kind came, changed or went.
    pub(in crate::plugin_host) fn note_candidate(&self, kind: PluginKind) {
        if kind == PluginKind::Rule {
            self.rule_swaps.fetch_add(1, Ordering::Relaxed);
        }
        self.note_change();
    }

    /// Signals that something shown about a plugin changed.
    pub(in crate::plugin_host) fn note_change(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(in crate::plugin_host) fn swaps(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }

    pub(in crate::plugin_host) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(in crate::plugin_host) fn rule_swaps(&self) -> u64 {
        self.rule_swaps.load(Ordering::Relaxed)
    }

    pub(in crate::plugin_host) fn health(&self, name: &str) -> Option<PluginHealth> {
        self.get(name).map(|plugin| plugin.health.shown(now_ms()))
    }

    /// Adds stored runs from before this start to the health of a version that is still active.
    /// `since_ms` is the oldest moment that was read back.
    pub(in crate::plugin_host) fn restore_health(
        &self,
        name: &str,
        digest: &str,
        since_ms: UnixMillis,
        groups: &[StoredRuns],
        last: Vec<StoredRun>,
    ) {
        let Some(plugin) = self.get(name).filter(|plugin| plugin.digest == digest) else {
            return;
        };
        let since_ms = since_ms.max(plugin.since_ms);
        if plugin.health.restore(since_ms, groups, last) {
            tracing::warn!(
                plugin = name,
                version = plugin.info.version,
                "the plugin was failing before the start"
            );
        }
    }
}

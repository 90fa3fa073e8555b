//! One component in an engine of its own, without a server: for authors of plugins. Loaded, called
//! and accounted by the same code as in the server; nothing is stored but compiled code.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{Grants, PluginPolicy, PluginRun, PluginTrust, RunIds, now_ms};
use crate::net::{HostRule, Net, NetError};
use crate::plugin_host::PluginHost;
use crate::plugin_host::engine::compile::Compiling;
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::grants::EffectiveGrants;
use crate::plugin_host::policy::install_error::InstallError;
use crate::plugin_host::programs::Programs;
use crate::plugin_host::recording::recordings::{RecordingFilter, Recordings};
use crate::plugin_host::setup::{Setup, SetupError};
use crate::plugin_host::versions::active::Active;
use crate::plugin_host::versions::entry::PluginEntry;
use crate::plugin_host::versions::loader::{LoadedPlugin, Provenance, Source};
use crate::plugin_host::versions::log::VersionLog;

/// Parts and settings of a local plugin.
pub struct LocalSetup {
    /// Folder for compiled code from call to call, at most a gigabyte; used by nothing else.
    pub folder: PathBuf,
    pub net: Net,
    /// An SMTP server is configured.
    pub has_mail: bool,
    pub compiling: Compiling,
    /// Called with the size of a component that has to be compiled, which may take a while.
    pub progress: fn(usize),
}

/// Accounts that wait to be taken; a benchmark takes them as it goes.
const RUNS_QUEUED: usize = 1_024;

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Refused(#[from] InstallError),
}

pub struct LocalPlugin {
    host: PluginHost,
    loaded: Arc<LoadedPlugin>,
    entry: PluginEntry,
    runs: mpsc::Receiver<PluginRun>,
}

impl LocalPlugin {
    /// All the steps of an installation but those that need a server: what is in use, and what was
    /// active before.
    pub async fn load(setup: LocalSetup, component: bytes::Bytes) -> Result<Self, LocalError> {
        let (accounts, runs) = mpsc::channel(RUNS_QUEUED);
        let setup_of_host = Setup {
            folder: setup.folder,
            compiling: setup.compiling,
            // The caller has chosen it.
            trust: PluginTrust::default(),
            net: setup.net,
            log: VersionLog::none(),
            versions_kept: 1,
            runs_memory_bytes: None,
            runs: accounts,
            recordings: Recordings::in_memory(),
            run_ids: RunIds::counting(),
            has_mail: setup.has_mail,
            programs: Programs::default(),
            credentials: None,
        };
        let host = PluginHost::empty(setup_of_host, setup.progress)?;
        let provenance = Provenance {
            source: Source::Stored,
            since_ms: now_ms(),
            by: "local".to_owned(),
        };
        let component = ComponentBytes::new(component);
        let loader = &host.versions.loader;
        let loaded = loader
            .load(&host.calls.runner, component, provenance)
            .await?;
        // A folder that can't be pruned only makes later calls slower.
        if let Err(error) = loader.compiler.cache().prune_shared() {
            tracing::debug!(%error, "the folder of compiled plugins can't be pruned");
        }
        let entry = PluginEntry::of(&loaded, None);
        let loaded = Arc::new(loaded);
        // Now, not within the deadline of the first call that evaluates something.
        if entry.imports.iter().any(|import| import.contains("/cel@")) {
            host.evaluator()
                .prepare()
                .await
                .map_err(SetupError::Evaluator)?;
        }
        let active = Active::from([(entry.name.clone(), loaded.clone())]);
        host.calls.active.start_with(active);
        Ok(Self {
            host,
            loaded,
            entry,
            runs,
        })
    }

    /// Returns the plugin and what it may do.
    pub(super) fn loaded(&self) -> (&LoadedPlugin, EffectiveGrants) {
        (&self.loaded, self.host.calls.grants_of(&self.loaded))
    }

    /// Has this plugin and no other.
    pub fn host(&self) -> &PluginHost {
        &self.host
    }

    pub fn entry(&self) -> &PluginEntry {
        &self.entry
    }

    /// Grants these hosts, as far as the plugin wants them. An error names the first that is none.
    pub fn allow_hosts(&self, hosts: &[String]) -> Result<(), NetError> {
        hosts
            .iter()
            .try_for_each(|host| HostRule::pattern(host).map(drop))?;
        let grants = Grants {
            hosts: hosts.to_vec(),
            ..Grants::default()
        };
        let policy = PluginPolicy {
            grants,
            ..PluginPolicy::default()
        };
        self.host
            .set_file_policies([(self.entry.name.clone(), policy)].into());
        Ok(())
    }

    /// The account of a run that has ended, oldest first; those that are not taken in time are
    /// dropped.
    pub fn account(&mut self) -> Option<PluginRun> {
        self.runs.try_recv().ok()
    }

    /// The last run that was recorded: all of `check`, `evaluate`, `notify`, `receive` and `read`
    /// are.
    pub async fn recording(&self) -> Option<Vec<u8>> {
        let last = self
            .host
            .recordings()
            .page(&RecordingFilter::default(), None, 1)
            .pop()?;
        self.host
            .recordings()
            .read(last.run.run_id)
            .await
            .ok()
            .flatten()
    }

    /// The accounts end when the last of the hosts is dropped.
    pub fn into_parts(self) -> (PluginHost, PluginEntry, mpsc::Receiver<PluginRun>) {
        (self.host, self.entry, self.runs)
    }
}

//! One component in an engine of its own, without a server: for whoever writes it. Loaded, called
//! and accounted by the same code as in the server; nothing is stored but compiled code.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::loader::{LoadedPlugin, Provenance, Refusal, Source};
use crate::domain::{Grants, PluginPolicy, PluginRun, PluginTrust, now_ms};
use crate::net::{HostRule, Net, NetError};
use crate::plugin_host::versions::history::NoLog;
use crate::plugin_host::{
    Active, Compiling, PluginEntry, PluginHost, RecordingFilter, Recordings, Setup, SetupError,
};

/// What it runs on.
pub struct LocalSetup {
    /// Keeps compiled code from call to call, at most a gigabyte; nobody else's folder.
    pub folder: PathBuf,
    pub net: Net,
    /// An SMTP server is configured.
    pub has_mail: bool,
    pub compiling: Compiling,
    /// Called with the size of a component that has to be compiled, which may take a while.
    pub progress: fn(usize),
}

/// Accounts nobody has taken yet; a benchmark takes them as it goes.
const RUNS_QUEUED: usize = 1_024;

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error(transparent)]
    Refused(#[from] Refusal),
}

pub struct LocalPlugin {
    host: PluginHost,
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
            // Whoever runs it here has chosen it.
            trust: PluginTrust::default(),
            net: setup.net,
            log: Arc::new(NoLog),
            versions_kept: 1,
            runs_memory_bytes: None,
            runs: accounts,
            recordings: Recordings::in_memory(),
            first_run_id: 1,
            has_mail: setup.has_mail,
        };
        let host = PluginHost::empty(setup_of_host, setup.progress)?;
        let provenance = Provenance {
            source: Source::Stored,
            since_ms: now_ms(),
            by: "local".to_owned(),
        };
        let loaded: LoadedPlugin = host
            .shared
            .loader
            .load(&host.shared.runner, component, provenance)
            .await?;
        // What is in the way of the disk is only slower to make again.
        if let Err(error) = host.shared.loader.compiler.cache().prune_shared() {
            tracing::debug!(%error, "the folder of compiled plugins can't be pruned");
        }
        let entry = host.entry(&loaded);
        // Now, not within the deadline of the first call that evaluates something.
        if entry.imports.iter().any(|import| import.contains("/cel@")) {
            host.evaluator()
                .prepare()
                .await
                .map_err(SetupError::Evaluator)?;
        }
        host.shared.active.store(Arc::new(Active::from([(
            entry.name.clone(),
            Arc::new(loaded),
        )])));
        Ok(Self { host, entry, runs })
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

    /// The last run that was recorded: all of `check`, `evaluate`, `notify` and `receive` are.
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

//! The configuration files while the program runs: read again when they change, all or nothing.
//! Files that would take away so much that it looks like an accident are held until they are
//! confirmed, also over a restart.

mod accept;
mod basis;
mod staged;
mod start;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{self, ConfigFiles, ConfigWatch, Environment, FileStamps, ParsedConfig};
use crate::domain::{AcceptRefusal, Configuration, ConfigurationStatus, StorageSettings, now_ms};
use crate::plugin_host::PluginHost;
use crate::plugin_sources::{PluginSources, StagedSources};
use crate::registry::Registry;
use crate::store::ControlStore;

pub use accept::ConfigHandle;
use accept::{AcceptRequest, REQUESTS_QUEUED};
pub use basis::Basis;
use staged::StagedDirectory;
pub use start::{StartConfiguration, StartDraft, start_with};

/// Actor of a change of the files, in the store.
const FILES: &str = "files";

/// Interval between attempts to keep what is in use for the next start.
const KEEP_INTERVAL: Duration = Duration::from_secs(15);

/// Reads of files that change while they are read; the watch reports the next change.
const MAX_READS: u32 = 5;

/// Interval between two of these reads.
const READ_INTERVAL: Duration = Duration::from_millis(200);

/// Follows the configuration files while the program runs.
pub struct ConfigReload {
    config_dir: PathBuf,
    host: PluginHost,
    registry: Registry,
    control: ControlStore,
    sources: PluginSources,
    /// Files in use.
    basis: Basis,
    state: watch::Sender<Arc<Configuration>>,
    /// Content of `storage.yaml`, for those who follow it.
    storage: watch::Sender<StorageSettings>,
    requests: mpsc::Receiver<AcceptRequest>,
}

impl ConfigReload {
    /// Returns it with the handle by which others see its state and confirm what is held.
    pub fn new(
        config_dir: PathBuf,
        host: &PluginHost,
        registry: &Registry,
        control: &ControlStore,
        sources: PluginSources,
        storage: watch::Sender<StorageSettings>,
        (basis, state): (Basis, Configuration),
    ) -> (Self, ConfigHandle) {
        let (state, seen) = watch::channel(Arc::new(state));
        let (sender, requests) = mpsc::channel(REQUESTS_QUEUED);
        let reload = Self {
            config_dir,
            host: host.clone(),
            registry: registry.clone(),
            control: control.clone(),
            sources,
            basis,
            state,
            storage,
            requests,
        };
        (reload, ConfigHandle::new(seen, sender))
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let mut watch = match ConfigWatch::start(&self.config_dir) {
            Ok(watch) => Some(watch),
            Err(error) => {
                let folder = self.config_dir.display();
                tracing::warn!(%error, %folder, "the configuration is not watched; restart after a change");
                None
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.begin() => {}
        }
        loop {
            let request = tokio::select! {
                () = stop.cancelled() => return,
                () = changed(&mut watch) => None,
                is_changed = secrets() => {
                    if !is_changed {
                        continue;
                    }
                    None
                }
                () = tokio::time::sleep(KEEP_INTERVAL), if !self.basis.is_kept() && self.is_in_use() => {
                    // Its error is logged.
                    let _ = self.basis.keep(&self.control, FILES).await;
                    continue;
                }
                Some(request) = self.requests.recv() => Some(request),
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.follow(request) => {}
            }
        }
    }

    fn is_in_use(&self) -> bool {
        self.state.borrow().status == ConfigurationStatus::InUse
    }

    /// Takes over what waited for the start, and what came between the first reading and the watch.
    async fn begin(&mut self) {
        let trust = self.host.trust();
        self.sources.pull(&self.host, &trust).await;
        let folder = self.config_dir.clone();
        let found = tokio::task::spawn_blocking(move || ConfigFiles::read(&folder).digest()).await;
        if found.is_ok_and(|digest| digest != self.state.borrow().digest) {
            self.follow(None).await;
        }
    }

    async fn follow(&mut self, request: Option<AcceptRequest>) {
        let confirmed = request
            .as_ref()
            .map(|request| (request.digest.as_deref(), request.by.as_str()));
        let looked = self.look(confirmed).await;
        if let Some(request) = request {
            // The caller may be gone; the state shows the same.
            let _ = request
                .answer
                .send(looked.map(|()| self.state.borrow().clone()));
        }
    }

    /// Reads the files and takes them over, or holds them. `confirmed`: they are to be taken over,
    /// whatever they remove, if they have this digest; and by whom.
    async fn look(&mut self, confirmed: Option<(Option<&str>, &str)>) -> Result<(), AcceptRefusal> {
        let draft = read(&self.config_dir).await;
        let digest = draft.files().digest();
        if let Some((Some(wanted), _)) = confirmed
            && wanted != digest
        {
            return Err(AcceptRefusal::Changed { found: digest });
        }
        if confirmed.is_none() && draft.is_sound() {
            let losses = self.basis.losses(&draft);
            if !losses.is_empty() {
                if self.set_state(ConfigurationStatus::Held, losses.clone(), digest) {
                    log_held(&losses);
                }
                return Ok(());
            }
        }
        let by = confirmed.map_or(FILES, |(_, by)| by);
        match self.take_over(draft).await {
            Ok(()) => {
                self.set_state(ConfigurationStatus::InUse, Vec::new(), digest);
                tracing::info!(by, "the configuration was read again");
                let kept = self.basis.keep(&self.control, by).await;
                // Without a confirmation no caller waits for it, and it is tried again.
                if confirmed.is_some() {
                    kept.map_err(AcceptRefusal::NotKept)
                } else {
                    Ok(())
                }
            }
            Err(faults) => {
                tracing::error!(
                    "the configuration has faults, the one before stays in use:\n{faults}"
                );
                let lines = faults.lines().map(str::to_owned).collect();
                self.set_state(ConfigurationStatus::Faulty, lines, digest);
                Err(AcceptRefusal::Faulty(faults))
            }
        }
    }

    /// Replaces files, plugin versions, policies and trust together. An error changes nothing.
    async fn take_over(&mut self, draft: ParsedConfig) -> Result<(), String> {
        let plugins = draft.plugins().clone();
        let basis = self.basis.next(&draft);
        let StagedSources {
            plugins: staged,
            pulled,
        } = if draft.is_sound() {
            self.sources
                .stage(&self.host, &self.registry, &plugins.trust)
                .await
        } else {
            StagedSources::default()
        };
        let directory = StagedDirectory::new(self.host.clone(), staged.clone());
        let loaded = draft
            .check(&directory)
            .await
            .map_err(|faults| faults.to_string())?;
        let prepared = self.registry.prepare(loaded.files, &directory).await;
        // The versions have one owner again.
        drop(directory);
        let staged = staged.into_values().collect();
        let taken = self
            .host
            .take_over(plugins.policies, plugins.trust.clone(), staged)
            .await;
        taken.map_err(|refusal| {
            format!("a plugin version of plugins.yaml can't become active: {refusal}")
        })?;
        prepared.publish();
        self.sources.taken_over(&plugins.trust, pulled);
        self.basis = basis;
        self.storage.send_if_modified(|storage| {
            let is_changed = *storage != loaded.storage;
            *storage = loaded.storage;
            is_changed
        });
        config::log_warnings(&loaded.warnings);
        Ok(())
    }

    /// Returns false if it is so already.
    fn set_state(&self, status: ConfigurationStatus, reasons: Vec<String>, digest: String) -> bool {
        self.state.send_if_modified(|state| {
            if (state.status, &state.reasons, &state.digest) == (status, &reasons, &digest) {
                return false;
            }
            *state = Arc::new(Configuration {
                status,
                reasons,
                digest,
                since_ms: now_ms(),
            });
            true
        })
    }
}

/// Reads the files until they hold still: one reading is checked, compared, taken over and kept.
async fn read(config_dir: &Path) -> ParsedConfig {
    let mut reads = 1;
    loop {
        let folder = config_dir.to_owned();
        let reading = tokio::task::spawn_blocking(move || {
            let before = FileStamps::of(&folder);
            let draft = config::read(&folder, &Environment::read(&folder));
            (draft, before == FileStamps::of(&folder))
        });
        let (draft, is_whole) = reading
            .await
            .expect("reading the configuration does not panic");
        if is_whole || reads == MAX_READS {
            return draft;
        }
        reads += 1;
        tokio::time::sleep(READ_INTERVAL).await;
    }
}

fn log_held(losses: &[String]) {
    let reasons = losses.join(", ");
    tracing::error!(
        reasons,
        "the configuration files would take away much of what is watched and are not taken over; the configuration before \
         stays in use until they are as before, or `extrack config accept` confirms them"
    );
}

async fn changed(watch: &mut Option<ConfigWatch>) {
    match watch {
        Some(watch) => watch.changed().await,
        None => std::future::pending().await,
    }
}

/// Waits until a program that writes a secret is due, and runs it. True: the secret is another one.
async fn secrets() -> bool {
    let Some(due) = config::secret_commands_due() else {
        return std::future::pending().await;
    };
    tokio::time::sleep_until(due.into()).await;
    let ran = tokio::task::spawn_blocking(config::secret_commands_refresh).await;
    ran.unwrap_or_default()
}

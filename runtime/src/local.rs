//! Work of the command line without a server: a plugin is run on what the server would give it, the
//! same engine, the same network and the operator's mail server; a configuration is checked.

mod check;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::alerts::history::{MAX_WHOLE, Reach, ServiceHistory};
use crate::config::{self, Environment};
use crate::domain::{History, Observation, PluginPolicy, UnixMillis};
use crate::net::Net;
use crate::plugin_host::{Compiling, ComponentCheck, LocalPlugin, LocalSetup};

pub use check::check_config;

/// Variable that names the folder for compiled code, in place of `extrack` in the user's
/// cache folder.
const CACHE: &str = "EXTRACK_CACHE";

/// Loads a component. Variables of the process and of `.env` in the working folder may name a mail
/// server, as for `serve`. `progress` is called with the size of a component that has to be
/// compiled first.
pub async fn load_plugin(component: bytes::Bytes, progress: fn(usize)) -> Result<LocalPlugin> {
    with_setup(progress, async |setup| {
        Ok(LocalPlugin::load(setup, component).await?)
    })
    .await
}

/// Returns whether a server with these policies would accept a component, as far as that is known
/// without one.
pub async fn check_plugin(
    component: bytes::Bytes,
    policies: BTreeMap<String, PluginPolicy>,
    progress: fn(usize),
) -> Result<ComponentCheck> {
    with_setup(progress, async |setup| {
        Ok(LocalPlugin::check(setup, component, policies).await?)
    })
    .await
}

/// Returns the network as the operator's settings have it.
pub fn network() -> Result<Net> {
    let (settings, _) = config::program_settings(&Environment::read(Path::new(".")));
    Ok(Net::new(settings.net())?)
}

async fn with_setup<T>(
    progress: fn(usize),
    work: impl AsyncFnOnce(LocalSetup) -> Result<T>,
) -> Result<T> {
    let environment = Environment::read(Path::new("."));
    let (settings, faults) = config::program_settings(&environment);
    for fault in &faults {
        tracing::warn!("{fault}");
    }
    let scratch = tempfile::tempdir().context("making a temporary folder")?;
    let folder = cache_folder().unwrap_or_else(|| scratch.path().to_owned());
    let (net, has_mail, compiling) = (
        Net::new(settings.net())?,
        settings.smtp.is_some(),
        Compiling::in_child(settings.compiling.in_foreground())?,
    );
    work(LocalSetup {
        folder,
        net,
        has_mail,
        compiling,
        progress,
    })
    .await
}

/// Returns a service's history as the alert engine would hand it to a rule that looks back this
/// far, and the moment of the evaluation: when the last run was due. `interval` is the time between
/// two runs.
pub fn history_of(
    observations: Vec<Observation>,
    look_back: Duration,
    interval: Duration,
) -> (Arc<dyn History>, UnixMillis) {
    let mut history = ServiceHistory::new(Reach {
        look_back,
        interval,
    });
    // Asked for before they come, so that they are kept.
    history.samples(MAX_WHOLE);
    for observation in observations {
        history.push(Arc::new(observation));
    }
    let now_ms = history.now_ms();
    (Arc::new(history), now_ms)
}

/// Links the cache of compiled code into a host's folder, which is otherwise its own; without it
/// everything is compiled anew.
fn keep_compiled(folder: &Path) {
    let Some(compiled) = cache_folder().map(|cache| cache.join("compiled")) else {
        return;
    };
    let linked = std::fs::create_dir_all(&compiled)
        .and_then(|()| std::os::unix::fs::symlink(&compiled, folder.join("compiled")));
    if let Err(error) = linked {
        tracing::debug!(%error, "compiled code is not kept");
    }
}

/// Returns the folder for what the command line keeps from call to call; none where the user has
/// none that can be written.
pub fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let users = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let folder = variable(CACHE).or_else(|| Some(users()?.join("extrack")))?;
    // Where the user has no folder that can be written, everything works, only more slowly.
    std::fs::create_dir_all(&folder).ok().map(|()| folder)
}

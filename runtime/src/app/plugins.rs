//! The plugin host, what installs into it, and what keeps account of its runs.

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use super::tasks::{Stage, Tasks};
use super::{Core, Options, recording};
use crate::config::Settings;
use crate::domain::{RunIds, ShadowRun, now_ms};
use crate::net::Net;
use crate::plugin_host::{
    Compiling, PluginHost, RUNS_QUEUED, Recordings, SettingsInUse, Setup, VersionLog,
};
use crate::plugin_sources::{PluginFolder, PluginSources};
use crate::registry::{Registry, plugin_policy_read};
use crate::reload::StartDraft;
use crate::store::{ControlError, ControlStore, ResultStore};

/// The host with what was installed at the start.
pub(super) struct Plugins {
    pub(super) host: PluginHost,
    pub(super) folder: PluginFolder,
    pub(super) sources: PluginSources,
    /// Runs of candidates on their way to the results.
    pub(super) compared: mpsc::Sender<ShadowRun>,
}

/// Starts the host with the policies and versions of the files, the API and the folder.
pub(super) async fn build(
    tasks: &mut Tasks,
    options: &Options,
    settings: &Settings,
    net: &Net,
    (control, results): (&ControlStore, &ResultStore),
    start: &StartDraft,
) -> Result<Plugins> {
    let (runs, accounted) = mpsc::channel(RUNS_QUEUED);
    let (to_compared, compared) = mpsc::channel(RUNS_QUEUED);
    let folder = options.data.join("recordings");
    let (recordings, writer) =
        tokio::task::spawn_blocking(move || Recordings::open(folder)).await?;
    recording::start_recorders(tasks, results.clone(), accounted, compared, writer);
    let configured = start.draft.plugins();
    let host = PluginHost::start(Setup {
        folder: options.data.join("plugins"),
        compiling: Compiling::in_child(settings.compiling)?,
        trust: configured.trust.clone(),
        net: net.clone(),
        log: VersionLog::of(control.clone()),
        versions_kept: settings.plugin_versions_kept,
        runs_memory_bytes: settings.runs_memory_bytes,
        runs,
        recordings,
        run_ids: RunIds::after(results.first_run_id() - 1, RunIds::THIS_NODE, now_ms),
        has_mail: settings.smtp.is_some(),
        programs: settings.programs.clone(),
        credentials: Some(control.clone()),
    })
    .await?;
    host.set_file_policies(configured.policies.clone());
    load_api_policies(control, &host).await?;
    let mut folder = PluginFolder::new(options.plugins.clone(), host.clone());
    folder.look_at_start().await;
    let mut sources = PluginSources::default();
    if start.draft.is_sound() {
        sources.pull_missing(&host, &configured.trust).await;
    }
    Ok(Plugins {
        host,
        folder,
        sources,
        compared: to_compared,
    })
}

/// Has the host check a candidate against the settings that are in use.
pub(super) fn guard_settings(host: &PluginHost, registry: &Registry) {
    let registry = registry.clone();
    host.set_in_use(Box::new(move |kind, name| {
        let uses = registry.settings_using(name).into_iter();
        uses.filter(|usage| usage.kind == kind)
            .map(|usage| SettingsInUse {
                owner: usage.owner,
                settings: usage.settings,
                service: usage.service,
            })
            .collect()
    }));
}

/// Starts what tries candidates, what rolls versions back, and what checks services again after
/// either.
pub(super) fn start(
    tasks: &mut Tasks,
    core: &Core,
    compared: mpsc::Sender<ShadowRun>,
) -> Result<()> {
    let shadows = core
        .host
        .shadow_runner()
        .context("the queue of candidates' runs is taken")?;
    tasks.spawn(Stage::Monitoring, "shadow runner", |stop| {
        shadows.run(compared, stop)
    });
    let withdrawer = core
        .host
        .withdrawer()
        .context("the queue of roll-backs is taken")?;
    tasks.spawn(Stage::Monitoring, "plugin rollbacks", |stop| {
        withdrawer.run(stop)
    });
    let (registry, swaps) = (core.registry.clone(), core.host.swaps());
    tasks.spawn(Stage::Monitoring, "services recheck", |stop| {
        registry.follow_swaps(swaps, stop)
    });
    let registry = core.registry.clone();
    tasks.spawn(Stage::Monitoring, "pauses", |stop| {
        registry.follow_pauses(stop)
    });
    Ok(())
}

/// Hands the host what was set over the API about plugins. What this version can't read grants
/// nothing and is logged.
async fn load_api_policies(control: &ControlStore, host: &PluginHost) -> Result<(), ControlError> {
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

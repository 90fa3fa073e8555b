//! Starting, promoting and discarding a candidate.

use std::time::Duration;

use super::Shadow;
use super::run::look_back_in_use;
use crate::domain::{ActivationReason, PluginKind, PluginStep, now_ms};
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};
use crate::plugin_host::versions::Versions;
use crate::plugin_host::versions::changes::is_active_already;
use crate::plugin_host::versions::entry::PluginEntry;
use crate::plugin_host::versions::history::version_of;

impl Versions {
    pub(in crate::plugin_host) async fn shadow_now(
        &self,
        name: Option<&str>,
        component: ComponentBytes,
        by: &str,
    ) -> Result<PluginEntry, InstallError> {
        let mut candidate = self.verify(name, component.clone(), by).await?;
        let name = &*candidate.name.clone();
        let active = self.active_version(name).map_err(|_| {
            InstallStep::Shadow.error(format!(
                "there is no active version of `{name}` to run beside; install this one instead"
            ))
        })?;
        match candidate.kind {
            PluginKind::Probe | PluginKind::Rule => {}
            PluginKind::Notifier => {
                return Err(InstallStep::Shadow.error(
                    "a notifier can't run beside another: every message would be sent twice",
                ));
            }
            PluginKind::Webhook => {
                return Err(InstallStep::Shadow.error(
                    "a webhook can't run beside another: a delivery is taken by one version",
                ));
            }
            PluginKind::Meter => {
                return Err(InstallStep::Shadow.error(
                    "a meter can't run beside another: the figures of a month are of one version",
                ));
            }
        }
        if candidate.digest == active.digest {
            return Err(is_active_already(name));
        }
        if let Some(shadow) = self.shadows.get(name)
            && shadow.plugin.digest == candidate.digest
        {
            return Ok(self.entry(&active));
        }
        self.check_candidate(&candidate).await?;
        let look_back = match candidate.kind {
            PluginKind::Rule => look_back_in_use(&self.calls, &self.users, &candidate).await?,
            _ => Duration::ZERO,
        };
        self.components
            .put(&candidate.digest, component.bytes)
            .await?;
        candidate.since_ms = now_ms();
        let step = PluginStep::Shadow {
            candidate: version_of(&candidate),
        };
        self.commit(name, by, Some(active.digest.clone()), step)
            .await?;
        tracing::info!(
            plugin = name,
            version = candidate.info.version,
            digest = candidate.digest,
            by,
            "a candidate runs beside the active version"
        );
        self.shadows.insert(name, Shadow::new(candidate, look_back));
        self.active.note_candidate(active.kind);
        self.prune(name).await;
        Ok(self.entry(&active))
    }

    pub(in crate::plugin_host) async fn promote_now(
        &self,
        name: &str,
        by: &str,
    ) -> Result<Option<PluginEntry>, InstallError> {
        let Some(shadow) = self.shadows.get(name) else {
            return Ok(None);
        };
        let candidate = self.load_version(name, &shadow.plugin.digest, by).await?;
        self.activate(candidate, None, ActivationReason::Promote)
            .await
            .map(Some)
    }

    pub(in crate::plugin_host) async fn discard_now(
        &self,
        name: &str,
        by: &str,
    ) -> Result<bool, InstallError> {
        // As the log has it: one that did not load at the start can be discarded too.
        let Some(shadow) = self.record(name).await?.shadow else {
            return Ok(false);
        };
        let active = self.active.get(name);
        let from = active.as_ref().map(|active| active.digest.clone());
        self.commit(
            name,
            by,
            from,
            PluginStep::Discard {
                digest: shadow.digest.clone(),
            },
        )
        .await?;
        self.shadows.remove(name);
        if let Some(active) = active {
            self.active.note_candidate(active.kind);
        }
        tracing::info!(
            plugin = name,
            digest = shadow.digest,
            by,
            "the candidate is discarded"
        );
        self.prune(name).await;
        Ok(true)
    }
}

//! Replacing a plugin while it is in use: verify, keep, commit, swap. A version that fails any step
//! never becomes active.

use std::sync::Arc;

use bytes::Bytes;

use super::trial::Trial;
use crate::domain::{ActivationReason, PluginStep, PluginVersion, now_ms};
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};
use crate::plugin_host::policy::trust::Trust;
use crate::plugin_host::versions::Versions;
use crate::plugin_host::versions::entry::PluginEntry;
use crate::plugin_host::versions::history::short;
use crate::plugin_host::versions::history::version_of;
use crate::plugin_host::versions::loader::{LoadedPlugin, Provenance, Source};
use crate::plugin_host::versions::trial::RolledBack;

/// Users of a plugin that a refusal names.
const USERS_NAMED: usize = 5;

impl Versions {
    pub(in crate::plugin_host) async fn install_now(
        &self,
        name: Option<&str>,
        component: ComponentBytes,
        by: &str,
    ) -> Result<PluginEntry, InstallError> {
        let candidate = self.verify(name, component.clone(), by).await?;
        if let Some(active) = self.active.get(&candidate.info.name)
            && active.digest == candidate.digest
        {
            return Ok(self.entry(&active));
        }
        self.activate(candidate, Some(component.bytes), ActivationReason::Install)
            .await
    }

    pub(in crate::plugin_host) async fn rollback_now(
        &self,
        name: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<Option<PluginEntry>, InstallError> {
        let active = self.active_version(name)?;
        let record = self.record(name).await?;
        let target = match to {
            None => self.previous(&record, &active.digest),
            Some(to) => Some(self.named(&record, to)?),
        };
        let Some(target) = target else {
            return Ok(None);
        };
        if target == active.digest {
            return Ok(Some(self.entry(&active)));
        }
        let candidate = self.load_version(name, &target, by).await?;
        self.activate(candidate, None, ActivationReason::Rollback)
            .await
            .map(Some)
    }

    pub(in crate::plugin_host) async fn remove_now(
        &self,
        name: &str,
        by: &str,
    ) -> Result<Option<PluginEntry>, InstallError> {
        let active = self.active_version(name)?;
        match self.bundled.get(name).map(|bundled| bundled.digest.clone()) {
            Some(digest) if digest == active.digest => Err(InstallStep::Bundled.error(format!(
                "`{name}` is part of the program and can't be removed"
            ))),
            Some(digest) => {
                let bundled = self.load_version(name, &digest, by).await?;
                self.activate(bundled, None, ActivationReason::Remove)
                    .await
                    .map(Some)
            }
            None => {
                let users = self.users.of(active.kind, name);
                if !users.is_empty() {
                    let owners = users.into_iter().map(|user| user.owner).collect();
                    return Err(InstallStep::InUse
                        .error(format!("`{name}` is used by {}", listed(owners, ", "))));
                }
                self.commit(
                    name,
                    by,
                    Some(active.digest.clone()),
                    PluginStep::Deactivate,
                )
                .await?;
                self.shadows.remove(name);
                self.active.remove(name, active.kind);
                tracing::info!(plugin = name, by, "plugin is removed");
                self.prune(name).await;
                Ok(None)
            }
        }
    }

    /// Compiles it, looks at its imports and asks what it is.
    pub(in crate::plugin_host) async fn verify(
        &self,
        name: Option<&str>,
        component: ComponentBytes,
        by: &str,
    ) -> Result<LoadedPlugin, InstallError> {
        self.verify_under(&self.trust, name, component, by).await
    }

    /// The same under a trust that may not hold yet.
    pub(in crate::plugin_host) async fn verify_under(
        &self,
        trust: &Trust,
        name: Option<&str>,
        component: ComponentBytes,
        by: &str,
    ) -> Result<LoadedPlugin, InstallError> {
        let provenance = Provenance {
            source: Source::Stored,
            since_ms: now_ms(),
            by: by.to_owned(),
        };
        let mut candidate = self
            .loader
            .load_under(trust, &self.calls.runner, component, provenance)
            .await?;
        if let Some(name) = name
            && name != candidate.info.name
        {
            return Err(InstallStep::Name.error(format!(
                "the component calls itself `{}`, not `{name}`",
                candidate.info.name
            )));
        }
        if let Some(bundled) = self.bundled.get(&candidate.info.name)
            && bundled.digest == candidate.digest
        {
            candidate.source = Source::Bundled(bundled.bytes);
        }
        Ok(candidate)
    }

    /// The checks first, then the component, then the log, then the swap: after a crash the log
    /// decides.
    pub(in crate::plugin_host) async fn activate(
        &self,
        candidate: LoadedPlugin,
        bytes: Option<Bytes>,
        why: ActivationReason,
    ) -> Result<PluginEntry, InstallError> {
        self.check_candidate(&candidate).await?;
        self.activate_checked(candidate, bytes, why).await
    }

    pub(in crate::plugin_host) async fn activate_checked(
        &self,
        mut candidate: LoadedPlugin,
        bytes: Option<Bytes>,
        why: ActivationReason,
    ) -> Result<PluginEntry, InstallError> {
        let outgoing = self.active.get(&candidate.info.name);
        let bundled_before = match &outgoing {
            Some(outgoing) => self.keep_bundled(outgoing).await?,
            None => None,
        };
        let is_bundled = matches!(candidate.source, Source::Bundled(_));
        let kept = match candidate.source {
            Source::Bundled(bytes) => Some(Bytes::from_static(bytes)),
            Source::Stored => bytes,
        };
        if let Some(bytes) = kept {
            self.components.put(&candidate.digest, bytes).await?;
        }
        let name = candidate.info.name.clone();
        let warning = self.same_version(&candidate).await?;
        let ends_shadow = self
            .shadows
            .get(&name)
            .is_some_and(|shadow| shadow.plugin.digest == candidate.digest);
        candidate.since_ms = now_ms();
        candidate.trial = match why {
            ActivationReason::Install | ActivationReason::Promote => outgoing
                .as_ref()
                .filter(|outgoing| outgoing.health.works())
                .map(|outgoing| Trial::after(&outgoing.digest)),
            _ => None,
        };
        let gives_way = outgoing.as_ref().map(|outgoing| outgoing.digest.as_str());
        candidate.rolled_back = RolledBack::by(&why, gives_way, candidate.since_ms);
        let version = version_of(&candidate);
        let step = PluginStep::Activate {
            why,
            version,
            is_bundled,
            bundled_before,
            ends_shadow,
            trial_after: candidate
                .trial
                .as_ref()
                .map(|trial| trial.previous().to_owned()),
        };
        let from = outgoing.map(|outgoing| outgoing.digest.clone());
        self.commit(&name, &candidate.by, from, step).await?;
        let entry = self.swap(candidate, ends_shadow);
        self.prune(&name).await;
        if let Some(warning) = &warning {
            tracing::warn!(
                plugin = name,
                version = entry.version,
                digest = entry.digest,
                "{warning}"
            );
        }
        Ok(PluginEntry { warning, ..entry })
    }

    /// Keeps the component of a bundled version that is replaced, so that there is something to go
    /// back to, even after the program was replaced. Returns its version for the log.
    async fn keep_bundled(
        &self,
        outgoing: &LoadedPlugin,
    ) -> Result<Option<PluginVersion>, InstallError> {
        let Source::Bundled(bytes) = outgoing.source else {
            return Ok(None);
        };
        self.components
            .put(&outgoing.digest, Bytes::from_static(bytes))
            .await?;
        let bundled = self.bundled.get(&outgoing.info.name);
        Ok(bundled.map(|bundled| bundled.version(&outgoing.name)))
    }

    /// One version number for two components: what people call it by names neither.
    async fn same_version(&self, candidate: &LoadedPlugin) -> Result<Option<String>, InstallError> {
        let record = self.record(&candidate.info.name).await?;
        let version = &candidate.info.version;
        let is_other = |digest: &str| digest != candidate.digest;
        let stored = record
            .versions
            .iter()
            .filter(|other| other.is_kept && other.version == *version);
        let bundled = self
            .bundled
            .get(&record.name)
            .filter(|bundled| bundled.version == *version);
        let mut digests = stored
            .map(|other| other.digest.as_str())
            .chain(bundled.map(|other| other.digest.as_str()));
        Ok(digests.find(|digest| is_other(digest)).map(|digest| {
            format!(
                "{version} is also the version of another component (sha256 {}); raise the version with each change, so that it \
                 names one",
                short(digest)
            )
        }))
    }

    fn swap(&self, candidate: LoadedPlugin, ends_shadow: bool) -> PluginEntry {
        let candidate = Arc::new(candidate);
        let name = candidate.info.name.as_str();
        if ends_shadow {
            self.shadows.remove(name);
        }
        self.active.insert(candidate.clone());
        tracing::info!(
            plugin = name,
            kind = candidate.kind.as_str(),
            version = candidate.info.version,
            digest = candidate.digest,
            by = candidate.by,
            "plugin version is active"
        );
        self.entry(&candidate)
    }

    /// Whether it may take the place of the version that is active, or run beside it.
    pub(in crate::plugin_host) async fn check_candidate(
        &self,
        candidate: &LoadedPlugin,
    ) -> Result<(), InstallError> {
        if let Some(outgoing) = self.active.get(&candidate.info.name) {
            check_kind(candidate, &outgoing)?;
        }
        self.calls
            .grants_of(candidate)
            .check_imports(&candidate.imports)?;
        self.check_in_use(candidate).await
    }

    pub(in crate::plugin_host) async fn check_in_use(
        &self,
        candidate: &LoadedPlugin,
    ) -> Result<(), InstallError> {
        let in_use = self.users.of(candidate.kind, &candidate.info.name);
        let mut refused = Vec::new();
        for user in &in_use {
            if let Err(faults) = self
                .calls
                .check_against(candidate, &user.settings, user.service.as_ref())
                .await
            {
                let faults: Vec<String> = faults
                    .iter()
                    .map(|fault| {
                        format!("{} {}", fault.pointer, fault.message)
                            .trim()
                            .to_owned()
                    })
                    .collect();
                refused.push(format!("{}: {}", user.owner, faults.join(", ")));
            }
        }
        if refused.is_empty() {
            return Ok(());
        }
        Err(InstallStep::Settings.error(format!(
            "does not accept settings that are in use: {}",
            listed(refused, "; ")
        )))
    }
}

pub(in crate::plugin_host) fn check_kind(
    candidate: &LoadedPlugin,
    active: &LoadedPlugin,
) -> Result<(), InstallError> {
    if active.kind == candidate.kind {
        return Ok(());
    }
    let (name, is, other) = (
        &candidate.info.name,
        active.kind.as_str(),
        candidate.kind.as_str(),
    );
    Err(InstallStep::Name.error(format!(
        "`{name}` is a {is}; the component is a {other}, which needs another name"
    )))
}

/// The first few.
fn listed(mut texts: Vec<String>, between: &str) -> String {
    let more = texts.len().saturating_sub(USERS_NAMED);
    texts.truncate(USERS_NAMED);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }
    texts.join(between)
}

//! The versions of a plugin: which are kept, which one a roll-back goes to, which are too old to
//! keep.

use std::collections::HashSet;

use bytes::Bytes;

use crate::domain::{PluginChange, PluginRecord, PluginStep, PluginVersion, UnixMillis, now_ms};
use crate::plugin_host::engine::digest::ComponentBytes;
use crate::plugin_host::policy::install_error::{InstallError, InstallStep};
use crate::plugin_host::versions::Versions;
use crate::plugin_host::versions::loader::{LoadedPlugin, Provenance, Source};
use crate::plugin_host::versions::log::NotKept;
use crate::plugin_host::versions::log::PROGRAM;

/// Digits of a digest that are enough to name a version.
const DIGEST_DIGITS: usize = 8;

/// State of one version of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    Active,
    /// Candidate beside the active version.
    Shadow,
    /// A rollback goes to it.
    Previous,
    /// Part of the program, and not active.
    Bundled,
    Kept,
}

impl VersionState {
    pub fn as_str(self) -> &'static str {
        match self {
            VersionState::Active => "active",
            VersionState::Shadow => "shadow",
            VersionState::Previous => "previous",
            VersionState::Bundled => "bundled",
            VersionState::Kept => "kept",
        }
    }
}

/// One version, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionEntry {
    pub version: String,
    pub digest: String,
    pub state: VersionState,
    /// Part of this program: there without being installed.
    pub is_bundled: bool,
    pub size: u64,
    pub installed_ms: UnixMillis,
    pub installed_by: String,
    /// The last time it became active; none if it never was.
    pub active_since_ms: Option<UnixMillis>,
    /// `None` while it is active.
    pub active_until_ms: Option<UnixMillis>,
    pub activated_by: Option<String>,
    /// Reason why the program rolled it back by itself, unless it was activated since.
    pub withdrawn: Option<String>,
}

impl Versions {
    /// The versions of a plugin that can be made active, the one used last first. None: there is no
    /// such plugin.
    pub(in crate::plugin_host) async fn versions(
        &self,
        name: &str,
    ) -> Result<Option<Vec<VersionEntry>>, InstallError> {
        let record = self.record(name).await?;
        let active = self.active.get(name);
        let bundled = self.bundled.get(name);
        if record.versions.is_empty() && active.is_none() {
            return Ok(None);
        }
        let previous = active
            .as_ref()
            .and_then(|active| self.previous(&record, &active.digest));
        let shadow = self
            .shadows
            .get(name)
            .map(|shadow| shadow.plugin.digest.clone());
        let mut entries = Vec::new();
        for version in self.there(&record) {
            let is_bundled = bundled.is_some_and(|bundled| bundled.digest == version.digest);
            let active = active
                .as_deref()
                .filter(|active| active.digest == version.digest);
            let state = match &version.digest {
                _ if active.is_some() => VersionState::Active,
                digest if shadow.as_ref() == Some(digest) => VersionState::Shadow,
                digest if previous.as_ref() == Some(digest) => VersionState::Previous,
                _ if is_bundled => VersionState::Bundled,
                _ => VersionState::Kept,
            };
            let size = match bundled {
                Some(bundled) if is_bundled => bundled.bytes.len() as u64,
                _ => self.components.size(&version.digest).await,
            };
            entries.push(VersionEntry {
                state,
                is_bundled,
                size,
                ..entry_of(version, &record, active)
            });
        }
        let rank = |entry: &VersionEntry| {
            (
                entry.state == VersionState::Active,
                entry.active_since_ms.unwrap_or(0).max(entry.installed_ms),
            )
        };
        entries.sort_by_key(|entry| std::cmp::Reverse(rank(entry)));
        Ok(Some(entries))
    }

    /// Returns the versions that can be made active: those that are kept, and the bundled one.
    fn there(&self, record: &PluginRecord) -> Vec<PluginVersion> {
        let mut versions: Vec<PluginVersion> = record
            .versions
            .iter()
            .filter(|version| version.is_kept)
            .cloned()
            .collect();
        if let Some(bundled) = self.bundled.get(&record.name)
            && record
                .version(&bundled.digest)
                .is_none_or(|version| !version.is_kept)
        {
            versions.push(bundled.version(&record.name));
        }
        versions
    }

    /// The component of a version that is kept. None: there is none with this digest.
    pub(in crate::plugin_host) async fn component(
        &self,
        name: &str,
        digest: &str,
    ) -> Result<Option<Bytes>, InstallError> {
        if let Some(bundled) = self
            .bundled
            .get(name)
            .filter(|bundled| bundled.digest == digest)
        {
            return Ok(Some(Bytes::from_static(bundled.bytes)));
        }
        match self.record(name).await?.version(digest) {
            Some(version) if version.is_kept => {
                let component = self.components.read(digest).await?;
                Ok(Some(component.bytes))
            }
            _ => Ok(None),
        }
    }

    /// Whether this component ever was the active version of its plugin.
    pub(in crate::plugin_host) async fn was_active(&self, digest: &str) -> Result<bool, String> {
        let records = self.log.plugins(None).await?;
        let mut activations = records.iter().flat_map(|record| &record.activations);
        Ok(activations.any(|activation| activation.digest.as_deref() == Some(digest)))
    }

    pub(in crate::plugin_host) async fn record(
        &self,
        name: &str,
    ) -> Result<PluginRecord, InstallError> {
        let records = self
            .log
            .plugins(Some(name))
            .await
            .map_err(|error| InstallStep::Store.error(error))?;
        Ok(records.into_iter().next().unwrap_or_else(|| PluginRecord {
            name: name.to_owned(),
            versions: Vec::new(),
            activations: Vec::new(),
            shadow: None,
        }))
    }

    /// Verifies a version that is kept once more, as if it were installed anew.
    pub(in crate::plugin_host) async fn load_version(
        &self,
        name: &str,
        digest: &str,
        by: &str,
    ) -> Result<LoadedPlugin, InstallError> {
        let (source, component) = match self
            .bundled
            .get(name)
            .filter(|bundled| bundled.digest == digest)
        {
            Some(bundled) => (
                Source::Bundled(bundled.bytes),
                ComponentBytes {
                    bytes: Bytes::from_static(bundled.bytes),
                    digest: bundled.digest.clone(),
                },
            ),
            None => (Source::Stored, self.components.read(digest).await?),
        };
        let provenance = Provenance {
            source,
            since_ms: now_ms(),
            by: by.to_owned(),
        };
        let loaded = self
            .loader
            .load(&self.calls.runner, component, provenance)
            .await?;
        if loaded.info.name != name {
            return Err(InstallStep::Name.error(format!(
                "the component calls itself `{}` now, not `{name}`",
                loaded.info.name
            )));
        }
        Ok(loaded)
    }

    /// Where a roll-back goes: the version that was active last before this one, and is still
    /// there.
    pub(in crate::plugin_host) fn previous(
        &self,
        record: &PluginRecord,
        active: &str,
    ) -> Option<String> {
        let digests = record
            .activations
            .iter()
            .filter_map(|activation| activation.digest.as_ref());
        digests
            .filter(|digest| *digest != active)
            .find(|digest| self.is_there(record, digest))
            .cloned()
    }

    /// `wanted` is a version, or the first digits of a digest.
    pub(in crate::plugin_host) fn named(
        &self,
        record: &PluginRecord,
        wanted: &str,
    ) -> Result<String, InstallError> {
        let bundled = self.bundled.get(&record.name);
        let there = record.versions.iter().filter(|version| version.is_kept);
        let mut there: Vec<(&str, &str)> = there
            .map(|version| (version.digest.as_str(), version.version.as_str()))
            .collect();
        there.extend(bundled.map(|bundled| (bundled.digest.as_str(), bundled.version.as_str())));
        there.sort_unstable();
        there.dedup();
        let by_digest = |digest: &str| wanted.len() >= DIGEST_DIGITS && digest.starts_with(wanted);
        let found: Vec<&str> = there
            .iter()
            .filter(|(digest, version)| *version == wanted || by_digest(digest))
            .map(|(digest, _)| *digest)
            .collect();
        match found[..] {
            [digest] => Ok(digest.to_owned()),
            [] => Err(InstallStep::Version.error(format!(
                    "plugin `{}` has no version `{wanted}`; `extrack plugin versions {}` lists what is kept",
                    record.name, record.name
                ),
            )),
            _ => Err(InstallStep::Version.error(format!(
                    "`{wanted}` are {} components: {}; name one by its digest",
                    found.len(),
                    found
                        .iter()
                        .map(|digest| short(digest))
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            )),
        }
    }

    fn is_there(&self, record: &PluginRecord, digest: &str) -> bool {
        self.bundled
            .get(&record.name)
            .is_some_and(|bundled| bundled.digest == digest)
            || record
                .version(digest)
                .is_some_and(|version| version.is_kept)
    }

    /// Deletes the components of versions that are too old to keep. What may be needed stays,
    /// however old it is. That this fails is no reason to undo what went before.
    pub(in crate::plugin_host) async fn prune(&self, name: &str) {
        let kept = if self.active.load().contains_key(name) {
            self.versions_kept
        } else {
            0
        };
        let record = match self.record(name).await {
            Ok(record) => record,
            Err(error) => {
                return tracing::error!(plugin = name, %error, "old versions can't be looked up");
            }
        };
        let digests = self.too_old(&record, kept);
        if digests.is_empty() {
            return;
        }
        // The log first: what it calls kept is there, whenever the program ends.
        let step = PluginStep::Forget {
            digests: digests.clone(),
        };
        if let Err(error) = self.commit(name, PROGRAM, None, step).await {
            return tracing::error!(plugin = name, %error, "old versions can't be forgotten");
        }
        for digest in digests {
            tracing::info!(plugin = name, digest, "an old version is deleted");
            self.components.delete(&digest).await;
        }
        self.sweep_unneeded().await;
    }

    fn too_old(&self, record: &PluginRecord, kept: usize) -> Vec<String> {
        let active = self
            .active
            .get(&record.name)
            .map(|active| active.digest.clone());
        let needed: HashSet<String> = [
            active
                .as_ref()
                .and_then(|active| self.previous(record, active)),
            active,
            record.shadow.as_ref().map(|shadow| shadow.digest.clone()),
        ]
        .into_iter()
        .flatten()
        .chain(self.trust.pinned(&record.name))
        .collect();
        let mut versions: Vec<(bool, UnixMillis, &str)> = record
            .versions
            .iter()
            .filter(|version| version.is_kept)
            .map(|version| {
                let active_ms =
                    last_active_period(record, &version.digest).map_or(0, |period| period.since_ms);
                let digest = version.digest.as_str();
                (
                    needed.contains(digest),
                    active_ms.max(version.installed_ms),
                    digest,
                )
            })
            .collect();
        // What is needed counts first, then what was used last.
        versions.sort_unstable_by(|a, b| b.cmp(a));
        let old = versions
            .into_iter()
            .skip(kept)
            .filter(|(is_needed, ..)| !is_needed);
        old.map(|(.., digest)| digest.to_owned()).collect()
    }

    pub(in crate::plugin_host) async fn commit(
        &self,
        name: &str,
        by: &str,
        from: Option<String>,
        step: PluginStep,
    ) -> Result<(), InstallError> {
        let ts_ms = match &step {
            // The very moment that the version itself carries from now on.
            PluginStep::Activate { version, .. } => version.installed_ms,
            PluginStep::Shadow { candidate } => candidate.installed_ms,
            _ => now_ms(),
        };
        let change = PluginChange {
            name: name.to_owned(),
            by: by.to_owned(),
            ts_ms,
            from,
            step,
        };
        self.log.commit(change).await.map_err(|error| match error {
            NotKept::NoRoom(reason) => InstallStep::Room.error(reason),
            NotKept::Failed(reason) => InstallStep::Store.error(reason),
        })
    }
}

/// Enough of a digest for people.
pub(in crate::plugin_host) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// The last period in which a version was active.
struct ActivePeriod {
    since_ms: UnixMillis,
    until_ms: Option<UnixMillis>,
    by: String,
}

/// Returns a version that is kept, with when and by whom it was made active; `active` is given while
/// it is.
fn entry_of(
    version: PluginVersion,
    record: &PluginRecord,
    active: Option<&LoadedPlugin>,
) -> VersionEntry {
    let (since_ms, until_ms, by) = match active {
        Some(active) => (Some(active.since_ms), None, Some(active.by.clone())),
        None => match last_active_period(record, &version.digest) {
            Some(period) => (Some(period.since_ms), period.until_ms, Some(period.by)),
            None => (None, None, None),
        },
    };
    VersionEntry {
        state: VersionState::Kept,
        is_bundled: false,
        size: 0,
        active_since_ms: since_ms,
        active_until_ms: until_ms,
        activated_by: by,
        version: version.version,
        digest: version.digest,
        installed_ms: version.installed_ms,
        installed_by: version.installed_by,
        withdrawn: version.withdrawn.map(|withdrawn| withdrawn.reason),
    }
}

fn last_active_period(record: &PluginRecord, digest: &str) -> Option<ActivePeriod> {
    let at = record
        .activations
        .iter()
        .position(|activation| activation.digest.as_deref() == Some(digest))?;
    let activation = &record.activations[at];
    let until_ms = at
        .checked_sub(1)
        .map(|after| record.activations[after].activated_ms);
    Some(ActivePeriod {
        since_ms: activation.activated_ms,
        until_ms,
        by: activation.activated_by.clone(),
    })
}

/// A version as it is written down.
pub(in crate::plugin_host) fn version_of(plugin: &LoadedPlugin) -> PluginVersion {
    PluginVersion {
        name: plugin.info.name.clone(),
        kind: plugin.kind,
        version: plugin.info.version.clone(),
        digest: plugin.digest.clone(),
        installed_ms: plugin.since_ms,
        installed_by: plugin.by.clone(),
        is_kept: true,
        withdrawn: None,
    }
}

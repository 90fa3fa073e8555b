//! What becomes of trials: counts are kept, and versions whose first runs all broke are rolled back.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Versions;
use super::entry::PluginEntry;
use super::log::PROGRAM;
use super::trial::{TrialNews, Withdrawal};
use crate::domain::ActivationReason;
use crate::plugin_host::policy::install_error::InstallError;

/// Keeps the counts of trials and rolls back versions, one after the other.
pub struct Withdrawer {
    versions: Arc<Versions>,
    inbox: mpsc::Receiver<TrialNews>,
}

impl Withdrawer {
    /// Runs until the shutdown. Counts that wait then are still kept: the trial goes on after the
    /// next start.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let news = tokio::select! {
                () = shutdown.cancelled() => break,
                news = self.inbox.recv() => news,
            };
            match news {
                Some(TrialNews::Failed(withdrawal)) => self.withdraw(withdrawal).await,
                Some(TrialNews::Count {
                    name,
                    digest,
                    broken,
                }) => self.keep(&name, &digest, broken).await,
                None => return,
            }
        }
        while let Ok(news) = self.inbox.try_recv() {
            if let TrialNews::Count {
                name,
                digest,
                broken,
            } = news
            {
                self.keep(&name, &digest, broken).await;
            }
        }
    }

    async fn keep(&self, name: &str, digest: &str, broken: Option<u32>) {
        let kept = self.versions.log.note_trial(name, digest, broken).await;
        if let Err(error) = kept {
            tracing::warn!(
                plugin = name,
                digest,
                error,
                "the trial of a plugin version can't be kept; after a restart it goes on from the run before"
            );
        }
    }

    async fn withdraw(&self, withdrawal: Withdrawal) {
        let (name, digest, reason) = (
            withdrawal.name.clone(),
            withdrawal.digest.clone(),
            withdrawal.reason.clone(),
        );
        let withdrawn = self
            .versions
            .carry_out(|versions| async move { versions.withdraw_now(withdrawal).await });
        match withdrawn.await {
            Ok(Some(entry)) => tracing::error!(
                plugin = name,
                digest,
                reason,
                version = entry.version,
                "a new version of a plugin broke in all its first runs and is rolled back"
            ),
            Ok(None) => {}
            Err(error) => tracing::error!(
                plugin = name, digest, reason, %error,
                "a new version of a plugin broke in all its first runs and can't be rolled back"
            ),
        }
    }
}

impl Versions {
    /// Takes the queue of what becomes of trials; `None` when it was taken before.
    pub(in crate::plugin_host) fn withdrawer(self: &Arc<Self>) -> Option<Withdrawer> {
        let inbox = self
            .trial_inbox
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take()?;
        Some(Withdrawer {
            versions: self.clone(),
            inbox,
        })
    }

    /// Returns why the program rolled this component back by itself; `None` if it did not, or if the
    /// component was activated since.
    pub(in crate::plugin_host) async fn withdrawn(
        &self,
        digest: &str,
    ) -> Result<Option<String>, String> {
        let records = self.log.plugins(None).await?;
        let mut versions = records.into_iter().flat_map(|record| record.versions);
        let found = versions.find(|version| version.digest == digest);
        Ok(found
            .and_then(|version| version.withdrawn)
            .map(|withdrawn| withdrawn.reason))
    }

    async fn withdraw_now(
        &self,
        withdrawal: Withdrawal,
    ) -> Result<Option<PluginEntry>, InstallError> {
        let Withdrawal {
            name,
            digest,
            previous,
            reason,
        } = withdrawal;
        let active = self.active_version(&name)?;
        // Another change came first.
        if active.digest != digest {
            return Ok(None);
        }
        let candidate = self.load_version(&name, &previous, PROGRAM).await?;
        let version = active.info.version.clone();
        let why = ActivationReason::Withdraw { version, reason };
        self.activate(candidate, None, why).await.map(Some)
    }
}

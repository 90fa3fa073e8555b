//! Rolling back versions whose first runs all broke.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Versions;
use super::entry::PluginEntry;
use super::log::PROGRAM;
use super::trial::Withdrawal;
use crate::domain::ActivationReason;
use crate::plugin_host::policy::install_error::InstallError;

/// Rolls back versions, one after the other.
pub struct Withdrawer {
    versions: Arc<Versions>,
    inbox: mpsc::Receiver<Withdrawal>,
}

impl Withdrawer {
    /// Runs until the shutdown.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let withdrawal = tokio::select! {
                () = shutdown.cancelled() => return,
                withdrawal = self.inbox.recv() => withdrawal,
            };
            match withdrawal {
                Some(withdrawal) => self.withdraw(withdrawal).await,
                None => return,
            }
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
    /// Takes the queue of versions to roll back; `None` when it was taken before.
    pub(in crate::plugin_host) fn withdrawer(self: &Arc<Self>) -> Option<Withdrawer> {
        let inbox = self
            .withdrawal_inbox
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

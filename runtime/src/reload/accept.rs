//! The state of the configuration files as others see it, and the confirmation of what is held.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::config;
use crate::domain::{AcceptRefusal, Configuration, ConfigurationStatus};

/// Limit of confirmations that wait: one person at a time is enough.
pub(super) const REQUESTS_QUEUED: usize = 4;

pub(super) struct AcceptRequest {
    /// Digest of the files that somebody has looked at; none: as they are.
    pub(super) digest: Option<String>,
    pub(super) by: String,
    pub(super) answer: oneshot::Sender<Result<Arc<Configuration>, AcceptRefusal>>,
}

/// State of the configuration files for others, and the way to confirm what is held. Cheap to
/// clone.
#[derive(Clone)]
pub struct ConfigHandle {
    state: watch::Receiver<Arc<Configuration>>,
    requests: mpsc::Sender<AcceptRequest>,
}

impl ConfigHandle {
    pub(super) fn new(
        state: watch::Receiver<Arc<Configuration>>,
        requests: mpsc::Sender<AcceptRequest>,
    ) -> Self {
        Self { state, requests }
    }

    pub fn current(&self) -> Arc<Configuration> {
        self.state.borrow().clone()
    }

    /// Takes over the files as they are, whatever they remove. `digest`, where given, has to be
    /// theirs.
    pub async fn accept(
        &self,
        digest: Option<String>,
        by: &str,
    ) -> Result<Arc<Configuration>, AcceptRefusal> {
        let (answer, answered) = oneshot::channel();
        let request = AcceptRequest {
            digest,
            by: by.to_owned(),
            answer,
        };
        self.requests
            .send(request)
            .await
            .map_err(|_| AcceptRefusal::Stopping)?;
        answered.await.unwrap_or(Err(AcceptRefusal::Stopping))
    }

    /// Returns at most one warning. Nothing private: `/readyz` shows it to anyone.
    pub fn warnings(&self) -> Vec<String> {
        let current = self.current();
        let warning = match current.status {
            ConfigurationStatus::InUse => return Vec::new(),
            ConfigurationStatus::Held => {
                "the configuration files would take away much of what is watched and are held"
                    .to_owned()
            }
            ConfigurationStatus::Faulty => match faulty_files(&current.reasons).as_slice() {
                [] => "the configuration has faults".to_owned(),
                files => format!("the configuration has faults in {}", files.join(", ")),
            },
        };
        vec![format!(
            "{warning}; the configuration before stays in use (`extrack config show`)"
        )]
    }
}

#[cfg(test)]
impl ConfigHandle {
    /// Returns a handle of files that are held until they are accepted.
    pub(crate) fn held(held: Configuration) -> Self {
        let (state, seen) = watch::channel(Arc::new(held));
        let (sender, mut requests) = mpsc::channel::<AcceptRequest>(REQUESTS_QUEUED);
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                let held = state.borrow().clone();
                let answer = match request.digest {
                    Some(digest) if digest != held.digest => Err(AcceptRefusal::Changed {
                        found: held.digest.clone(),
                    }),
                    _ => Ok(Arc::new(Configuration {
                        status: ConfigurationStatus::InUse,
                        reasons: Vec::new(),
                        ..Configuration::clone(&held)
                    })),
                };
                let _ = request.answer.send(answer);
            }
        });
        Self::new(seen, sender)
    }
}

/// Returns the names of the files with faults, without what is wrong in them.
fn faulty_files(reasons: &[String]) -> Vec<String> {
    let is_named = |name: &&str| reasons.iter().any(|reason| reason.contains(*name));
    config::FILE_NAMES
        .iter()
        .copied()
        .filter(is_named)
        .map(|name| format!("`{name}`"))
        .collect()
}

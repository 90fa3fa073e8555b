//! How others see what became of the configuration files, and confirm what is held.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::parts::Configurations;
use crate::config;
use crate::domain::{AcceptRefusal, Configuration, ConfigurationStatus};

/// Confirmations that wait: one person at a time is enough.
pub(super) const REQUESTS_QUEUED: usize = 4;

pub(super) struct AcceptRequest {
    /// Of the files that somebody has looked at; none: as they are.
    pub(super) digest: Option<String>,
    pub(super) by: String,
    pub(super) answer: oneshot::Sender<Result<Arc<Configuration>, AcceptRefusal>>,
}

/// Cheap to clone.
#[derive(Clone)]
pub(in crate::app) struct ConfigHandle {
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

    /// At most one. Nothing private: `/readyz` shows it to anyone.
    pub(in crate::app) fn warnings(&self) -> Vec<String> {
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

/// Names of the files with faults, without what is wrong in them.
fn faulty_files(reasons: &[String]) -> Vec<String> {
    let is_named = |name: &&str| reasons.iter().any(|reason| reason.contains(*name));
    config::FILE_NAMES
        .iter()
        .copied()
        .filter(is_named)
        .map(|name| format!("`{name}`"))
        .collect()
}

impl Configurations for ConfigHandle {
    fn current(&self) -> Arc<Configuration> {
        self.state.borrow().clone()
    }

    fn accept<'a>(
        &'a self,
        digest: Option<String>,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Arc<Configuration>, AcceptRefusal>> {
        async move {
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
        .boxed()
    }
}

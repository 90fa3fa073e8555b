//! What new files are compared with: the configuration in use, which the control store keeps for
//! the next start.

use anyhow::Result;

use crate::config::{ConfigFiles, Draft, Outline};
use crate::store::ControlStore;

#[derive(Clone)]
pub(in crate::app) struct Basis {
    pub(super) files: ConfigFiles,
    pub(super) outline: Outline,
    /// Of what the store keeps; 0: nothing.
    pub(super) revision: i64,
    /// Digest of what the store keeps.
    pub(super) kept: Option<String>,
}

impl Basis {
    pub(super) fn losses(&self, draft: &Draft) -> Vec<String> {
        self.outline.losses(draft.outline())
    }

    pub(super) fn next(&self, draft: &Draft) -> Self {
        Self {
            files: draft.files().clone(),
            outline: draft.outline().clone(),
            ..self.clone()
        }
    }

    /// The store keeps what is in use.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.as_ref() == Some(&self.files.digest())
    }

    /// Writes it down for the next start. That it can't be is no harm while the program runs; the
    /// error says why.
    pub(in crate::app) async fn keep(
        &mut self,
        control: &ControlStore,
        by: &str,
    ) -> Result<(), String> {
        if self.is_kept() {
            return Ok(());
        }
        let digest = self.files.digest();
        match control
            .accepted_configuration_put(self.files.texts(), self.revision + 1, by)
            .await
        {
            Ok(()) => {
                self.revision += 1;
                self.kept = Some(digest);
                Ok(())
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::error!(
                    error,
                    "the configuration in use can't be kept for the next start, it is tried again"
                );
                Err(error)
            }
        }
    }
}

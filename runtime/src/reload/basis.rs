//! The configuration in use, with which new files are compared. The control store keeps it for the
//! next start.

use crate::config::{ConfigFiles, Outline, ParsedConfig};
use crate::store::ControlStore;

/// Files in use, and what the control store keeps of them.
#[derive(Clone)]
pub struct Basis {
    pub(super) files: ConfigFiles,
    pub(super) outline: Outline,
    /// Revision of what the store keeps; 0: nothing.
    pub(super) revision: i64,
    /// Digest of what the store keeps.
    pub(super) kept: Option<String>,
}

impl Basis {
    pub(super) fn losses(&self, draft: &ParsedConfig) -> Vec<String> {
        self.outline.losses(draft.outline())
    }

    pub(super) fn next(&self, draft: &ParsedConfig) -> Self {
        Self {
            files: draft.files().clone(),
            outline: draft.outline().clone(),
            ..self.clone()
        }
    }

    /// True if the store keeps what is in use.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.as_ref() == Some(&self.files.digest())
    }

    /// Keeps it for the next start. A failure is no harm while the program runs; it is logged and
    /// returned.
    pub async fn keep(&mut self, control: &ControlStore, by: &str) -> Result<(), String> {
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

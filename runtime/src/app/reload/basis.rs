//! What new files are compared with: the configuration in use, which the control store keeps for the next start.

use std::path::Path;

use anyhow::{Result, bail};

use super::log_held;
use crate::config::{self, ConfigFiles, Draft, Environment, Outline};
use crate::domain::{Configuration, ConfigurationStatus, now_ms};
use crate::store::ControlStore;

#[derive(Clone)]
pub(in crate::app) struct Basis {
    files: ConfigFiles,
    outline: Outline,
    /// Of what the store keeps; 0: nothing.
    revision: i64,
    /// Digest of what the store keeps.
    kept: Option<String>,
}

impl Basis {
    pub(super) fn losses(&self, draft: &Draft) -> Vec<String> {
        self.outline.losses(draft.outline())
    }

    pub(super) fn next(&self, draft: &Draft) -> Self {
        Self { files: draft.files().clone(), outline: draft.outline().clone(), ..self.clone() }
    }

    /// The store keeps what is in use.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.as_ref() == Some(&self.files.digest())
    }

    /// Writes it down for the next start. That it can't be is no harm while the program runs; the error says why.
    pub(in crate::app) async fn keep(&mut self, control: &ControlStore, by: &str) -> Result<(), String> {
        if self.is_kept() {
            return Ok(());
        }
        let digest = self.files.digest();
        match control.accepted_configuration_put(self.files.texts(), self.revision + 1, by).await {
            Ok(()) => {
                self.revision += 1;
                self.kept = Some(digest);
                Ok(())
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                tracing::error!(error, "the configuration in use can't be kept for the next start, it is tried again");
                Err(error)
            }
        }
    }
}

/// What the program starts with: the files that were found, or those that were in use before, where the found ones would
/// take away too much. `is_confirmed`: the found ones, in any case.
pub(in crate::app) async fn start_with(
    config_dir: &Path,
    found: Draft,
    control: &ControlStore,
    is_confirmed: bool,
) -> Result<(Draft, Basis, Configuration)> {
    let stored = match control.accepted_configuration_get().await {
        Ok(stored) => stored,
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(
                error,
                "the configuration of the last start can't be read, the files are not compared with it"
            );
            None
        }
    };
    let digest = found.files().digest();
    let state = |status, reasons| Configuration { status, reasons, digest: digest.clone(), since_ms: now_ms() };
    let revision = stored.as_ref().map_or(0, |stored| stored.revision);
    let before = stored.map(|stored| ConfigFiles::of(stored.files));
    let kept = before.as_ref().map(ConfigFiles::digest);
    let basis = |draft: &Draft| Basis {
        files: draft.files().clone(),
        outline: draft.outline().clone(),
        revision,
        kept: kept.clone(),
    };
    let Some(before) = before.filter(|_| !is_confirmed && found.is_sound()) else {
        let basis = basis(&found);
        return Ok((found, basis, state(ConfigurationStatus::InUse, Vec::new())));
    };
    let folder = config_dir.to_owned();
    let before =
        tokio::task::spawn_blocking(move || config::parse(&folder, before, &Environment::read(&folder))).await?;
    let losses = before.outline().losses(found.outline());
    if losses.is_empty() {
        let basis = basis(&found);
        return Ok((found, basis, state(ConfigurationStatus::InUse, Vec::new())));
    }
    if !before.is_sound() {
        bail!(
            "the files in `{}` would take away much of what was watched ({}), and what was watched before has faults by now; \
             put the files back, or confirm them with `--accept-config`",
            config_dir.display(),
            losses.join(", ")
        );
    }
    log_held(&losses);
    let basis = basis(&before);
    Ok((before, basis, state(ConfigurationStatus::Held, losses)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    async fn start(folder: &Path, control: &ControlStore, is_confirmed: bool) -> (usize, ConfigurationStatus) {
        let found = config::read(folder, &Environment::default());
        let (draft, mut basis, state) = start_with(folder, found, control, is_confirmed).await.unwrap();
        if state.status == ConfigurationStatus::InUse {
            basis.keep(control, "start").await.unwrap();
        }
        (draft.files().texts().len(), state.status)
    }

    #[tokio::test]
    async fn a_start_goes_on_with_what_was_in_use_until_what_is_left_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring).await.unwrap();
        let services = folder.path().join("services.yaml");
        assert_eq!(
            start(folder.path(), &control, false).await,
            (0, ConfigurationStatus::InUse),
            "nothing to compare with"
        );
        std::fs::write(&services, "services: [{name: a, baseUrl: \"https://a.example\"}]\n").unwrap();
        assert_eq!(start(folder.path(), &control, false).await, (1, ConfigurationStatus::InUse));
        std::fs::remove_file(&services).unwrap();
        for _ in 0..2 {
            assert_eq!(start(folder.path(), &control, false).await, (1, ConfigurationStatus::Held));
        }
        assert_eq!(start(folder.path(), &control, true).await, (0, ConfigurationStatus::InUse));
        assert_eq!(start(folder.path(), &control, false).await, (0, ConfigurationStatus::InUse), "it was confirmed");
    }

    #[tokio::test]
    async fn a_start_without_files_whose_copy_has_faults_by_now_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring).await.unwrap();
        let text = "services: [{name: a, baseUrl: \"https://${NOT_SET_ANY_MORE}\"}]\n".to_owned();
        let kept = [("services.yaml".to_owned(), text)].into();
        control.accepted_configuration_put(&kept, 1, "start").await.unwrap();
        let found = config::read(folder.path(), &Environment::default());
        let error = start_with(folder.path(), found, &control, false).await.err().expect("it is refused");
        assert!(error.to_string().contains("--accept-config"), "{error}");
    }
}

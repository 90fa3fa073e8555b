//! The configuration of a start: the files that were found, or the copy of those that were in use
//! before, where the found ones would take away too much or have faults.

use std::path::Path;

use anyhow::{Result, bail};

use super::basis::Basis;
use super::log_held;
use crate::config::{self, ConfigFiles, Environment, Faults, Loaded, ParsedConfig};
use crate::domain::{Configuration, ConfigurationStatus, now_ms};
use crate::plugin_host::PluginHost;
use crate::store::ControlStore;
use crate::store::control::AcceptedConfiguration;

/// Configuration of a start before the plugins have checked their settings.
pub struct StartDraft {
    pub draft: ParsedConfig,
    /// Digest of the files that were found.
    digest: String,
    basis: Basis,
    status: ConfigurationStatus,
    reasons: Vec<String>,
    /// The files that were found, if they have faults and the copy is used in their place.
    faulty: Option<ParsedConfig>,
    /// The copy, if the found files are to be used and differ from it.
    kept: Option<ConfigFiles>,
}

/// Configuration that the program starts with.
pub struct StartConfiguration {
    pub loaded: Loaded,
    pub basis: Basis,
    pub state: Configuration,
}

/// Chooses between the files that were found and the copy of those in use before. `is_confirmed`:
/// the found files are used in any case.
pub async fn start_with(
    config_dir: &Path,
    found: ParsedConfig,
    control: &ControlStore,
    is_confirmed: bool,
) -> Result<StartDraft> {
    let stored = accepted(control).await;
    let digest = found.files().digest();
    let revision = stored.as_ref().map_or(0, |stored| stored.revision);
    let before = stored.map(|stored| ConfigFiles::of(stored.files));
    let kept = before.as_ref().map(ConfigFiles::digest);
    let basis = |draft: &ParsedConfig| Basis {
        files: draft.files().clone(),
        outline: draft.outline().clone(),
        revision,
        kept: kept.clone(),
    };
    let in_use = |found: ParsedConfig, kept| StartDraft {
        digest: digest.clone(),
        basis: basis(&found),
        draft: found,
        status: ConfigurationStatus::InUse,
        reasons: Vec::new(),
        faulty: None,
        kept,
    };
    let Some(files) = before.filter(|files| !is_confirmed && files.digest() != digest) else {
        return Ok(in_use(found, None));
    };
    let before = parse(config_dir, files.clone()).await?;
    let mut losses = before.outline().losses(found.outline());
    losses.retain(|_| found.is_sound());
    if found.is_sound() && losses.is_empty() {
        return Ok(in_use(found, Some(files)));
    }
    if !before.is_sound() && !found.is_sound() {
        return Ok(in_use(found, None));
    }
    if !before.is_sound() {
        bail!(
            "the files in `{}` would take away much of what was watched ({}), and what was watched before has faults by now; \
             put the files back, or confirm them with `--accept-config`",
            config_dir.display(),
            losses.join(", ")
        );
    }
    let (status, faulty) = if found.is_sound() {
        log_held(&losses);
        (ConfigurationStatus::Held, None)
    } else {
        (ConfigurationStatus::Faulty, Some(found))
    };
    Ok(StartDraft {
        digest,
        basis: basis(&before),
        draft: before,
        status,
        reasons: losses,
        faulty,
        kept: None,
    })
}

/// Returns the copy that the store keeps. That it can't be read is logged.
async fn accepted(control: &ControlStore) -> Option<AcceptedConfiguration> {
    match control.accepted_configuration_get().await {
        Ok(stored) => stored,
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(
                error,
                "the configuration of the last start can't be read, the files are not compared with it"
            );
            None
        }
    }
}

async fn parse(config_dir: &Path, files: ConfigFiles) -> Result<ParsedConfig> {
    let folder = config_dir.to_owned();
    Ok(tokio::task::spawn_blocking(move || {
        config::parse(&folder, files, &Environment::read(&folder))
    })
    .await?)
}

impl StartDraft {
    /// Has the plugins check their settings. The copy takes the place of found files with faults
    /// that only plugins see.
    pub async fn check(self, config_dir: &Path, host: &PluginHost) -> Result<StartConfiguration> {
        let Self {
            draft,
            digest,
            basis,
            status,
            mut reasons,
            faulty,
            kept,
        } = self;
        if let Some(faulty) = faulty
            && let Err(faults) = faulty.check(host).await
        {
            reasons = log_faults(&faults);
        }
        let state = |status, reasons| Configuration {
            status,
            reasons,
            digest,
            since_ms: now_ms(),
        };
        let faults = match draft.check(host).await {
            Ok(loaded) => {
                return Ok(StartConfiguration {
                    loaded,
                    basis,
                    state: state(status, reasons),
                });
            }
            Err(faults) => faults,
        };
        let Some(files) = kept else {
            return Err(faults.into());
        };
        let before = parse(config_dir, files).await?;
        let (basis, plugins) = (basis.next(&before), before.plugins().clone());
        let Ok(loaded) = before.check(host).await else {
            return Err(faults.into());
        };
        host.take_over(plugins.policies, plugins.trust, Vec::new())
            .await?;
        let reasons = log_faults(&faults);
        Ok(StartConfiguration {
            loaded,
            basis,
            state: state(ConfigurationStatus::Faulty, reasons),
        })
    }
}

/// Logs the faults and returns them line by line.
fn log_faults(faults: &Faults) -> Vec<String> {
    let faults = faults.to_string();
    tracing::error!(
        "the configuration has faults, the program starts with the files that were in use before:\n{faults}"
    );
    faults.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    async fn start(
        folder: &Path,
        control: &ControlStore,
        is_confirmed: bool,
    ) -> (usize, ConfigurationStatus) {
        let found = config::read(folder, &Environment::default());
        let mut start = start_with(folder, found, control, is_confirmed)
            .await
            .unwrap();
        if start.status == ConfigurationStatus::InUse {
            start.basis.keep(control, "start").await.unwrap();
        }
        (start.draft.files().texts().len(), start.status)
    }

    #[tokio::test]
    async fn a_start_goes_on_with_what_was_in_use_until_what_is_left_is_confirmed() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        let services = folder.path().join("services.yaml");
        assert_eq!(
            start(folder.path(), &control, false).await,
            (0, ConfigurationStatus::InUse),
            "nothing to compare with"
        );
        std::fs::write(
            &services,
            "services: [{name: a, baseUrl: \"https://a.example\"}]\n",
        )
        .unwrap();
        assert_eq!(
            start(folder.path(), &control, false).await,
            (1, ConfigurationStatus::InUse)
        );
        std::fs::remove_file(&services).unwrap();
        for _ in 0..2 {
            assert_eq!(
                start(folder.path(), &control, false).await,
                (1, ConfigurationStatus::Held)
            );
        }
        assert_eq!(
            start(folder.path(), &control, true).await,
            (0, ConfigurationStatus::InUse)
        );
        assert_eq!(
            start(folder.path(), &control, false).await,
            (0, ConfigurationStatus::InUse),
            "it was confirmed"
        );
    }

    #[tokio::test]
    async fn a_start_without_files_whose_copy_has_faults_explains_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        let text = "services: [{name: a, baseUrl: \"https://${NOT_SET_ANY_MORE}\"}]\n".to_owned();
        let kept = [("services.yaml".to_owned(), text)].into();
        control
            .accepted_configuration_put(&kept, 1, "start")
            .await
            .unwrap();
        let found = config::read(folder.path(), &Environment::default());
        let error = start_with(folder.path(), found, &control, false)
            .await
            .err()
            .expect("it is refused");
        assert!(error.to_string().contains("--accept-config"), "{error}");
    }

    #[tokio::test]
    async fn a_start_with_a_faulty_file_goes_on_with_the_copy_unless_there_is_none_or_it_is_not_wanted()
     {
        let folder = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, folder.path()).unwrap();
        let control = ControlStore::open(&folder.path().join("control.sqlite"), keyring)
            .await
            .unwrap();
        let services = folder.path().join("services.yaml");
        let faulty = "services: [{name: a, baseUrl: \"https://a.example\"\n";
        std::fs::write(&services, faulty).unwrap();
        let begin = async |is_confirmed| {
            let found = config::read(folder.path(), &Environment::default());
            start_with(folder.path(), found, &control, is_confirmed)
                .await
                .unwrap()
        };
        assert!(
            !begin(false).await.draft.is_sound(),
            "there is no copy: the faults end the start"
        );
        std::fs::write(
            &services,
            "services: [{name: a, baseUrl: \"https://a.example\"}]\n",
        )
        .unwrap();
        assert_eq!(
            start(folder.path(), &control, false).await,
            (1, ConfigurationStatus::InUse)
        );
        std::fs::write(&services, faulty).unwrap();
        let start = begin(false).await;
        assert_eq!(start.status, ConfigurationStatus::Faulty);
        assert!(start.draft.is_sound() && start.faulty.is_some_and(|found| !found.is_sound()));
        assert!(!begin(true).await.draft.is_sound(), "the files as they are");
    }
}

//! The two stores: opened in the data folder, and closed last.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow, bail};
use secrecy::SecretString;

use super::private_files;
use crate::archive;
use crate::config::{self, Environment, Settings};
use crate::domain::{SchemaChange, StorageSettings};
use crate::store::control::{ControlSettings, NewKey, Rotated};
use crate::store::results::{self, Compacted, SqlSettings, TableRows, TableSize, TierSettings};
use crate::store::{
    ControlStore, Keyring, ResultError, ResultSettings, ResultStore, SpoolSettings,
};

const CONTROL: &str = "control.sqlite";
pub(super) const RESULTS: &str = "results.duckdb";

/// Thread that writes the results.
pub(super) type ResultsWriter = JoinHandle<Result<(), ResultError>>;

/// Opens the control store. Beside filled results or components an empty one is one that was lost.
pub(super) async fn open_control(data: &Path, settings: &Settings) -> Result<ControlStore> {
    let keyring = Keyring::load(settings.encryption_key.clone(), data)?;
    let stored = ControlSettings {
        ballast_bytes: settings.control_ballast_mebibytes << 20,
        // Not `recordings`, which are of use to people alone and may come and go.
        filled_later: [RESULTS, "plugins"].map(|name| data.join(name)).to_vec(),
        accepts_loss: false,
    };
    Ok(ControlStore::open_with(&data.join(CONTROL), keyring, stored).await?)
}

/// Opens the control store as it is, whatever it lost, so that the next start takes it for the
/// right one.
pub async fn accept_store(data: &Path, config_dir: &Path) -> Result<()> {
    private_files::keep_private(data)
        .with_context(|| format!("reading the data folder `{}`", data.display()))?;
    let (environment, folder) = (Environment::read(config_dir), config_dir.to_owned());
    let draft = tokio::task::spawn_blocking(move || config::read(&folder, &environment)).await?;
    let keyring = Keyring::load(draft.settings().encryption_key.clone(), data)?;
    let accepting = ControlSettings {
        accepts_loss: true,
        ..ControlSettings::default()
    };
    let control = ControlStore::open_with(&data.join(CONTROL), keyring, accepting).await?;
    control.close().await;
    Ok(())
}

/// Seals the secrets in the control store of a program that does not run under a new key. `text` is
/// the one that `ENCRYPTION_KEY` will hold; none: the key file is replaced.
pub async fn rotate_key(
    data: &Path,
    config_dir: &Path,
    text: Option<SecretString>,
    former: Option<&Path>,
) -> Result<Rotated> {
    if !data.join(CONTROL).exists() {
        bail!(
            "there is no `{}`; name the data folder of the program with `--data`",
            data.join(CONTROL).display()
        );
    }
    private_files::keep_private(data)
        .with_context(|| format!("reading the data folder `{}`", data.display()))?;
    let environment = Environment::read(config_dir);
    let (settings, faults) = config::program_settings(&environment);
    if let Some(fault) = faults
        .iter()
        .find(|fault| fault.to_string().contains("ENCRYPTION_KEY"))
    {
        bail!("{fault}");
    }
    if settings.encryption_key.is_none() && text.is_some() {
        bail!(
            "the key is in `secret.key`, which gets a new one by itself; leave `--new-key-file` out"
        );
    }
    let control = open_control(data, &settings).await?;
    let new = text.map_or(NewKey::Made, NewKey::Given);
    let rotated = control.key_rotate(new, former).await;
    control.close().await;
    rotated?.context(
        "the key is in `ENCRYPTION_KEY`, so name a file with the new one: `--new-key-file FILE`",
    )
}

/// Reads both stores of a program that does not run from end to end, and returns the rows of the
/// results.
pub async fn check_stores(data: &Path) -> Result<TableRows> {
    let folder = data.to_owned();
    let rows = tokio::task::spawn_blocking(move || results::check(&folder)).await??;
    ControlStore::check(&data.join(CONTROL)).await?;
    Ok(rows)
}

/// Writes the results of a program that does not run anew.
pub async fn compact_results(data: &Path) -> Result<Compacted> {
    let folder = data.to_owned();
    Ok(tokio::task::spawn_blocking(move || results::compact(&folder)).await??)
}

/// Returns the room of the tables of a program that does not run.
pub async fn result_sizes(data: &Path) -> Result<Vec<TableSize>> {
    let folder = data.to_owned();
    Ok(tokio::task::spawn_blocking(move || results::sizes(&folder)).await??)
}

/// Versions of both stores before and after they are brought up to date.
#[derive(Debug, Clone, Copy)]
pub struct StoreMigration {
    pub control: SchemaChange,
    pub results: SchemaChange,
}

/// Brings the schemas of both stores of a program that does not run up to date; as a dry run it
/// only returns what that would do.
pub async fn migrate_stores(data: &Path, is_dry_run: bool) -> Result<StoreMigration> {
    let control = data.join(CONTROL);
    for file in [&control, &data.join(RESULTS)] {
        if !file.exists() {
            bail!(
                "there is no `{}`; name the data folder of the program with `--data`",
                file.display()
            );
        }
    }
    let folder = data.to_owned();
    // Both are looked at before one is changed.
    let planned = StoreMigration {
        control: ControlStore::migration(&control).await?,
        results: tokio::task::spawn_blocking(move || results::migration(&folder)).await??,
    };
    if is_dry_run {
        return Ok(planned);
    }
    let folder = data.to_owned();
    Ok(StoreMigration {
        results: tokio::task::spawn_blocking(move || results::migrate(&folder)).await??,
        control: ControlStore::migrate(&control).await?,
    })
}

/// Opens the results and starts their writer.
pub(super) async fn open_results(
    data: &Path,
    settings: &Settings,
    storage: &StorageSettings,
) -> Result<(ResultStore, ResultsWriter)> {
    let mut spool = SpoolSettings::new(spool_folder(settings, &data.join(CONTROL)));
    spool.max_bytes = settings.spool_bytes;
    let settings = ResultSettings {
        spool: Some(spool),
        tiers: TierSettings {
            retention: storage.tiers_kept(),
            ..TierSettings::default()
        },
        archive: Some(archive::folder_of(data, storage)),
        tables: storage.tables,
        sql: SqlSettings {
            sandbox: settings.sql_sandbox,
            ..SqlSettings::default()
        },
        ..ResultSettings::default()
    };
    let folder = data.to_owned();
    let (results, writer) =
        tokio::task::spawn_blocking(move || ResultStore::open(&folder, settings)).await??;
    Ok((results, writer.start()?))
}

/// Closes both. Rows that were given up are in the log; whatever else has to end well still does.
pub(super) async fn close(
    control: ControlStore,
    results: ResultStore,
    writer: ResultsWriter,
) -> Result<()> {
    let recorded = results.close().await;
    let written = tokio::task::spawn_blocking(move || writer.join()).await?;
    control.close().await;
    written
        .map_err(|_| anyhow!("the results writer panicked"))?
        .or(recorded)?;
    Ok(())
}

/// Returns a folder beside the real place of the control store: the data folder may be a link or a
/// mount, whose disk is the full one.
fn spool_folder(settings: &Settings, control_path: &Path) -> PathBuf {
    if let Some(folder) = &settings.spool_folder {
        return folder.clone();
    }
    let real = std::fs::canonicalize(control_path).unwrap_or_else(|_| control_path.to_owned());
    real.with_file_name("results-spool")
}

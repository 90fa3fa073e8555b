//! `storage.yaml`. The file is optional, and so is everything in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Document;
use crate::domain::fault::FaultReport;
use crate::domain::{BackupSettings, StorageSettings};
use crate::spec::{BackupsSpec, StorageSpec, prune_and_parse};

const AT: &str = "/results";
const HOUR: Duration = Duration::from_secs(3_600);

/// `structure` holds the faults of keys and types, which the entries are pruned by. Answers with
/// those of the values.
pub(super) fn read(
    document: &Document,
    structure: &mut FaultReport,
) -> (StorageSettings, FaultReport) {
    let mut judged = FaultReport::default();
    let spec: Option<StorageSpec> = document
        .value
        .get("results")
        .and_then(|value| prune_and_parse(value.clone(), AT, structure));
    let spec = spec.unwrap_or_default();
    let backups = spec.backups.map(|spec| backups(&spec, &mut judged));
    (StorageSettings { backups }, judged)
}

fn backups(spec: &BackupsSpec, report: &mut FaultReport) -> BackupSettings {
    let default = BackupSettings::new(PathBuf::from(&spec.folder));
    if !Path::new(&spec.folder).is_absolute() {
        report.fault(
            format!("{AT}/backups/folder"),
            format!(
                "`{}` depends on where the program is started; write the whole path, from `/` on",
                spec.folder
            ),
        );
    }
    let every = match spec.every.as_ref().map(|every| every.resolve(1_000)) {
        None => Ok(default.every),
        Some(Ok(every)) if every < HOUR => Err("must be at least an hour, e.g. `6h`".to_owned()),
        Some(every) => every,
    };
    let every = every.unwrap_or_else(|message| {
        report.fault(format!("{AT}/backups/every"), message);
        default.every
    });
    BackupSettings {
        every,
        keep: spec.keep.unwrap_or(default.keep),
        ..default
    }
}

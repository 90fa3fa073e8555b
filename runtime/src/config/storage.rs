//! `storage.yaml`. The file is optional, and so is everything in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::Document;
use crate::domain::duration::parse_duration;
use crate::domain::fault::FaultReport;
use crate::domain::{
    ArchiveSettings, BackupSettings, StorageSettings, TableRetention, TierRetention,
};
use crate::spec::{ArchiveSpec, BackupsSpec, HistorySpec, KeepSpec, StorageSpec, prune_and_parse};

const AT: &str = "/results";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Ten years.
const MAX_DAYS: u32 = 3_650;
const FOR_EVER: &str = "forever";

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
    let archive = spec.archive.map(|spec| archive(&spec, &mut judged));
    let history = spec.retention.unwrap_or_default();
    let mut retention = retention(&history, &mut judged);
    let mut tables = tables(&history, &mut judged);
    if let (Some(archive), Some(runs)) = (&archive, retention.runs)
        && runs <= archive.after
    {
        judged.fault(
            format!("{AT}/retention/raw"),
            "must be longer than `archive.after`: days are archived before they are deleted",
        );
    }
    if document.own_faults().next().is_some()
        || !structure.faults.is_empty()
        || !judged.faults.is_empty()
    {
        // What is read before the start is given up must delete nothing.
        retention = TierRetention::FOR_EVER;
        tables = TableRetention::FOR_EVER;
    }
    let settings = StorageSettings {
        backups,
        archive,
        retention,
        tables,
    };
    (settings, judged)
}

fn archive(spec: &ArchiveSpec, report: &mut FaultReport) -> ArchiveSettings {
    let default = ArchiveSettings::default();
    let after = match spec.after.as_ref().map(kept) {
        None => default.after,
        Some(Ok(Some(after))) => after,
        Some(Ok(None)) => {
            let message = format!(
                "must be whole days, such as `30d`; without `archive` days stay in the database {FOR_EVER}"
            );
            report.fault(format!("{AT}/archive/after"), message);
            default.after
        }
        Some(Err(message)) => {
            report.fault(format!("{AT}/archive/after"), message);
            default.after
        }
    };
    let folder = spec.folder.as_ref().map(PathBuf::from);
    if let Some(folder) = &folder {
        absolute_check(folder, "archive/folder", report);
    }
    ArchiveSettings { folder, after }
}

/// Faults a folder that depends on where the program is started.
fn absolute_check(folder: &Path, key: &str, report: &mut FaultReport) {
    if folder.is_absolute() {
        return;
    }
    report.fault(
        format!("{AT}/{key}"),
        format!(
            "`{}` depends on where the program is started; write the whole path, from `/` on",
            folder.display()
        ),
    );
}

fn retention(spec: &HistorySpec, report: &mut FaultReport) -> TierRetention {
    let mut days = |key: &str, spec: &Option<KeepSpec>, default: Option<Duration>| {
        kept_or(key, spec, default, report)
    };
    let default = TierRetention::default();
    TierRetention {
        runs: days("raw", &spec.raw, default.runs),
        five_minutes: days("5m", &spec.five_minutes, default.five_minutes),
        hours: days("1h", &spec.hours, default.hours),
        days: days("1d", &spec.days, default.days),
    }
}

fn tables(spec: &HistorySpec, report: &mut FaultReport) -> TableRetention {
    let mut days = |key: &str, spec: &Option<KeepSpec>, default: Option<Duration>| {
        kept_or(key, spec, default, report)
    };
    let default = TableRetention::default();
    TableRetention {
        good_plugin_runs: days(
            "goodPluginRuns",
            &spec.good_plugin_runs,
            default.good_plugin_runs,
        ),
        plugin_runs: days("pluginRuns", &spec.plugin_runs, default.plugin_runs),
        plugin_run_minutes: days(
            "pluginRunMinutes",
            &spec.plugin_run_minutes,
            default.plugin_run_minutes,
        ),
        alert_events: days("alertEvents", &spec.alert_events, default.alert_events),
        events: days("events", &spec.events, default.events),
        rate_limits: days("rateLimits", &spec.rate_limits, default.rate_limits),
        shadow_runs: days("shadowRuns", &spec.shadow_runs, default.shadow_runs),
        calls: days("calls", &spec.calls, default.calls),
        usage_totals: days("usageTotals", &spec.usage_totals, default.usage_totals),
    }
}

fn kept_or(
    key: &str,
    spec: &Option<KeepSpec>,
    default: Option<Duration>,
    report: &mut FaultReport,
) -> Option<Duration> {
    let Some(spec) = spec else { return default };
    kept(spec).unwrap_or_else(|message| {
        report.fault(format!("{AT}/retention/{key}"), message);
        default
    })
}

/// Returns whole days; none for ever.
fn kept(spec: &KeepSpec) -> Result<Option<Duration>, String> {
    let duration = match spec {
        KeepSpec::Days(days) => DAY * *days,
        KeepSpec::Text(text) if text == FOR_EVER => return Ok(None),
        KeepSpec::Text(text) => parse_duration(text).map_err(|fault| fault.to_string())?,
    };
    let is_whole = duration.as_secs() % DAY.as_secs() == 0 && duration.subsec_nanos() == 0;
    if is_whole && (DAY..=MAX_DAYS * DAY).contains(&duration) {
        return Ok(Some(duration));
    }
    Err(format!(
        "must be whole days between 1 and {MAX_DAYS}, such as `30d`, or `{FOR_EVER}`"
    ))
}

fn backups(spec: &BackupsSpec, report: &mut FaultReport) -> BackupSettings {
    let default = BackupSettings::new(PathBuf::from(&spec.folder));
    absolute_check(&default.folder, "backups/folder", report);
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

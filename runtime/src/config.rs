//! The configuration: `services.yaml`, `alerts.yaml`, `plugins.yaml`, `storage.yaml`,
//! `status-pages.yaml`, `reports.yaml`, the environment and `.env`.
//! Everything is checked before anything starts, and all faults are reported at once, each with
//! file, line, column and key.

mod document;
mod env_file;
mod environment;
mod faults;
mod files;
mod foreign;
mod interpolate;
mod outline;
mod plugins;
mod secret_command;
mod secret_file;
mod services_document;
mod settings;
mod storage;
mod surrogates;
#[cfg(test)]
mod tests;
mod watch;
mod yaml;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub use environment::Environment;
pub use faults::Faults;
pub use files::{ConfigFiles, FileStamps, NAMES as FILE_NAMES};
pub use foreign::ForeignFile;
pub use outline::Outline;
pub use plugins::PluginsConfig;
pub use services_document::ServicesDocument;
pub use settings::{PLUGIN_VERSIONS_KEPT, Settings};
pub use watch::ConfigWatch;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::fault::{FaultReport, child};
use crate::domain::{Fault, PluginTrust, StorageSettings};
use crate::registry::{CheckedFiles, FileEntries, PluginDirectory, RoutingEntries, check_files};
use crate::spec::{
    AlertsFile, NotificationSpec, PluginsFile, ReportsFile, Schema, ServicesFile, StatusPagesFile,
    StorageFile, prune_and_parse,
};
use document::{Document, MAX_FILE_BYTES};
use environment::read_limited;
use outline::FileState;
use secret_command::COMMANDS;
use secret_file::Sources;
use settings::SettingsReader;

const SERVICES: &str = "services.yaml";
const ALERTS: &str = "alerts.yaml";
const PLUGINS: &str = "plugins.yaml";
const STORAGE: &str = "storage.yaml";
const STATUS_PAGES: &str = "status-pages.yaml";
const REPORTS: &str = "reports.yaml";

/// Keys at the top that begin so mean nothing, as in Compose files: a place for anchors.
const EXTENSION: &str = "x-";

/// A configuration without faults.
#[derive(Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// Compiled files, for the registry.
    pub files: CheckedFiles,
    pub plugins: PluginsConfig,
    pub storage: StorageSettings,
    /// Findings that work, but were hardly meant so.
    pub warnings: Vec<Fault>,
}

/// Configuration as it was read, with its faults, before plugins have checked their settings.
pub struct ParsedConfig {
    files: ConfigFiles,
    outline: Outline,
    settings: Settings,
    services: Document,
    alerts: Document,
    plugins_document: Document,
    status_pages: Document,
    reports: Document,
    entries: FileEntries,
    plugins: PluginsConfig,
    storage: StorageSettings,
    /// Holds the faults of the documents too, so that no consequences of them are reported.
    report: FaultReport,
    /// How many of the report's faults are placed already.
    placed: usize,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// Reads and checks everything; the plugins judge their settings.
pub async fn load(
    config_dir: &Path,
    environment: Environment,
    plugins: &dyn PluginDirectory,
) -> Result<Loaded, Faults> {
    let config_dir = PathBuf::from(config_dir);
    let draft = tokio::task::spawn_blocking(move || read(&config_dir, &environment)).await;
    draft
        .expect("reading the configuration does not panic")
        .check(plugins)
        .await
}

pub fn log_warnings(warnings: &[Fault]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// Returns when a program that writes a secret of the configuration is due again; none: there is none.
pub fn secret_commands_due() -> Option<Instant> {
    COMMANDS.next_due()
}

/// Runs the programs that are due, blocking. True: a secret is another one than before, so that the
/// configuration has to be read again.
pub fn secret_commands_refresh() -> bool {
    let is_changed = COMMANDS.refresh();
    metrics::gauge!("extrack_secret_commands_failing").set(COMMANDS.failing() as f64);
    is_changed
}

/// Reads the settings of the program without any file of the configuration; with a default in place
/// of each value that is wrong, and the faults.
pub fn program_settings(environment: &Environment) -> (Settings, Vec<Fault>) {
    let mut reader = SettingsReader::new(environment);
    let settings = reader.read();
    (settings, reader.faults)
}

/// One YAML or JSON file that is no part of the configuration, with its variables put in. Faults
/// have places.
pub fn read_value(path: &Path) -> Result<Value, Faults> {
    let shown = path.display().to_string();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let failed = |message: String| {
        Faults::new(
            vec![Document::absent(shown.clone()).place(&Fault::new("", message))],
            0,
        )
    };
    let text = read_limited(path, MAX_FILE_BYTES).map_err(failed)?;
    let text = text.ok_or_else(|| failed("there is no such file".to_owned()))?;
    parse_value(&shown, &text, &Environment::read(folder))
}

/// Reads the text of a YAML or JSON file that is no part of the configuration, with its variables
/// put in. `shown` is its name in faults.
pub fn parse_value(shown: &str, text: &str, environment: &Environment) -> Result<Value, Faults> {
    let document = Document::parse(shown.to_owned(), text, environment);
    let faults: Vec<Fault> = document.own_faults().collect();
    if faults.is_empty() {
        Ok(document.value)
    } else {
        Err(Faults::new(faults, 0))
    }
}

/// Reads files, blocking. Never fails: what is wrong is in the draft.
pub fn read(config_dir: &Path, environment: &Environment) -> ParsedConfig {
    parse(config_dir, ConfigFiles::read(config_dir), environment)
}

/// Reads what the files of this folder hold, or held. Blocking: files they name are read.
pub fn parse(config_dir: &Path, files: ConfigFiles, environment: &Environment) -> ParsedConfig {
    let mut reader = SettingsReader::new(environment);
    let settings = reader.read();
    let (mut faults, mut warnings) = (reader.faults, reader.warnings);
    folder_check(config_dir, &mut faults, &mut warnings);
    let services = document(config_dir, SERVICES, &files, environment, &mut faults);
    let alerts = document(config_dir, ALERTS, &files, environment, &mut faults);
    let faults_elsewhere = faults.len();
    let plugins_document = document(config_dir, PLUGINS, &files, environment, &mut faults);
    let mut plugins_report = structure_check::<PluginsFile>(&plugins_document, &mut faults);
    let (mut plugins, judged) = plugins::read(&plugins_document, config_dir, &mut plugins_report);
    let placed = |fault: &Fault| plugins_document.place(fault);
    faults.extend(judged.faults.iter().map(placed));
    warnings.extend(judged.warnings.iter().map(placed));
    if faults.len() > faults_elsewhere {
        plugins.trust = PluginTrust::closed();
    }
    let storage_document = document(config_dir, STORAGE, &files, environment, &mut faults);
    let mut storage_report = structure_check::<StorageFile>(&storage_document, &mut faults);
    let (storage, judged) = storage::read(&storage_document, &mut storage_report);
    let placed = |fault: &Fault| storage_document.place(fault);
    faults.extend(judged.faults.iter().map(placed));
    let status_pages = document(config_dir, STATUS_PAGES, &files, environment, &mut faults);
    let mut pages_report = structure_check::<StatusPagesFile>(&status_pages, &mut faults);
    let reports = document(config_dir, REPORTS, &files, environment, &mut faults);
    let mut report = FaultReport::default();
    let mut reports_report = structure_check::<ReportsFile>(&reports, &mut faults);
    let mut services_report = structure_check::<ServicesFile>(&services, &mut faults);
    let mut alerts_report = structure_check::<AlertsFile>(&alerts, &mut faults);
    let mut entries = FileEntries {
        services: parse_list(&services, "services", &mut services_report),
        reports: parse_list(&reports, "reports", &mut reports_report),
        has_offline_targets: !settings.offline_targets.is_empty(),
        has_archive: storage.archive.is_some(),
        status_pages: parse_list(&status_pages, "statusPages", &mut pages_report),
        ..alert_entries(&alerts, &mut alerts_report)
    };
    for part in [
        services_report,
        alerts_report,
        plugins_report,
        storage_report,
        pages_report,
        reports_report,
    ] {
        part.faults.into_iter().for_each(|fault| report.add(fault));
        report.left_out += part.left_out;
    }
    let placed = report.faults.len();
    report.next_stage();
    let sources = Sources {
        folder: config_dir,
        file: SERVICES,
        commands: Some(&COMMANDS),
    };
    secret_file::resolve(&mut entries.services, sources, &mut report);
    let states = [
        (SERVICES, &services),
        (ALERTS, &alerts),
        (PLUGINS, &plugins_document),
        (STORAGE, &storage_document),
        (STATUS_PAGES, &status_pages),
        (REPORTS, &reports),
    ];
    let states: BTreeMap<_, _> = states
        .into_iter()
        .map(|(name, document)| (name, file_state(&files, name, document)))
        .collect();
    let outline = Outline::new(states, &entries);
    ParsedConfig {
        files,
        outline,
        settings,
        services,
        alerts,
        plugins_document,
        status_pages,
        reports,
        entries,
        plugins,
        storage,
        report,
        placed,
        faults,
        warnings,
    }
}

/// Reads the entries of `alerts.yaml`.
fn alert_entries(alerts: &Document, report: &mut FaultReport) -> FileEntries {
    FileEntries {
        alerts: parse_list(alerts, "alerts", report),
        budgets: parse_list(alerts, "budgets", report),
        notifications: parse_list(alerts, "notifications", report),
        message_templates: parse_named(alerts, "messageTemplates", report)
            .into_iter()
            .collect(),
        routing: RoutingEntries {
            channels: parse_named(alerts, "channels", report)
                .into_iter()
                .collect(),
            route: parse_one(alerts, "route", report),
            mute_times: parse_named(alerts, "muteTimes", report)
                .into_iter()
                .collect(),
            inhibit: parse_list(alerts, "inhibit", report),
            maintenance: parse_list(alerts, "maintenance", report),
        },
        escalations: parse_named(alerts, "escalations", report),
        alert_templates: parse_named(alerts, "alertTemplates", report),
        watchdog: parse_one(alerts, "watchdog", report),
        ..FileEntries::default()
    }
}

fn file_state(files: &ConfigFiles, name: &str, document: &Document) -> FileState {
    match files.text(name) {
        None => FileState::Absent,
        Some(_)
            if document
                .value
                .as_object()
                .is_some_and(serde_json::Map::is_empty) =>
        {
            FileState::Empty
        }
        Some(_) => FileState::Filled,
    }
}

impl ParsedConfig {
    /// Returns the files as they were read.
    pub fn files(&self) -> &ConfigFiles {
        &self.files
    }

    /// Only good while the draft is sound: without what is wrong.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    /// Returns settings that are good enough to start what answers for the plugins; `check` decides
    /// whether all is well.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the content of `plugins.yaml`, which is needed before the plugins are loaded,
    /// without what is wrong in it.
    pub fn plugins(&self) -> &PluginsConfig {
        &self.plugins
    }

    /// Returns the content of `storage.yaml`, by which the stores are opened; with faults in it
    /// everything is kept.
    pub fn storage(&self) -> &StorageSettings {
        &self.storage
    }

    /// True if nothing is wrong so far.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty() && self.report.faults.is_empty() && self.report.left_out == 0
    }

    pub async fn check(self, directory: &dyn PluginDirectory) -> Result<Loaded, Faults> {
        let Self {
            settings,
            services,
            alerts,
            plugins_document,
            status_pages,
            reports,
            entries,
            plugins,
            storage,
            report,
            placed,
            ..
        } = self;
        let (mut faults, mut warnings) = (self.faults, self.warnings);
        let (files, mut report) = check_files(&entries, settings.defaults, directory, report).await;
        warnings.extend(
            plugins
                .unknown(directory)
                .map(|fault| plugins_document.place(&fault)),
        );
        if settings.smtp.is_none()
            && let Some(place) = first_email(&entries)
        {
            report.warn(
                place,
                "no e-mail can be sent without `SMTP_HOST`; set it in the environment or in `.env`",
            );
        }
        let place = |fault: &Fault| {
            if fault.pointer.starts_with("/services") {
                services.place(fault)
            } else if fault.pointer.starts_with("/statusPages") {
                status_pages.place(fault)
            } else if fault.pointer.starts_with("/reports") {
                reports.place(fault)
            } else {
                alerts.place(fault)
            }
        };
        faults.extend(report.faults[placed..].iter().map(place));
        if !faults.is_empty() || report.left_out > 0 {
            return Err(Faults::new(faults, report.left_out));
        }
        warnings.extend(report.warnings.iter().map(place));
        faults::sort(&mut warnings);
        Ok(Loaded {
            settings,
            files,
            plugins,
            storage,
            warnings,
        })
    }
}

/// The folder itself, and files in it that look as if they were meant to be read.
fn folder_check(config_dir: &Path, faults: &mut Vec<Fault>, warnings: &mut Vec<Fault>) {
    let placed = |path: &Path, message: &str| {
        Fault::new("", message).placed(path.display().to_string(), None, None)
    };
    let Ok(listing) = std::fs::read_dir(config_dir) else {
        let message = "there is no such folder, or it can't be read; make it, or name another one with `--config`";
        return faults.push(placed(config_dir, message));
    };
    let names: Vec<PathBuf> = listing
        .flatten()
        .take(1000)
        .map(|entry| entry.path())
        .collect();
    let mut found = 0;
    for path in names {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name == SERVICES || name == ALERTS {
            found += 1;
        } else if ![PLUGINS, STORAGE, STATUS_PAGES, REPORTS].contains(&name)
            && (name.ends_with(".yaml") || name.ends_with(".yml"))
        {
            warnings.push(placed(
                &path,
                "is not read: only `services.yaml`, `alerts.yaml`, `plugins.yaml`, `storage.yaml`, `status-pages.yaml` and `reports.yaml` are",
            ));
        }
    }
    if found == 0 {
        warnings.push(placed(
            config_dir,
            "has neither a `services.yaml` nor an `alerts.yaml`; services come over the API only",
        ));
    }
}

fn document(
    config_dir: &Path,
    name: &'static str,
    files: &ConfigFiles,
    environment: &Environment,
    faults: &mut Vec<Fault>,
) -> Document {
    let shown = config_dir.join(name).display().to_string();
    let Some(text) = files.text(name) else {
        let document = Document::absent(shown);
        faults.extend(
            files
                .unreadable
                .get(name)
                .map(|message| document.place(&Fault::new("", message))),
        );
        return document;
    };
    let mut document = Document::parse(shown, text, environment);
    // A list of which every entry is commented out, and what stands there for its anchor.
    if let Some(members) = document.value.as_object_mut() {
        members.retain(|key, value| !value.is_null() && !key.starts_with(EXTENSION));
    }
    faults.extend(document.own_faults());
    document
}

/// Keys and types. The faults are placed, and in the answer to prune by.
fn structure_check<T: JsonSchema>(document: &Document, faults: &mut Vec<Fault>) -> FaultReport {
    let mut report = FaultReport::default();
    // Those with a place of their own are about keys, and leave a value that can be judged.
    document
        .faults
        .iter()
        .filter(|fault| fault.place.is_none())
        .for_each(|fault| report.add(fault.clone()));
    report.next_stage();
    let own = report.faults.len();
    Schema::of::<T>().check(&document.value, "", &[], &mut report);
    faults.extend(
        report.faults[own..]
            .iter()
            .map(|fault| document.place(fault)),
    );
    report
}

fn parse_list<T: DeserializeOwned>(
    document: &Document,
    list: &str,
    report: &mut FaultReport,
) -> Vec<(usize, T)> {
    let at = child("", list);
    let items = document
        .value
        .get(list)
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let parsed = items.into_iter().enumerate().filter_map(|(index, item)| {
        Some((index, prune_and_parse(item, &child(&at, index), report)?))
    });
    parsed.collect()
}

fn parse_one<T: DeserializeOwned>(
    document: &Document,
    key: &str,
    report: &mut FaultReport,
) -> Option<T> {
    prune_and_parse(document.value.get(key)?.clone(), &child("", key), report)
}

fn parse_named<T: DeserializeOwned>(
    document: &Document,
    map: &str,
    report: &mut FaultReport,
) -> Vec<(String, T)> {
    let at = child("", map);
    let members = document
        .value
        .get(map)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let parsed = members.into_iter().filter_map(|(name, item)| {
        let parsed = prune_and_parse(item, &child(&at, &name), report)?;
        Some((name, parsed))
    });
    parsed.collect()
}

fn first_email(entries: &FileEntries) -> Option<String> {
    let find = |notifications: &[NotificationSpec], at: String| {
        let index = notifications
            .iter()
            .position(|notification| notification.channel == "email")?;
        Some(child(&child(&at, "notifications"), index))
    };
    let defaults = entries
        .notifications
        .iter()
        .find(|(_, notification)| notification.channel == "email");
    let shared = || {
        let mut alerts = entries.alerts.iter();
        alerts.find_map(|(index, alert)| {
            find(alert.notifications.as_deref()?, child("/alerts", index))
        })
    };
    let budgets = || {
        let mut budgets = entries.budgets.iter();
        budgets.find_map(|(index, budget)| {
            find(budget.notifications.as_deref()?, child("/budgets", index))
        })
    };
    let own = || {
        entries.services.iter().find_map(|(index, service)| {
            let at = child(&child("/services", index), "alerts");
            let mut alerts = service.alerts.iter().enumerate();
            alerts
                .find_map(|(index, alert)| find(alert.notifications.as_deref()?, child(&at, index)))
        })
    };
    let named = || {
        let (name, _) = entries
            .routing
            .channels
            .iter()
            .find(|(_, spec)| spec.channel == "email")?;
        Some(child("/channels", name))
    };
    let defaults = defaults.map(|(index, _)| child("/notifications", index));
    defaults
        .or_else(named)
        .or_else(shared)
        .or_else(budgets)
        .or_else(own)
}

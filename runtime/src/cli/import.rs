//! `extrack import KIND FILE`

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use super::outcome::{EXIT_USAGE, Outcome};
use super::print::{line, note, plain};
use crate::config::{Faults, ForeignFile};
use crate::domain::Fault;
use crate::import::{Format, Imported, Variable, import};
use crate::vendors::yaml_of;
use crate::{local, telemetry};

const SERVICES: &str = "services.yaml";
const ALERTS: &str = "alerts.yaml";
/// Rounds in which entries that the check refuses are left out; what one is about may be named by
/// others.
const MAX_ROUNDS: usize = 5;

/// Reads the configuration of another monitor and prints ours. What is not carried over is on
/// standard error, with its file, line and key. No server is needed.
///
/// Secrets are not printed: variables stand in their places, and are named on standard error. The
/// output is checked as `check-config` checks, with the bundled plugins; what it would refuse is
/// left out, and noted.
///
/// Examples:
///   extrack import gatus config.yaml
///   extrack import gatus config.yaml --to config/
///   extrack import blackbox blackbox.yml --prometheus prometheus.yml > config/services.yaml
///   extrack import alertmanager alertmanager.yml --to config/alerts.yaml
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Import {
    /// Program that the file is of.
    #[arg(value_enum)]
    kind: Kind,
    /// Configuration of that monitor; of Uptime Kuma the backup in JSON
    file: PathBuf,
    /// Configuration of Prometheus, whose jobs have the targets of the blackbox exporter.
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,
    /// Writes to this file, or to `services.yaml` and `alerts.yaml` in this folder. With a file,
    /// what belongs into the other one of both goes beside it.
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Overwrites files that are there.
    #[arg(long, requires = "to")]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Gatus,
    UptimeKuma,
    Blackbox,
    Alertmanager,
    PrometheusRules,
}

impl Kind {
    fn format(self) -> Format {
        match self {
            Kind::Gatus => Format::Gatus,
            Kind::UptimeKuma => Format::UptimeKuma,
            Kind::Blackbox => Format::Blackbox,
            Kind::Alertmanager => Format::Alertmanager,
            Kind::PrometheusRules => Format::PrometheusRules,
        }
    }
}

/// Texts of our files.
struct Files {
    services: Option<String>,
    alerts: Option<String>,
}

impl Import {
    pub(super) async fn run(self) -> Outcome {
        telemetry::start_logs("error");
        if self.prometheus.is_some() && self.kind != Kind::Blackbox {
            bail!(
                "`--prometheus` goes with `blackbox` only; rules of Prometheus are `prometheus-rules`"
            );
        }
        let read = self.read();
        let mut imported = match read {
            Ok(imported) => imported,
            Err(faults) => return Ok(refused(&faults.to_string())),
        };
        let checked = checked(&mut imported).await?;
        print_notes(&imported);
        let files = match checked {
            Ok((files, warnings)) => {
                for warning in warnings {
                    note(&plain(&format!("warning: {warning}")));
                }
                files
            }
            Err(faults) => {
                note("the output would be refused, so nothing is printed:");
                return Ok(refused(&faults));
            }
        };
        note(&format!(
            "{} of {} entries carried over",
            imported.carried, imported.found
        ));
        if files.services.is_none() && files.alerts.is_none() {
            bail!("nothing of `{}` can be carried over", self.file.display());
        }
        match &self.to {
            None => line(files.printed().trim_end()),
            Some(to) => {
                let (to, force) = (to.clone(), self.force);
                tokio::task::spawn_blocking(move || files.write(&to, force)).await??;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn read(&self) -> Result<Imported, Faults> {
        let format = self.kind.format();
        let parse = |path: &Path| {
            let text = ForeignFile::text(path)?;
            format.parse(&path.display().to_string(), &text)
        };
        let file = parse(&self.file)?;
        let targets = self.prometheus.as_deref().map(parse).transpose()?;
        Ok(import(format, &file, targets.as_ref()))
    }
}

fn refused(faults: &str) -> ExitCode {
    note(faults);
    ExitCode::from(EXIT_USAGE)
}

fn print_notes(imported: &Imported) {
    let mut notes: Vec<&Fault> = imported.notes.iter().collect();
    // By line; where there are none, they stay in the order of the file.
    notes.sort_by(|a, b| a.place.cmp(&b.place));
    for found in notes {
        note(&plain(&found.to_string()));
    }
}

/// Checks the entries as `check-config` does, and leaves out those that it refuses. The inner error
/// is the faults that are about none of them.
async fn checked(imported: &mut Imported) -> Result<Result<(Files, Vec<String>), String>> {
    let mut faults = String::new();
    for _ in 0..MAX_ROUNDS {
        let files = Files::of(imported);
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        let config = folder.path().join("config");
        files
            .write_for_check(&config, &imported.variables)
            .context("writing the entries to check them")?;
        let shown = |text: String| text.replace(&format!("{}/", config.display()), "");
        match local::check_config(&config, &[]).await {
            Ok(loaded) => {
                let warnings = loaded.warnings.iter().map(|fault| shown(fault.to_string()));
                return Ok(Ok((files, warnings.collect())));
            }
            Err(error) => match error.downcast_ref::<Faults>() {
                None => return Err(error),
                Some(found) => {
                    faults = shown(found.to_string());
                    if !imported.leave_out(&found.faults) {
                        break;
                    }
                }
            },
        }
    }
    Ok(Err(faults))
}

impl Files {
    fn of(imported: &Imported) -> Self {
        let text = |file: Option<Map<String, Value>>| file.map(|members| yaml_of(&members));
        Self {
            services: text(imported.services_file()),
            alerts: text(imported.alerts_file()),
        }
    }

    /// Each under its name. Blocking.
    fn write_for_check(&self, config: &Path, variables: &[Variable]) -> std::io::Result<()> {
        std::fs::create_dir(config)?;
        let services = self.services.as_deref().unwrap_or("services: []\n");
        std::fs::write(config.join(SERVICES), services)?;
        if let Some(alerts) = &self.alerts {
            std::fs::write(config.join(ALERTS), alerts)?;
        }
        let variables = variables
            .iter()
            .map(|variable| format!("{}={}\n", variable.name, variable.sample));
        // Beside the folder, where those of the process go before it.
        std::fs::write(config.with_file_name(".env"), variables.collect::<String>())
    }

    /// Both in one text: a key belongs to the file that the line above its first one names.
    fn printed(&self) -> String {
        let parts = [(SERVICES, &self.services), (ALERTS, &self.alerts)];
        let parts = parts.into_iter().filter_map(|(name, text)| {
            let text = text.as_ref()?;
            Some(format!("# {name}\n{text}"))
        });
        parts.collect::<Vec<_>>().join("\n")
    }

    /// Blocking.
    fn write(&self, to: &Path, force: bool) -> Result<()> {
        let targets = self.targets(to);
        if !force && let Some((path, _)) = targets.iter().find(|(path, _)| path.exists()) {
            bail!(
                "`{}` is there already; overwrite it with `--force`",
                path.display()
            );
        }
        for (path, text) in targets {
            write_file(&path, text, force)
                .with_context(|| format!("writing `{}`", path.display()))?;
            note(&format!("written to `{}`", path.display()));
        }
        Ok(())
    }

    /// Paths with their texts.
    fn targets(&self, to: &Path) -> Vec<(PathBuf, &str)> {
        let is_folder = to.is_dir() || to.to_string_lossy().ends_with('/');
        let is_for_alerts = to.file_name().is_some_and(|name| name == ALERTS);
        let (services, alerts) = match (&self.services, &self.alerts) {
            _ if is_folder => (to.join(SERVICES), to.join(ALERTS)),
            (Some(_), Some(_)) if is_for_alerts => (to.with_file_name(SERVICES), to.to_owned()),
            (Some(_), _) => (to.to_owned(), to.with_file_name(ALERTS)),
            (None, _) => (to.with_file_name(SERVICES), to.to_owned()),
        };
        [(services, &self.services), (alerts, &self.alerts)]
            .into_iter()
            .filter_map(|(path, text)| Some((path, text.as_deref()?)))
            .collect()
    }
}

/// Writes a new file, or another one in its place, which keeps its permissions.
fn write_file(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    let created = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    match created {
        Ok(mut file) => {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        }
        Err(error) if force && error.kind() == ErrorKind::AlreadyExists => {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file()
                .set_permissions(std::fs::metadata(path)?.permissions())?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        }
        Err(error) => Err(error),
    }
}

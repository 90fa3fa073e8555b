//! Configuration of other monitors as ours: pure functions from their files to entries of
//! `services.yaml` and `alerts.yaml`, with a note about each thing that was not carried over.
//! Whether the entries are right is judged by the check of the configuration, not here.

mod alertmanager;
mod blackbox;
mod gatus;
mod prometheus_rules;
mod uptime_kuma;

mod draft;
mod imported;
mod item;
mod monitor;
mod secrets;
mod text;

use crate::config::{Faults, ForeignFile};
use draft::Draft;
pub use imported::{Entry, Imported};
use item::Item;
pub use secrets::Variable;

/// Program that a file is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Gatus,
    UptimeKuma,
    Blackbox,
    Alertmanager,
    PrometheusRules,
}

impl Format {
    /// Reads the text of a file. From here on its texts are in our syntax: `${NAME}` is a variable,
    /// and `$${` stands for `${`.
    pub fn parse(self, shown: &str, text: &str) -> Result<ForeignFile, Faults> {
        let escaped = text.replace("${", "$${");
        match self {
            Self::Gatus => ForeignFile::yaml(shown, &gatus::with_our_variables(text)),
            Self::UptimeKuma => ForeignFile::json(shown, &escaped),
            Self::Blackbox | Self::Alertmanager | Self::PrometheusRules => {
                ForeignFile::yaml(shown, &escaped)
            }
        }
    }
}

/// Returns what a file becomes. `targets` is the configuration of Prometheus beside that of the
/// blackbox exporter.
pub fn import(format: Format, file: &ForeignFile, targets: Option<&ForeignFile>) -> Imported {
    let mut draft = Draft::default();
    for read in [Some(file), targets].into_iter().flatten() {
        draft.imported.notes.extend(read.faults());
    }
    let root = Item::root(file);
    match format {
        Format::Gatus => gatus::import(&root, &mut draft),
        Format::UptimeKuma => uptime_kuma::import(&root, &mut draft),
        Format::Blackbox => {
            let targets = targets.map(Item::root);
            blackbox::import(&root, targets.as_ref(), &mut draft);
        }
        Format::Alertmanager => alertmanager::import(&root, &mut draft),
        Format::PrometheusRules => prometheus_rules::import(&root, &mut draft),
    }
    draft.finish()
}

#[cfg(test)]
mod testing {
    use super::*;

    /// Imports a text, and returns the files it becomes and the notes.
    pub(super) fn imported(format: Format, text: &str) -> Imported {
        let file = format.parse("f.yaml", text).unwrap();
        import(format, &file, None)
    }

    pub(super) fn notes(imported: &Imported) -> Vec<String> {
        imported.notes.iter().map(ToString::to_string).collect()
    }
}

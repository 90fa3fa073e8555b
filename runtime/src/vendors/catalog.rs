//! The catalog: files of the program, and those of the folder `vendors/` of a configuration, which
//! replace entries of the same name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::Value;
use thiserror::Error;

use super::files::FILES;
use crate::config::{self, Environment, Faults};
use crate::domain::fault::{FaultReport, suggest};
use crate::domain::slug;
use crate::spec::{Schema, VendorSpec};

/// Folder of the operator's own entries, in that of the configuration.
const FOLDER: &str = "vendors";

static SCHEMA: LazyLock<Schema> = LazyLock::new(Schema::of::<VendorSpec>);

/// More files are a mistake.
const MAX_FILES: usize = 1_000;

#[derive(Debug, Error)]
pub enum VendorError {
    #[error("reading the folder `{}`", .folder.display())]
    Folder {
        folder: PathBuf,
        source: std::io::Error,
    },
    #[error("the folder `{}` has more than {} files", .0.display(), MAX_FILES)]
    TooMany(PathBuf),
    #[error(transparent)]
    File(#[from] Faults),
    #[error("vendor in `{file}`: {reason}")]
    Entry { file: String, reason: String },
    #[error("the catalog has no vendor `{name}`{nearest}; `extrack vendors list` shows all")]
    Unknown { name: String, nearest: String },
    #[error("vendor `{vendor}` needs `--set {parameter}=…`: {description}, e.g. `{example}`")]
    Parameter {
        vendor: String,
        parameter: String,
        description: String,
        example: String,
    },
    #[error("vendor `{vendor}` has no parameter `{name}`{nearest}")]
    NoParameter {
        vendor: String,
        name: String,
        nearest: String,
    },
}

/// One vendor, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub vendor: VendorSpec,
    /// The operator's own file; none for an entry of the program.
    pub file: Option<PathBuf>,
}

/// All vendors by name.
#[derive(Debug)]
pub struct VendorCatalog {
    entries: BTreeMap<String, Entry>,
}

impl VendorCatalog {
    /// Reads the catalog of the program, and the operator's own entries in that folder of a
    /// configuration. Blocking.
    pub fn read(config_dir: &Path) -> Result<Self, VendorError> {
        let mut catalog = Self::built_in()?;
        for path in own_files(&config_dir.join(FOLDER))? {
            let value = config::read_value(&path)?;
            let vendor = parse(&path.display().to_string(), value)?;
            let entry = Entry {
                vendor,
                file: Some(path),
            };
            catalog.entries.insert(entry.vendor.name.clone(), entry);
        }
        Ok(catalog)
    }

    /// Returns the catalog of the program alone.
    pub fn built_in() -> Result<Self, VendorError> {
        let environment = Environment::default();
        let mut entries = BTreeMap::new();
        for (file, text) in FILES {
            let vendor = parse(file, config::parse_value(file, text, &environment)?)?;
            let entry = Entry { vendor, file: None };
            entries.insert(entry.vendor.name.clone(), entry);
        }
        Ok(Self { entries })
    }

    /// Returns all entries, by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn entry(&self, name: &str) -> Result<&Entry, VendorError> {
        self.entries.get(name).ok_or_else(|| VendorError::Unknown {
            name: name.to_owned(),
            nearest: suggest(name, self.entries.keys().map(String::as_str)),
        })
    }
}

fn own_files(folder: &Path) -> Result<Vec<PathBuf>, VendorError> {
    let failed = |source| VendorError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        if is_yaml {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(VendorError::TooMany(folder.to_owned()));
        }
    }
    files.sort();
    Ok(files)
}

fn parse(file: &str, value: Value) -> Result<VendorSpec, VendorError> {
    let failed = |reason: String| VendorError::Entry {
        file: file.to_owned(),
        reason,
    };
    let mut report = FaultReport::default();
    SCHEMA.check(&value, "", &[], &mut report);
    if !report.faults.is_empty() {
        let faults = report.faults.iter();
        let faults = faults.map(|fault| format!("{}: {}", fault.pointer, fault.message));
        return Err(failed(faults.collect::<Vec<_>>().join("; ")));
    }
    let vendor: VendorSpec =
        serde_json::from_value(value).map_err(|error| failed(error.to_string()))?;
    if vendor.name.is_empty() || slug(&vendor.name) != vendor.name {
        return Err(failed(format!(
            "the name `{}` has to be in lower case, with words joined by `-`",
            vendor.name
        )));
    }
    Ok(vendor)
}

#[cfg(test)]
mod tests;

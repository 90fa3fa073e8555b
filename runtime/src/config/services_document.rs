//! What the API owns in a file that is no part of the configuration, for `extrack apply`.

use std::path::Path;

use serde::de::DeserializeOwned;

use super::document::{Document, MAX_FILE_BYTES};
use super::environment::{Environment, read_limited};
use super::{EXTENSION, Faults, parse_list, secret_file, structure_check};
use crate::api_types::queries::NewSavedQuery;
use crate::api_types::registry_file::RegistryFile;
use crate::api_types::silences::SilenceSpec;
use crate::domain::Fault;
use crate::domain::fault::{FaultReport, child};
use crate::spec::{MaintenanceSpec, ServiceSpec};

const LIST: &str = "services";

/// Entries of a list, each with its index.
type Entries<T> = Vec<(usize, T)>;

/// Services and the rest as they were read, with the places of everything in them.
#[derive(Debug)]
pub struct ServicesDocument {
    document: Document,
    /// With the index of each in its list.
    services: Entries<ServiceSpec>,
    /// Absent where the file has no such key, as the other lists are.
    pub maintenance: Option<Entries<MaintenanceSpec>>,
    pub silences: Option<Entries<SilenceSpec>>,
    pub queries: Option<Entries<NewSavedQuery>>,
}

impl ServicesDocument {
    /// Most bytes of a document.
    pub const MAX_BYTES: u64 = MAX_FILE_BYTES;

    /// Reads a file. Variables come from the environment and a `.env` beside it, secrets from the
    /// files it names. Blocking.
    pub fn read(path: &Path) -> Result<Self, Faults> {
        let shown = path.display().to_string();
        let failed = |message: String| {
            let fault = Document::absent(shown.clone()).place(&Fault::new("", message));
            Faults::new(vec![fault], 0)
        };
        let text = read_limited(path, MAX_FILE_BYTES).map_err(failed)?;
        let text = text.ok_or_else(|| failed("there is no such file".to_owned()))?;
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        Self::parse(&shown, &text, folder.unwrap_or(Path::new(".")))
    }

    /// Reads a text as if it stood in a file of a folder. `shown` is its name in faults. Blocking.
    pub fn parse(shown: &str, text: &str, folder: &Path) -> Result<Self, Faults> {
        let sources = secret_file::Sources {
            folder,
            file: shown,
            commands: None,
        };
        Self::build(shown, text, &Environment::read(folder), Some(sources))
    }

    /// Reads the description of one service, from somebody who may not read this machine: a variable
    /// is a fault, and a secret that stands in a file stays one for the registry to refuse.
    pub fn parse_one(shown: &str, text: &str) -> Result<Self, Faults> {
        let read = Self::build(shown, text, &Environment::closed(), None)?;
        let has_others =
            read.maintenance.is_some() || read.silences.is_some() || read.queries.is_some();
        if read.services.len() == 1 && !has_others {
            return Ok(read);
        }
        let message = "must have one service under `services`, and nothing beside it";
        let fault = read.document.place(&Fault::new("", message));
        Err(Faults::new(vec![fault], 0))
    }

    /// `sources`: where secrets come from; none: they stay as they are written.
    fn build(
        shown: &str,
        text: &str,
        environment: &Environment,
        sources: Option<secret_file::Sources<'_>>,
    ) -> Result<Self, Faults> {
        let mut document = Document::parse(shown.to_owned(), text, environment);
        if let Some(members) = document.value.as_object_mut() {
            members.retain(|key, value| !value.is_null() && !key.starts_with(EXTENSION));
        }
        let mut faults: Vec<Fault> = document.own_faults().collect();
        let mut report = structure_check::<RegistryFile>(&document, &mut faults);
        let mut services: Vec<(usize, ServiceSpec)> = parse_list(&document, LIST, &mut report);
        let maintenance = optional_list(&document, "maintenance", &mut report);
        let silences = optional_list(&document, "silences", &mut report);
        let queries = optional_list(&document, "queries", &mut report);
        let mut secrets = FaultReport::default();
        if let Some(sources) = sources {
            secret_file::resolve(&mut services, sources, &mut secrets);
        }
        faults.extend(secrets.faults.iter().map(|fault| document.place(fault)));
        if faults.is_empty() && report.faults.is_empty() && report.left_out == 0 {
            Ok(Self {
                document,
                services,
                maintenance,
                silences,
                queries,
            })
        } else {
            Err(Faults::new(faults, report.left_out + secrets.left_out))
        }
    }

    pub fn services(&self) -> impl Iterator<Item = &ServiceSpec> {
        self.services.iter().map(|(_, spec)| spec)
    }

    /// Returns faults of services with their places: each with the position of its service among
    /// [`Self::services`], none for a fault of the whole.
    pub fn placed(&self, faults: impl IntoIterator<Item = (Option<usize>, Fault)>) -> Faults {
        let placed = faults.into_iter().map(|(position, fault)| {
            let service = position.and_then(|position| self.services.get(position));
            match service {
                Some((index, _)) => self.document.place(&fault.under(&at(*index))),
                None => fault,
            }
        });
        Faults::new(placed.collect(), 0)
    }

    /// Returns faults of one entry of a list with their places.
    pub fn placed_in(&self, list: &str, index: usize, faults: Vec<Fault>) -> Faults {
        let at = child(&child("", list), index);
        let placed = faults.into_iter();
        let placed = placed.map(|fault| self.document.place(&fault.under(&at)));
        Faults::new(placed.collect(), 0)
    }
}

/// Reads a list whose absence means something else than its emptiness.
fn optional_list<T: DeserializeOwned>(
    document: &Document,
    list: &str,
    report: &mut FaultReport,
) -> Option<Entries<T>> {
    document.value.get(list)?;
    Some(parse_list(document, list, report))
}

fn at(index: usize) -> String {
    child(&child("", LIST), index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_found_elsewhere_have_line_and_column() {
        let folder = tempfile::tempdir().unwrap();
        let text = "services:\n  - name: A\n    baseUrl: https://a\n  - name: B\n    baseUrl: https://b\n    tags: [x]\n";
        let document = ServicesDocument::parse("registry.yaml", text, folder.path()).unwrap();
        assert_eq!(document.services().count(), 2);
        let faults = document.placed([
            (Some(1), Fault::new("/tags/0", "is wrong")),
            (Some(0), Fault::new("", "is owned elsewhere")),
            (None, Fault::new("", "nothing in it")),
        ]);
        let line = |fault: &Fault| fault.place.as_ref().and_then(|place| place.line);
        let places: Vec<_> = faults.faults.iter().map(line).collect();
        assert_eq!(places, [None, Some(2), Some(6)]);
    }

    #[test]
    fn one_service_is_read_without_variables_and_files_of_this_machine() {
        let one = "services:\n  - name: A\n    baseUrl: https://a\n";
        let spec = ServicesDocument::parse_one("text", one).unwrap();
        assert_eq!(spec.services().count(), 1);
        let variable = format!("{one}    description: ${{PATH}}\n");
        let faults = ServicesDocument::parse_one("text", &variable).unwrap_err();
        assert!(
            faults.to_string().starts_with(
                "text:4:18: services[0].description: the variable `PATH` is not read here"
            ),
            "{faults}"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret-token\n").unwrap();
        let secret = format!(
            "{one}    authentication: {{type: bearer, tokenFile: {:?}}}\n",
            file.display().to_string()
        );
        let read = ServicesDocument::parse_one("text", &secret).unwrap();
        let service = read.services().next().unwrap();
        let authentication = service.authentication.as_ref().unwrap();
        assert!(authentication.token.is_none() && authentication.token_file.is_some());
        for text in ["", "services: []\n", &format!("{one}silences: []\n")] {
            let faults = ServicesDocument::parse_one("text", text).unwrap_err();
            assert!(
                faults.to_string().contains("must have one service"),
                "{text}"
            );
        }
    }

    #[test]
    fn secrets_come_from_files_and_unknown_keys_are_faults() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret-token\n").unwrap();
        let text = "services:\n  - {name: A, baseUrl: \"https://a\", authentication: {type: bearer, tokenFile: token}}\n";
        let document = ServicesDocument::parse("-", text, folder.path()).unwrap();
        let service = document.services().next().unwrap();
        let authentication = service.authentication.as_ref().unwrap();
        assert_eq!(authentication.token.as_deref(), Some("s3cret-token"));
        let others = ServicesDocument::parse("-", "silences: []\n", folder.path()).unwrap();
        assert!(others.queries.is_none() && others.silences.is_some_and(|list| list.is_empty()));
        let faults = ServicesDocument::parse("-", "alerts: []\n", folder.path()).unwrap_err();
        assert!(faults.to_string().contains("alerts"), "{faults}");
    }
}

//! Descriptions of services in a file that is no part of the configuration, for `extrack apply`.

use std::path::Path;

use super::document::{Document, MAX_FILE_BYTES};
use super::environment::{Environment, read_limited};
use super::{EXTENSION, Faults, parse_list, secret_file, structure_check};
use crate::domain::Fault;
use crate::domain::fault::{FaultReport, child};
use crate::spec::{ServiceSpec, ServicesFile};

const LIST: &str = "services";

/// Services as they were read, with the places of everything in them.
#[derive(Debug)]
pub struct ServicesDocument {
    document: Document,
    /// With the index of each in its list.
    services: Vec<(usize, ServiceSpec)>,
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
        let environment = Environment::read(folder);
        let mut document = Document::parse(shown.to_owned(), text, &environment);
        if let Some(members) = document.value.as_object_mut() {
            members.retain(|key, value| !value.is_null() && !key.starts_with(EXTENSION));
        }
        let mut faults: Vec<Fault> = document.own_faults().collect();
        let mut report = structure_check::<ServicesFile>(&document, &mut faults);
        let mut services: Vec<(usize, ServiceSpec)> = parse_list(&document, LIST, &mut report);
        let mut secrets = FaultReport::default();
        let sources = secret_file::Sources {
            folder,
            file: shown,
            commands: None,
        };
        secret_file::resolve(&mut services, sources, &mut secrets);
        faults.extend(secrets.faults.iter().map(|fault| document.place(fault)));
        if faults.is_empty() && report.faults.is_empty() && report.left_out == 0 {
            Ok(Self { document, services })
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
    fn secrets_come_from_files_and_unknown_keys_are_faults() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("token"), "s3cret-token\n").unwrap();
        let text = "services:\n  - {name: A, baseUrl: \"https://a\", authentication: {type: bearer, tokenFile: token}}\n";
        let document = ServicesDocument::parse("-", text, folder.path()).unwrap();
        let service = document.services().next().unwrap();
        let authentication = service.authentication.as_ref().unwrap();
        assert_eq!(authentication.token.as_deref(), Some("s3cret-token"));
        let faults = ServicesDocument::parse("-", "alerts: []\n", folder.path()).unwrap_err();
        assert!(faults.to_string().contains("alerts"), "{faults}");
    }
}

//! Files of other programs: their values, and the lines of their keys.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::document::{Document, MAX_FILE_BYTES};
use super::environment::{Environment, read_limited};
use super::faults::Faults;
use crate::domain::Fault;

/// File of another program. Its variables stay as they are written. It may hold secrets, and prints
/// as its name.
pub struct ForeignFile {
    document: Document,
    has_lines: bool,
}

impl fmt::Debug for ForeignFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document.path)
    }
}

impl ForeignFile {
    /// Returns the text of a file, which is bounded as those of the configuration are. Blocking.
    pub fn text(path: &Path) -> Result<String, Faults> {
        let shown = path.display().to_string();
        let failed = |message: String| failed(&shown, &message);
        let text = read_limited(path, MAX_FILE_BYTES).map_err(failed)?;
        text.ok_or_else(|| failed("there is no such file".to_owned()))
    }

    /// Reads YAML. `shown` is the name of the file in faults. Values that can't be read are left
    /// out, and among the [`faults`](Self::faults).
    pub fn yaml(shown: &str, text: &str) -> Result<Self, Faults> {
        // `$${` is an escaped `${`.
        let escaped = text.replace("${", "$${");
        let document = Document::parse(shown.to_owned(), &escaped, &Environment::default());
        if document.faults.iter().any(|fault| fault.pointer.is_empty()) {
            return Err(Faults::new(document.own_faults().collect(), 0));
        }
        Ok(Self {
            document,
            has_lines: true,
        })
    }

    /// Reads JSON, of which faults have no lines.
    pub fn json(shown: &str, text: &str) -> Result<Self, Faults> {
        let mut document = Document::absent(shown.to_owned());
        document.value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| failed(shown, &format!("is not valid JSON: {error}")))?;
        Ok(Self {
            document,
            has_lines: false,
        })
    }

    pub fn value(&self) -> &Value {
        &self.document.value
    }

    /// Faults of values that could not be read.
    pub fn faults(&self) -> Vec<Fault> {
        self.document.own_faults().collect()
    }

    /// Adds the name of the file, and the line of the key where it has lines.
    pub fn place(&self, pointer: &str, message: impl Into<String>) -> Fault {
        let fault = Fault::at_key(pointer, message);
        let line = self
            .has_lines
            .then(|| self.document.place(&fault).place?.line)
            .flatten();
        fault.placed(&self.document.path, line, None)
    }
}

fn failed(shown: &str, message: &str) -> Faults {
    let fault = Document::absent(shown.to_owned()).place(&Fault::new("", message));
    Faults::new(vec![fault], 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn variables_of_other_programs_stay_and_keys_have_lines() {
        let text = "a: \"${X} $${Y} ${1}\"\nb:\n  c:\n    d: 1\n";
        let file = ForeignFile::yaml("f.yaml", text).unwrap();
        assert_eq!(
            *file.value(),
            json!({"a": "${X} $${Y} ${1}", "b": {"c": {"d": 1}}})
        );
        assert_eq!(file.place("/b/c", "m").to_string(), "f.yaml:3: b.c: m");
        let file = ForeignFile::json("f.json", "{\"a\": [1]}").unwrap();
        assert_eq!(file.place("/a/0", "m").to_string(), "f.json: a[0]: m");
    }

    #[test]
    fn what_is_no_yaml_or_json_is_a_fault_with_its_file() {
        let fault = |read: Result<ForeignFile, Faults>| read.unwrap_err().to_string();
        assert!(fault(ForeignFile::yaml("f.yaml", "a: [")).starts_with("f.yaml:2:1: is not valid"));
        assert!(fault(ForeignFile::json("f.json", "{")).starts_with("f.json: is not valid JSON"));
    }
}

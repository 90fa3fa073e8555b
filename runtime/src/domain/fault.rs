//! Faults and warnings about what people wrote: settings, entries, templates, variables. A fault
//! names its value by JSON Pointer; a file adds line and column, the API returns it as it is.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fault of one value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// JSON Pointer; empty for the whole.
    pub pointer: String,
    /// Text in lower case that explains how to mend it and never repeats a value that may be
    /// secret.
    pub message: String,
    /// The key is wrong, not its value.
    #[serde(skip)]
    pub at_key: bool,
    /// Source of the value, once a file or the environment is known to hold it.
    #[serde(skip)]
    pub place: Option<FaultPlace>,
}

/// File, line and column of a fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FaultPlace {
    /// A path, or `environment`.
    pub file: String,
    /// Line, from 1.
    pub line: Option<u32>,
    /// Column, from 1, in characters.
    pub column: Option<u32>,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
            at_key: false,
            place: None,
        }
    }

    pub fn at_key(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at_key: true,
            ..Self::new(pointer, message)
        }
    }

    /// Returns the same fault inside something larger.
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }

    /// Returns the fault with its source. `line` and `column` count from 1.
    pub fn placed(self, file: impl Into<String>, line: Option<u32>, column: Option<u32>) -> Self {
        let file = file.into();
        Self {
            place: Some(FaultPlace { file, line, column }),
            ..self
        }
    }
}

/// Writes `config/services.yaml:7:15: services[0].monitoring.interval: must be at least 1s` with a
/// place, and `/services/0/monitoring/interval: must be at least 1s` without.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match &self.place {
            Some(place) => {
                write!(f, "{}", place.file)?;
                for number in [place.line, place.column].into_iter().flatten() {
                    write!(f, ":{number}")?;
                }
                write!(f, ": ")?;
                key_path(&self.pointer)
            }
            None => self.pointer.clone(),
        };
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        write!(f, "{}", self.message)
    }
}

/// Faults and warnings of one check.
#[derive(Debug, Default)]
pub struct FaultReport {
    pub faults: Vec<Fault>,
    pub warnings: Vec<Fault>,
    /// Faults that were not kept, see [`FaultReport::MAX_FAULTS`].
    pub left_out: usize,
    /// How many of `faults` belong to earlier stages.
    earlier: usize,
}

impl FaultReport {
    /// More than anyone reads, and few enough that comparing them with each other stays cheap.
    pub const MAX_FAULTS: usize = 500;

    /// Adds a fault, unless an earlier stage found one at or below the same place: what is reported
    /// twice, or follows from what was reported, only hides the cause.
    pub fn add(&mut self, fault: Fault) {
        if self.faults[..self.earlier]
            .iter()
            .any(|earlier| is_at_or_below(&earlier.pointer, &fault.pointer))
        {
            return;
        }
        if self.faults.len() < Self::MAX_FAULTS {
            self.faults.push(fault);
        } else {
            self.left_out += 1;
        }
    }

    pub fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(Fault::new(pointer, message));
    }

    pub fn warn(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        if self.warnings.len() < Self::MAX_FAULTS {
            self.warnings.push(Fault::new(pointer, message));
        }
    }

    /// Begins a stage whose faults may follow from those found so far.
    pub fn next_stage(&mut self) {
        self.earlier = self.faults.len();
    }
}

fn is_at_or_below(pointer: &str, place: &str) -> bool {
    pointer
        .strip_prefix(place)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Pointer of a member or an element.
pub fn child(pointer: &str, key: impl std::fmt::Display) -> String {
    let key = key.to_string();
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Keys and indices of a pointer.
pub fn segments(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// Returns the path as people write it: `/services/0/baseUrl` becomes `services[0].baseUrl`.
pub fn key_path(pointer: &str) -> String {
    let mut path = String::new();
    for segment in segments(pointer) {
        if !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push_str(&format!("[{segment}]"));
        } else if !segment.is_empty()
            && segment
                .chars()
                .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&segment);
        } else {
            path.push_str(&format!("[{segment:?}]"));
        }
    }
    path
}

/// `; did you mean …?` with the nearest name, or the list of names.
pub fn suggest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const MAX_LISTED: usize = 30;
    let mut known: Vec<&str> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    let lower = found.to_lowercase();
    let nearest = known
        .iter()
        .map(|name| {
            (
                strsim::damerau_levenshtein(&lower, &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(distance, name)| *distance <= 1 + name.chars().count() / 4)
        .min();
    match nearest {
        Some((_, name)) => format!("; did you mean `{name}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; known: {}", list(known.into_iter().take(MAX_LISTED))),
    }
}

/// "`a`, `b`, `c`"
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consequence_of_an_earlier_fault_is_not_reported() {
        let mut report = FaultReport::default();
        report.fault("/alerts/0/condition", "the variable is not set");
        report.fault("/alerts/0", "found in the same stage");
        report.next_stage();
        report.fault("/alerts/0", "has no condition");
        report.fault("/alerts/0/condition", "is missing");
        report.fault("/alerts/0/cond", "is another key");
        report.fault("/alerts", "holds it");
        let texts: Vec<&str> = report
            .faults
            .iter()
            .map(|fault| fault.message.as_str())
            .collect();
        assert_eq!(
            texts,
            [
                "the variable is not set",
                "found in the same stage",
                "is another key"
            ]
        );
    }

    #[test]
    fn suggests_the_nearest_name_or_lists_all() {
        assert_eq!(
            suggest("treshold", ["threshold", "window"]),
            "; did you mean `threshold`?"
        );
        assert_eq!(
            suggest("BaseURL", ["baseUrl", "name"]),
            "; did you mean `baseUrl`?"
        );
        assert_eq!(
            suggest("x", ["window", "threshold"]),
            "; known: `threshold`, `window`"
        );
        assert_eq!(suggest("x", []), "");
    }

    #[test]
    fn pointers_escape_their_separators() {
        assert_eq!(child("/a", "b/c~d"), "/a/b~1c~0d");
        assert_eq!(segments("/a/b~1c~0d"), ["a", "b/c~d"]);
    }
}

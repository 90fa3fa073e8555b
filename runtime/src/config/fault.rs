//! Faults as people read them: `config/services.yaml:7:15: services[0].monitoring.interval: must be
//! at least 1s`.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PlacedFault {
    /// A path, or `environment`.
    pub file: String,
    /// From 1.
    pub line: Option<u32>,
    /// From 1, in characters.
    pub column: Option<u32>,
    /// e.g. `services[0].monitoring.interval`, or the name of a variable; empty for the whole.
    pub key: String,
    pub message: String,
}

impl fmt::Display for PlacedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Why a configuration can't be used: everything that is wrong with it, by file and line. The
/// program ends with 64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    pub faults: Vec<PlacedFault>,
    /// More than were kept.
    pub left_out: usize,
}

impl Faults {
    pub const EXIT_CODE: u8 = 64;

    pub(super) fn new(mut faults: Vec<PlacedFault>, left_out: usize) -> Self {
        sort(&mut faults);
        Self { faults, left_out }
    }
}

pub(super) fn sort(faults: &mut [PlacedFault]) {
    faults.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more", self.left_out)?;
        }
        Ok(())
    }
}

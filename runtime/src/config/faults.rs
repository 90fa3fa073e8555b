//! All faults of a configuration, as people read them.

use std::fmt;

use crate::domain::Fault;

/// Why a configuration can't be used: everything that is wrong with it, by file and line. The
/// program ends with 64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults {
    pub faults: Vec<Fault>,
    /// More than were kept.
    pub left_out: usize,
}

impl Faults {
    pub const EXIT_CODE: u8 = 64;

    pub(super) fn new(mut faults: Vec<Fault>, left_out: usize) -> Self {
        sort(&mut faults);
        Self { faults, left_out }
    }
}

pub(super) fn sort(faults: &mut [Fault]) {
    faults.sort_by(|a, b| a.place.cmp(&b.place));
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

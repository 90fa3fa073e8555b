//! Rows that can't be read, for instance because a time zone is no longer known. Each is left out
//! by itself, so that all others work; it is logged once, counted and shown.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteRow;

use super::error::{ControlError, Result};

/// Faults kept of each kind.
const MOST_KEPT: usize = 100;

/// Unreadable rows by kind: the name of each and its fault.
#[derive(Debug, Clone, Default)]
pub(super) struct RowFaults(Arc<Mutex<BTreeMap<&'static str, BTreeMap<String, String>>>>);

impl RowFaults {
    /// Replaces the faults of one kind with those that a complete reading has found.
    pub(super) fn replace(&self, kind: &'static str, found: BTreeMap<String, String>) {
        metrics::gauge!("extrack_unreadable_rows", "what" => kind).set(found.len() as f64);
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = kinds.insert(kind, found).unwrap_or_default();
        for (name, error) in kinds
            .get(kind)
            .into_iter()
            .flatten()
            .filter(|(name, _)| !before.contains_key(*name))
        {
            tracing::error!(
                name,
                error,
                "a stored {kind} can't be read, it is left out: {error}"
            );
        }
    }

    /// Returns one line for each kind with unreadable rows, without private data.
    pub(super) fn warnings(&self) -> Vec<String> {
        let kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let faulty = kinds.iter().filter(|(_, faults)| !faults.is_empty());
        let text = |(kind, faults): (&&str, &BTreeMap<_, _>)| {
            format!(
                "{} stored ({kind}) can't be read and is left out; the log names them",
                faults.len()
            )
        };
        faulty.map(text).collect()
    }
}

/// Some rows of a kind, without those that can't be read.
pub(super) fn skip_unreadable<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T>,
) -> Vec<T> {
    split(rows, read).0
}

/// Some rows of a kind that can be read, and the faults of the others by their names.
pub(super) fn split<T>(
    rows: &[SqliteRow],
    read: impl Fn(&SqliteRow) -> Result<T>,
) -> (Vec<T>, BTreeMap<String, String>) {
    let (mut values, mut faults) = (Vec::with_capacity(rows.len()), BTreeMap::new());
    for row in rows {
        match read(row) {
            Ok(value) => values.push(value),
            Err(error) if faults.len() < MOST_KEPT => {
                drop(faults.insert(name_of(&error), error.to_string()))
            }
            Err(_) => {}
        }
    }
    (values, faults)
}

fn name_of(error: &ControlError) -> String {
    match error {
        ControlError::Unreadable { name, .. } => name.clone(),
        // A column is missing or of another type: all rows fail in the same way.
        _ => String::new(),
    }
}

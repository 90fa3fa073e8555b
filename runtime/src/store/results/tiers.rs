//! Tiers of history: closed slots of time are counted once, in small steps between the batches of
//! the committer, each from the next finer tier. A step counts a range anew as a whole and moves
//! the marks in the same transaction, so that it may be repeated and may end anywhere. Runs that
//! arrive late reopen their slots. Readers see the slots that are counted, and behind them what the
//! runs come to by now.

mod late;
mod marks;
mod plan;
mod step;

use std::time::Duration;

use duckdb::Connection;

use crate::domain::TierRetention;

pub(super) use late::reopen;
pub(super) use marks::{Marks, Range, floor, runs_removed};
pub(super) use step::{Stepped, step};

/// Microseconds since 1970, as DuckDB keeps moments.
pub(super) type Micros = i64;

const SECOND: Micros = 1_000_000;
const HOUR: Micros = 3_600 * SECOND;
pub(super) const DAY: Micros = 24 * HOUR;

/// How tiers are kept.
#[derive(Debug, Clone, Copy)]
pub struct TierSettings {
    pub retention: TierRetention,
    /// Between looks for slots that were closed; also the time until the first one. Default 5 s.
    pub interval: Duration,
}

impl Default for TierSettings {
    fn default() -> Self {
        Self {
            retention: TierRetention::default(),
            interval: Duration::from_secs(5),
        }
    }
}

/// Binds the views of the tiers to what is counted in the snapshot of the open transaction: up to
/// which moment they read a tier is then a constant, by which everything else is skipped.
pub(super) fn bind(connection: &Connection) -> duckdb::Result<()> {
    connection.execute_batch(&variables(connection)?)
}

/// Statements that do what [`bind`] does, on any connection.
pub(super) fn variables(connection: &Connection) -> duckdb::Result<String> {
    Ok(Marks::read(connection)?.variables())
}

#[cfg(test)]
mod tests;

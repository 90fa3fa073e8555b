//! What runs were told of rate limits.

use std::collections::HashMap;

use duckdb::{Connection, params};

use super::ResultError;
use super::read::MAX_ROWS;
use super::tables::{RateLimitRow, select};
use crate::domain::{Observation, RateLimit, UnixMillis};

type ByRun = HashMap<i64, Vec<RateLimit>>;

/// Of the runs from this one on. The newest ones, if they are too many.
pub(super) fn by_run(
    connection: &Connection,
    service: &str,
    since_ms: UnixMillis,
    first_run_id: i64,
) -> Result<ByRun, ResultError> {
    // An answer comes after the moment its run was due.
    let rows: Vec<RateLimitRow> = select(
        connection,
        "WHERE service = ? AND ts >= make_timestamp(? * 1000) AND run_id >= ? ORDER BY ts DESC LIMIT ?",
        params![service, since_ms, first_run_id, MAX_ROWS as i64],
    )?;
    let mut found = ByRun::new();
    for row in rows {
        found.entry(row.run_id).or_default().push(row.limit);
    }
    Ok(found)
}

/// Gives each run its own, in the order in which they were told.
pub(super) fn attach(runs: &mut [Observation], mut limits: ByRun) {
    for run in runs {
        if let Some(mut told) = limits.remove(&run.run_id) {
            told.sort_by(|one, other| (one.ts_ms, &one.name).cmp(&(other.ts_ms, &other.name)));
            run.rate_limits = told;
        }
    }
}

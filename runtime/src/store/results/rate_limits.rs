//! What runs were told of rate limits.

use std::collections::HashMap;

use duckdb::{Connection, params};

use super::ResultError;
use super::read::{MAX_ROWS, reading};
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
    let sql =
        "SELECT run_id, epoch_ms(ts), host, name, quota, remaining, epoch_ms(reset_ts), window_ms FROM fact.rate_limits
         WHERE service = ? AND ts >= make_timestamp(? * 1000) AND run_id >= ? ORDER BY ts DESC LIMIT ?";
    let mut statement = connection.prepare(sql).map_err(reading)?;
    let mut rows = statement
        .query(params![service, since_ms, first_run_id, MAX_ROWS as i64])
        .map_err(reading)?;
    let mut found = ByRun::new();
    while let Some(row) = rows.next().map_err(reading)? {
        let limit = RateLimit {
            ts_ms: row.get(1).map_err(reading)?,
            host: row.get(2).map_err(reading)?,
            name: row.get(3).map_err(reading)?,
            quota: row.get(4).map_err(reading)?,
            remaining: row.get(5).map_err(reading)?,
            reset_ms: row.get(6).map_err(reading)?,
            window_ms: row.get(7).map_err(reading)?,
        };
        found
            .entry(row.get(0).map_err(reading)?)
            .or_default()
            .push(limit);
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

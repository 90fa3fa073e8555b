//! What runs were told of rate limits.

use std::collections::HashMap;

use duckdb::params;

use super::tables::{RateLimitRow, select};
use super::{ResultError, ResultStore};
use crate::domain::{Observation, RateLimit, UnixMillis};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Of some 170 a limit that are 60 limits: more than a page shows.
const MAX_READINGS: i64 = 10_000;

/// Limits by the number of the run that read them.
type ByRun = HashMap<i64, Vec<RateLimit>>;

/// A reading with the probe that read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReading {
    pub probe: String,
    pub limit: RateLimit,
}

impl ResultStore {
    /// Readings of each limit of a service of the last day, oldest first: of each 30 seconds of the
    /// last hour the last one, before that of each half hour.
    pub async fn rate_limit_readings(
        &self,
        service: &str,
        now_ms: UnixMillis,
    ) -> Result<Vec<StoredReading>, ResultError> {
        let service = service.to_owned();
        self.read(move |connection| {
            let mut rows: Vec<RateLimitRow> = select(
                connection,
                "WHERE service = ? AND ts >= make_timestamp(? * 1000) QUALIFY row_number() OVER (\
                     PARTITION BY host, name, credential, partition_key, CASE WHEN ts >= make_timestamp(? * 1000) \
                         THEN epoch_ms(ts) // 30000 ELSE epoch_ms(ts) // 1800000 END \
                     ORDER BY ts DESC, run_id DESC) = 1 ORDER BY ts DESC LIMIT ?",
                params![
                    service,
                    now_ms.saturating_sub(DAY_MS),
                    now_ms.saturating_sub(HOUR_MS),
                    MAX_READINGS
                ],
            )?;
            rows.reverse();
            let readings = rows.into_iter().map(|row| StoredReading {
                probe: row.probe,
                limit: row.limit,
            });
            Ok(readings.collect())
        })
        .await
    }
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

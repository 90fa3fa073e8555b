//! Runs of a service counted by slots of time, for rules that look further back than single runs
//! are kept in memory.

use std::time::Duration;

use duckdb::params;

use super::database::ReaderKind;
use super::error::reading;
use super::read::MAX_ROWS;
use super::{ResultError, ResultStore};
use crate::domain::{RunGroup, Status, UnixMillis, fine_from_ms};

/// Which runs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSpan {
    pub since_ms: UnixMillis,
    /// Runs from this moment on are not counted.
    pub before_ms: UnixMillis,
    /// The longest that one run speaks for.
    pub covered_by_one_run: Duration,
}

impl ResultStore {
    /// Counted by the hour, and by five minutes of the last days. Runs that were missed, and those
    /// whose check broke, are left out. If they are too many, the newest.
    pub async fn observation_groups(
        &self,
        service: &str,
        span: GroupSpan,
    ) -> Result<Vec<RunGroup>, ResultError> {
        let service = service.to_owned();
        self.read_as(ReaderKind::Alerting, move |connection| {
            let sql = "WITH runs AS (
                     SELECT ts, probe, location, status,
                         if(ts < make_timestamp(? * 1000), time_bucket(INTERVAL 1 HOUR, ts), time_bucket(INTERVAL 5 MINUTE, ts)) AS slot,
                         if(status IN ('healthy', 'degraded') AND latency_us IS NOT NULL,
                             fact.latency_bin(latency_us), NULL) AS bin,
                         least(coalesce(epoch_ms(lead(ts) OVER (PARTITION BY probe, location ORDER BY ts, run_id)) - epoch_ms(ts), ?), ?)
                             AS covered_ms
                     FROM fact.observations
                     WHERE service = ? AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) AND NOT missed
                         AND (coalesce(error_kind, '') <> 'plugin' OR status IN ('healthy', 'degraded'))
                 )
                 SELECT epoch_ms(slot) AS start_ms, probe, location, status, bin, count(*) AS runs,
                     sum(covered_ms)::BIGINT AS covered_ms
                 FROM runs
                 WHERE ts < make_timestamp(? * 1000)
                 GROUP BY ALL ORDER BY start_ms DESC LIMIT ?";
            let most_ms = i64::try_from(span.covered_by_one_run.as_millis()).unwrap_or(i64::MAX);
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let fine_ms = fine_from_ms(span.before_ms);
            // The run after the last one tells how long that spoke for the service.
            let until_ms = span.before_ms.saturating_add(most_ms);
            let asked = params![
                fine_ms,
                most_ms,
                most_ms,
                service,
                span.since_ms,
                until_ms,
                span.before_ms,
                MAX_ROWS as i64
            ];
            let mut rows = statement.query(asked).map_err(reading)?;
            let mut groups = Vec::new();
            while let Some(row) = rows.next().map_err(reading)? {
                let status: String = row.get("status").map_err(reading)?;
                // Of a later version of the program: it counts for nobody here.
                let Some(status) = Status::parse(&status) else { continue };
                groups.push(RunGroup {
                    start_ms: row.get("start_ms").map_err(reading)?,
                    probe: row.get("probe").map_err(reading)?,
                    location: row.get("location").map_err(reading)?,
                    status,
                    latency_bin: row.get::<_, Option<i16>>("bin").map_err(reading)?.map(|bin| bin.unsigned_abs()),
                    runs: row.get::<_, i64>("runs").map_err(reading)?.unsigned_abs(),
                    covered_ms: row.get::<_, i64>("covered_ms").map_err(reading)?.max(0).unsigned_abs(),
                });
            }
            groups.reverse();
            Ok(groups)
        })
        .await
    }
}

//! What plugins' runs before this start came to, so that their health goes on from there.

use std::collections::HashMap;

use duckdb::params;

use super::error::reading;
use super::{ResultError, ResultStore};
use crate::domain::{DURATION_BUCKETS, RunOutcome, StoredRun, StoredRuns, UnixMillis};

/// Plugin and digest.
pub type VersionKey = (String, String);

/// Which runs are read back.
#[derive(Debug, Clone, Copy)]
pub struct StoredSpan {
    pub since_ms: UnixMillis,
    /// Runs since then are told by the five minutes they fall into, those before all together.
    pub slots_since_ms: UnixMillis,
    /// Those of this start are known already.
    pub before_run_id: i64,
}

/// Runs of a plugin in one hour, whatever its version was.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginHour {
    pub start_ms: UnixMillis,
    pub failed: u64,
    pub p95_us: f64,
}

impl ResultStore {
    /// Hours of a span that had runs, oldest first; a candidate's runs do not count.
    pub async fn plugin_run_hours(
        &self,
        plugin: &str,
        (since_ms, until_ms): (UnixMillis, UnixMillis),
    ) -> Result<Vec<PluginHour>, ResultError> {
        let plugin = plugin.to_owned();
        self.read(move |connection| {
            let mut statement = connection
                .prepare(
                    "SELECT epoch_ms(time_bucket(INTERVAL 1 HOUR, ts)) AS start_ms, \
                         count(*) FILTER (WHERE outcome <> 'ok') AS failed, \
                         quantile_cont(duration_us, 0.95)::DOUBLE AS p95_us \
                     FROM fact.plugin_runs \
                     WHERE plugin = ? AND ts >= make_timestamp(? * 1000) AND ts < make_timestamp(? * 1000) \
                         AND function NOT LIKE 'shadow-%' \
                     GROUP BY ALL ORDER BY start_ms",
                )
                .map_err(reading)?;
            let mut rows = statement
                .query(params![plugin, since_ms, until_ms])
                .map_err(reading)?;
            let mut hours = Vec::new();
            while let Some(row) = rows.next().map_err(reading)? {
                hours.push(PluginHour {
                    start_ms: row.get("start_ms").map_err(reading)?,
                    failed: row.get::<_, i64>("failed").map_err(reading)?.unsigned_abs(),
                    p95_us: row.get("p95_us").map_err(reading)?,
                });
            }
            Ok(hours)
        })
        .await
    }

    /// Runs of the active versions in groups, by version; a candidate's runs are not those of an
    /// active version.
    pub async fn plugin_run_groups(
        &self,
        span: StoredSpan,
    ) -> Result<HashMap<VersionKey, Vec<StoredRuns>>, ResultError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT plugin, digest, outcome, \
                     if(ts >= make_timestamp(? * 1000), epoch_ms(time_bucket(INTERVAL 5 MINUTE, ts)), 0) AS slot_ms, \
                     least(floor(log2(greatest(duration_us, 1)) * 4)::INTEGER, {}) AS bucket, \
                     count(*) AS runs, sum(cpu_us)::BIGINT AS cpu_us, max(memory_bytes) AS memory_bytes, \
                     max(duration_us) AS max_duration_us, sum(denials)::BIGINT AS denials \
                 FROM fact.plugin_runs \
                 WHERE ts >= make_timestamp(? * 1000) AND run_id < ? AND function NOT LIKE 'shadow-%' \
                 GROUP BY ALL",
                DURATION_BUCKETS - 1
            );
            let mut statement = connection.prepare(&sql).map_err(reading)?;
            let span = params![span.slots_since_ms, span.since_ms, span.before_run_id];
            let mut rows = statement.query(span).map_err(reading)?;
            let mut groups: HashMap<VersionKey, Vec<StoredRuns>> = HashMap::new();
            while let Some(row) = rows.next().map_err(reading)? {
                let outcome: String = row.get("outcome").map_err(reading)?;
                // Of a later version of the program: it counts for nobody here.
                let Some(outcome) = RunOutcome::parse(&outcome) else { continue };
                let count = |name: &str| row.get::<_, i64>(name).map(i64::unsigned_abs).map_err(reading);
                let group = StoredRuns {
                    slot_ms: row.get("slot_ms").map_err(reading)?,
                    outcome,
                    bucket: row.get::<_, i32>("bucket").map_err(reading)?.unsigned_abs() as usize,
                    runs: count("runs")?,
                    denials: count("denials")?,
                    cpu_us: count("cpu_us")?,
                    memory_bytes: row.get("memory_bytes").map_err(reading)?,
                    max_duration_us: count("max_duration_us")?,
                };
                let key = (row.get("plugin").map_err(reading)?, row.get("digest").map_err(reading)?);
                groups.entry(key).or_default().push(group);
            }
            Ok(groups)
        })
        .await
    }

    /// The last runs of one version, oldest first.
    pub async fn plugin_run_last(
        &self,
        plugin: &str,
        digest: &str,
        span: StoredSpan,
        limit: u32,
    ) -> Result<Vec<StoredRun>, ResultError> {
        let (plugin, digest) = (plugin.to_owned(), digest.to_owned());
        self.read(move |connection| {
            let mut statement = connection
                .prepare(
                    "SELECT epoch_ms(ts) AS ts_ms, function, outcome, error, duration_us, cpu_us FROM fact.plugin_runs \
                     WHERE plugin = ? AND digest = ? AND ts >= make_timestamp(? * 1000) AND run_id < ? \
                         AND function NOT LIKE 'shadow-%' \
                     ORDER BY run_id DESC LIMIT ?",
                )
                .map_err(reading)?;
            let wanted = params![plugin, digest, span.since_ms, span.before_run_id, limit];
            let mut rows = statement.query(wanted).map_err(reading)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next().map_err(reading)? {
                let outcome: String = row.get("outcome").map_err(reading)?;
                let Some(outcome) = RunOutcome::parse(&outcome) else { continue };
                found.push(StoredRun {
                    ts_ms: row.get("ts_ms").map_err(reading)?,
                    function: row.get("function").map_err(reading)?,
                    outcome,
                    error: row.get("error").map_err(reading)?,
                    duration_us: row.get::<_, u32>("duration_us").map_err(reading)?.into(),
                    cpu_us: row.get::<_, u32>("cpu_us").map_err(reading)?.into(),
                });
            }
            found.reverse();
            Ok(found)
        })
        .await
    }
}

//! How a candidate compares with the active version of its plugin.

use duckdb::{Row, params};

use super::read::reading;
use super::{ResultError, ResultStore};
use crate::domain::{
    PluginKind, Quantiles, RunOutcome, ShadowRun, ShadowSide, ShadowSummary, SideCost, UnixMillis,
};

/// Enough to see a pattern; SQL has them all.
const DISAGREEMENTS: i64 = 10;

const COMPARED: &str =
    "plugin = ? AND active_digest = ? AND candidate_digest = ? AND ts >= make_timestamp(? * 1000)";

impl ResultStore {
    /// Over the committed runs of this candidate beside this active version since a moment.
    pub async fn shadow_summary(
        &self,
        plugin: &str,
        active_digest: &str,
        candidate_digest: &str,
        since_ms: UnixMillis,
    ) -> Result<ShadowSummary, ResultError> {
        let (plugin, active, candidate) = (
            plugin.to_owned(),
            active_digest.to_owned(),
            candidate_digest.to_owned(),
        );
        self.read(move |connection| {
            let compared = params![plugin, active, candidate, since_ms];
            let columns = ["latency_us", "cpu_us", "memory_bytes"];
            let quantiles = ["active", "candidate"]
                .iter()
                .flat_map(|side| columns.map(|column| format!("{side}_{column}")))
                .flat_map(|column| ["0.5", "0.95", "0.99"].map(|at| format!("quantile_cont({column}, {at})")))
                .collect::<Vec<_>>()
                .join(", ");
            let outcome = |word: &str| format!("count(*) FILTER (candidate_outcome = '{word}')");
            let sql = format!(
                "SELECT count(*), count(*) FILTER (agree), {}, {}, {}, {}, {quantiles} FROM fact.shadow_runs \
                 WHERE {COMPARED}",
                outcome("error"),
                outcome("trap"),
                outcome("timeout"),
                outcome("limit"),
            );
            let mut summary = connection.query_row(&sql, compared, summary_from).map_err(reading)?;
            let sql = format!(
                "SELECT epoch_ms(ts), plugin, kind, service, probe, agree, difference, candidate_outcome, \
                 active_run_id, active_version, active_digest, active_status, active_latency_us, active_cpu_us, \
                 active_memory_bytes, candidate_run_id, candidate_version, candidate_digest, candidate_status, \
                 candidate_latency_us, candidate_cpu_us, candidate_memory_bytes FROM fact.shadow_runs \
                 WHERE {COMPARED} AND NOT agree ORDER BY ts DESC, candidate_run_id DESC LIMIT {DISAGREEMENTS}"
            );
            let mut statement = connection.prepare(&sql).map_err(reading)?;
            let rows = statement.query_map(compared, run_from).map_err(reading)?;
            summary.disagreements = rows.collect::<Result<_, _>>().map_err(reading)?;
            Ok(summary)
        })
        .await
    }
}

fn summary_from(row: &Row<'_>) -> duckdb::Result<ShadowSummary> {
    let count = |index| row.get::<_, i64>(index).map(|count| count.unsigned_abs());
    let quantiles = |first: usize| {
        Ok::<_, duckdb::Error>(Quantiles {
            p50: row.get(first)?,
            p95: row.get(first + 1)?,
            p99: row.get(first + 2)?,
        })
    };
    let side = |first: usize| {
        Ok::<_, duckdb::Error>(SideCost {
            latency_us: quantiles(first)?,
            cpu_us: quantiles(first + 3)?,
            memory_bytes: quantiles(first + 6)?,
        })
    };
    Ok(ShadowSummary {
        runs: count(0)?,
        agreed: count(1)?,
        errors: count(2)?,
        traps: count(3)?,
        timeouts: count(4)?,
        limits: count(5)?,
        active: side(6)?,
        candidate: side(15)?,
        disagreements: Vec::new(),
    })
}

/// Words that this version does not know read as the mildest one: the row is shown, not judged.
fn run_from(row: &Row<'_>) -> duckdb::Result<ShadowRun> {
    let (kind, outcome): (String, String) = (row.get(2)?, row.get(7)?);
    let side = |first: usize| {
        Ok::<_, duckdb::Error>(ShadowSide {
            run_id: row.get(first)?,
            version: row.get(first + 1)?,
            digest: row.get(first + 2)?,
            status: row.get(first + 3)?,
            latency_us: row.get::<_, Option<u32>>(first + 4)?.map(u64::from),
            cpu_us: row.get::<_, u32>(first + 5)?.into(),
            memory_bytes: row.get(first + 6)?,
        })
    };
    Ok(ShadowRun {
        ts_ms: row.get(0)?,
        plugin: row.get(1)?,
        kind: PluginKind::parse(&kind).unwrap_or(PluginKind::Probe),
        service: row.get(3)?,
        probe: row.get(4)?,
        is_agreed: row.get(5)?,
        difference: row.get(6)?,
        outcome: RunOutcome::parse(&outcome).unwrap_or(RunOutcome::Error),
        active: side(8)?,
        candidate: side(15)?,
    })
}

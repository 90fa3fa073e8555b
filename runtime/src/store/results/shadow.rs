//! How a candidate compares with the active version of its plugin.

use duckdb::{Row, params};

use super::error::reading;
use super::tables::select;
use super::{ResultError, ResultStore};
use crate::domain::{Quantiles, ShadowSummary, SideCost, UnixMillis};

/// Enough to see a pattern; SQL has them all.
const DISAGREEMENTS: i64 = 10;

/// Quantiles that are shown, with the names of their columns.
const QUANTILES: [(&str, &str); 3] = [("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99")];

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
                .flat_map(|column| QUANTILES.map(|(name, at)| format!("quantile_cont({column}, {at}) AS {column}_{name}")))
                .collect::<Vec<_>>()
                .join(", ");
            let outcome = |word: &str| format!("count(*) FILTER (candidate_outcome = '{word}') AS {word}s");
            let sql = format!(
                "SELECT count(*) AS runs, count(*) FILTER (agree) AS agreed, {}, {}, {}, {}, {quantiles} FROM fact.shadow_runs \
                 WHERE {COMPARED}",
                outcome("error"),
                outcome("trap"),
                outcome("timeout"),
                outcome("limit"),
            );
            let mut summary = connection.query_row(&sql, compared, summary_from).map_err(reading)?;
            let condition = format!(
                "WHERE {COMPARED} AND NOT agree ORDER BY ts DESC, candidate_run_id DESC LIMIT {DISAGREEMENTS}"
            );
            summary.disagreements = select(connection, &condition, compared)?;
            Ok(summary)
        })
        .await
    }
}

fn summary_from(row: &Row<'_>) -> duckdb::Result<ShadowSummary> {
    let count = |name: &str| row.get::<_, i64>(name).map(|count| count.unsigned_abs());
    let quantiles = |column: String| {
        Ok::<_, duckdb::Error>(Quantiles {
            p50: row.get(format!("{column}_p50").as_str())?,
            p95: row.get(format!("{column}_p95").as_str())?,
            p99: row.get(format!("{column}_p99").as_str())?,
        })
    };
    let side = |side: &str| {
        Ok::<_, duckdb::Error>(SideCost {
            latency_us: quantiles(format!("{side}_latency_us"))?,
            cpu_us: quantiles(format!("{side}_cpu_us"))?,
            memory_bytes: quantiles(format!("{side}_memory_bytes"))?,
        })
    };
    Ok(ShadowSummary {
        runs: count("runs")?,
        agreed: count("agreed")?,
        errors: count("errors")?,
        traps: count("traps")?,
        timeouts: count("timeouts")?,
        limits: count("limits")?,
        active: side("active")?,
        candidate: side("candidate")?,
        disagreements: Vec::new(),
    })
}

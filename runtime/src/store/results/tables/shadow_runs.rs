//! `shadow_runs`: one row a call that both the active version and its candidate got.

use super::ColumnType::{Boolean, I64, Text, Timestamp, U32, U64};
use super::{Batch, Cell, Cells, Column, Record, Stored, column, nullable};
use crate::domain::{PluginKind, RunOutcome, ShadowRun, ShadowSide};
use crate::store::results::ResultError;

impl Record for ShadowRun {
    const TABLE: &'static str = "shadow_runs";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("ts", Timestamp, "start of the candidate's run", |row| {
                Cell::moment(row.ts_ms)
            }),
            column("plugin", Text, "name of the plugin", |row| {
                Cell::text(&row.plugin)
            }),
            column("kind", Text, "`probe` or `rule`", |row| {
                Cell::text(row.kind.as_str())
            }),
            column("service", Text, "slug of the service", |row| {
                Cell::text(&row.service)
            }),
            nullable("probe", Text, "name of the probe", |row| {
                Cell::optional(row.probe.as_deref(), Cell::text)
            }),
            column("agree", Boolean, "both had the same result", |row| {
                Cell::Boolean(row.is_agreed)
            }),
            nullable("difference", Text, "the difference, for people", |row| {
                Cell::optional(row.difference.as_deref(), Cell::text)
            }),
            column(
                "candidate_outcome",
                Text,
                "outcome of the candidate's run",
                |row| Cell::text(row.outcome.as_str()),
            ),
            column(
                "active_run_id",
                I64,
                "id of the active version's run",
                |row| Cell::Signed(row.active.run_id),
            ),
            column("active_version", Text, "active version", |row| {
                Cell::text(&row.active.version)
            }),
            column("active_digest", Text, "its digest", |row| {
                Cell::text(&row.active.digest)
            }),
            column("active_status", Text, "its result", |row| {
                Cell::text(&row.active.status)
            }),
            nullable("active_latency_us", U32, "its latency in µs", |row| {
                Cell::optional(row.active.latency_us, Cell::Unsigned)
            }),
            column("active_cpu_us", U32, "its CPU time in µs", |row| {
                Cell::Unsigned(row.active.cpu_us)
            }),
            column("active_memory_bytes", U64, "its memory", |row| {
                Cell::Unsigned(row.active.memory_bytes)
            }),
            column(
                "candidate_run_id",
                I64,
                "id of the candidate's run",
                |row| Cell::Signed(row.candidate.run_id),
            ),
            column("candidate_version", Text, "candidate", |row| {
                Cell::text(&row.candidate.version)
            }),
            column("candidate_digest", Text, "its digest", |row| {
                Cell::text(&row.candidate.digest)
            }),
            column("candidate_status", Text, "its result", |row| {
                Cell::text(&row.candidate.status)
            }),
            nullable("candidate_latency_us", U32, "its latency in µs", |row| {
                Cell::optional(row.candidate.latency_us, Cell::Unsigned)
            }),
            column("candidate_cpu_us", U32, "its CPU time in µs", |row| {
                Cell::Unsigned(row.candidate.cpu_us)
            }),
            column("candidate_memory_bytes", U64, "its memory", |row| {
                Cell::Unsigned(row.candidate.memory_bytes)
            }),
        ]
    }
}

/// Names of the columns of one side.
struct SideColumns {
    run_id: &'static str,
    version: &'static str,
    digest: &'static str,
    status: &'static str,
    latency_us: &'static str,
    cpu_us: &'static str,
    memory_bytes: &'static str,
}

const ACTIVE: SideColumns = SideColumns {
    run_id: "active_run_id",
    version: "active_version",
    digest: "active_digest",
    status: "active_status",
    latency_us: "active_latency_us",
    cpu_us: "active_cpu_us",
    memory_bytes: "active_memory_bytes",
};

const CANDIDATE: SideColumns = SideColumns {
    run_id: "candidate_run_id",
    version: "candidate_version",
    digest: "candidate_digest",
    status: "candidate_status",
    latency_us: "candidate_latency_us",
    cpu_us: "candidate_cpu_us",
    memory_bytes: "candidate_memory_bytes",
};

fn side(batch: &Batch<'_>, names: &SideColumns, row: usize) -> Result<ShadowSide, ResultError> {
    Ok(ShadowSide {
        run_id: batch.i64(names.run_id)?.one(row)?,
        version: batch.text(names.version)?.one(row)?,
        digest: batch.text(names.digest)?.one(row)?,
        status: batch.text(names.status)?.one(row)?,
        latency_us: batch.u32(names.latency_us)?.get(row).map(u64::from),
        cpu_us: batch.u32(names.cpu_us)?.one(row)?.into(),
        memory_bytes: batch.u64(names.memory_bytes)?.one(row)?,
    })
}

impl Stored for ShadowRun {
    /// A word that this version does not know is read as the mildest one: the row is shown, and no
    /// verdict depends on it.
    fn from_batch(batch: &Batch<'_>) -> Result<Vec<Self>, ResultError> {
        let (ts, agree) = (batch.moment("ts")?, batch.boolean("agree")?);
        let (plugin, kind, service) = (
            batch.text("plugin")?,
            batch.text("kind")?,
            batch.text("service")?,
        );
        let (probe, difference, outcome) = (
            batch.text("probe")?,
            batch.text("difference")?,
            batch.text("candidate_outcome")?,
        );
        let run = |row| {
            Ok(ShadowRun {
                ts_ms: ts.one(row)?,
                plugin: plugin.one(row)?,
                kind: PluginKind::parse(&kind.one(row)?).unwrap_or(PluginKind::Probe),
                service: service.one(row)?,
                probe: probe.get(row),
                is_agreed: agree.one(row)?,
                difference: difference.get(row),
                outcome: RunOutcome::parse(&outcome.one(row)?).unwrap_or(RunOutcome::Error),
                active: side(batch, &ACTIVE, row)?,
                candidate: side(batch, &CANDIDATE, row)?,
            })
        };
        batch.rows().map(run).collect()
    }
}

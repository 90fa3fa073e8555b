//! Rows that are committed together, and how they are written: one transaction, all or nothing.

use std::sync::Arc;

use duckdb::{Connection, ToSql, params};

use super::tables::{AlertEventRow, RateLimitRow, Record, ServiceRow, append};
use super::{call_batches, changes, tiers};
use crate::domain::{CallBatch, Event, Incident, Observation, PluginRun, ShadowRun, UnixMillis};

/// Rows that were, or will be, committed in one transaction: any one of them shows whether the
/// others are there.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) observations: Vec<Arc<Observation>>,
    pub(super) events: Vec<Event>,
    /// Each is stored once, by its number.
    pub(super) calls: Vec<Arc<CallBatch>>,
    pub(super) plugin_runs: Vec<PluginRun>,
    pub(super) shadow_runs: Vec<ShadowRun>,
    /// A commit was tried before, and may have reached the disk although it failed.
    pub(super) is_doubtful: bool,
}

impl Part {
    pub(super) fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    pub(super) fn rows(&self) -> usize {
        self.kept_rows() + self.plugin_runs.len() + self.shadow_runs.len()
    }

    pub(super) fn kept_rows(&self) -> usize {
        let calls = self.calls.iter().map(|batch| batch.stored_rows());
        self.observations.len() + self.events.len() + calls.sum::<usize>()
    }

    /// The highest id of an observation.
    pub(super) fn last_run_id(&self) -> i64 {
        self.observations
            .iter()
            .map(|run| run.run_id)
            .max()
            .unwrap_or(0)
    }
}

/// One transaction.
#[derive(Debug, Clone, Default)]
pub(super) struct Work {
    pub(super) parts: Vec<Part>,
    pub(super) alert_events: Vec<AlertEventRow>,
    pub(super) incidents: Vec<Incident>,
    pub(super) services: Option<Vec<ServiceRow>>,
}

impl Work {
    pub(super) fn rows(&self) -> usize {
        let copied = self.alert_events.len() + self.incidents.len();
        self.parts.iter().map(Part::rows).sum::<usize>() + copied
    }
}

/// All of it or nothing: what is not committed is rolled back by the transaction's drop.
pub(super) fn write(connection: &mut Connection, work: &Work) -> duckdb::Result<()> {
    let tx = connection.transaction()?;
    let mut fresh = Vec::with_capacity(work.parts.len());
    for part in &work.parts {
        if !(part.is_doubtful && is_committed(&tx, part)?) {
            fresh.push(part);
        }
    }
    let observations = fresh.iter().flat_map(|part| &part.observations);
    let observations = observations.map(|run| run.as_ref());
    append(&tx, observations.clone())?;
    tiers::reopen(&tx, observations.clone())?;
    append(&tx, limits_of(observations).iter())?;
    append(&tx, fresh.iter().flat_map(|part| &part.plugin_runs))?;
    append(&tx, fresh.iter().flat_map(|part| &part.events))?;
    append(&tx, fresh.iter().flat_map(|part| &part.shadow_runs))?;
    call_batches::write(&tx, fresh.iter().flat_map(|part| &part.calls))?;
    let events = not_copied(
        &tx,
        ("alert_events", "event_id"),
        &work.alert_events,
        |(event, _)| (event.id, event.ts_ms),
    )?;
    append(&tx, events.into_iter())?;
    let incidents = not_copied(
        &tx,
        ("incidents", "change_id"),
        &work.incidents,
        |incident| (incident.change_id, incident.changed_ms),
    )?;
    append(&tx, incidents.into_iter())?;
    if let Some(services) = &work.services {
        tx.execute_batch("DELETE FROM fact.services")?;
        changes::mark_whole(&tx, ServiceRow::TABLE)?;
        append(&tx, services.iter())?;
    }
    tx.commit()
}

/// Returns the readings of rate limits that the runs brought along.
fn limits_of<'a>(runs: impl Iterator<Item = &'a Observation>) -> Vec<RateLimitRow> {
    let rows = runs.flat_map(|run| {
        run.rate_limits.iter().map(|limit| RateLimitRow {
            service: run.service.clone(),
            probe: run.probe.clone(),
            location: run.location.clone(),
            run_id: run.run_id,
            limit: limit.clone(),
        })
    });
    rows.collect()
}

/// A commit may fail after its data reached the disk, and a program may be killed before it has
/// removed what it committed from the spool.
fn is_committed(connection: &Connection, part: &Part) -> duckdb::Result<bool> {
    let found = |sql: &str, params: &[&dyn ToSql]| {
        connection.query_row(sql, params, |row| row.get("found"))
    };
    if let Some(row) = part.observations.first() {
        return found(
            "SELECT count(*) > 0 AS found FROM fact.observations WHERE run_id = ? AND service = ? AND probe = ?",
            &[&row.run_id, &row.service, &row.probe],
        );
    }
    if let Some(row) = part.events.first() {
        return found(
            "SELECT count(*) > 0 AS found FROM fact.events WHERE id = ? AND service = ? AND webhook = ?",
            &[&row.id, &row.service, &row.webhook],
        );
    }
    if let Some(row) = part.plugin_runs.first() {
        return found(
            "SELECT count(*) > 0 AS found FROM fact.plugin_runs WHERE run_id = ? AND plugin = ?",
            &[&row.run_id, &row.plugin],
        );
    }
    if let Some(row) = part.shadow_runs.first() {
        return found(
            "SELECT count(*) > 0 AS found FROM fact.shadow_runs WHERE candidate_run_id = ? AND plugin = ?",
            &[&row.candidate.run_id, &row.plugin],
        );
    }
    Ok(false)
}

/// Rows of a table whose id and moment are not in it. Ids alone begin anew with a control store that
/// was made anew.
fn not_copied<'a, R>(
    connection: &Connection,
    (table, id): (&str, &str),
    rows: &'a [R],
    key: impl Fn(&R) -> (i64, UnixMillis),
) -> duckdb::Result<Vec<&'a R>> {
    let ids = || rows.iter().map(|row| key(row).0);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT {id} AS id, epoch_ms(ts) AS ts_ms FROM fact.{table} WHERE {id} BETWEEN ? AND ?"
    );
    let mut statement = connection.prepare(&sql)?;
    let known = statement.query_map(params![first, last], |row| {
        Ok((row.get::<_, i64>("id")?, row.get::<_, i64>("ts_ms")?))
    })?;
    let known: std::collections::HashSet<(i64, i64)> = known.collect::<Result<_, _>>()?;
    Ok(rows
        .iter()
        .filter(|row| !known.contains(&key(row)))
        .collect())
}

//! Rows that are committed together, and how they are written: one transaction, all or nothing.

use std::sync::Arc;

use duckdb::{Connection, ToSql, params};

use super::rows::{self, ServiceRow};
use crate::domain::{Alert, AlertEvent, Event, Observation, PluginRun, ShadowRun};

/// Rows that were, or will be, committed in one transaction: any one of them shows whether the
/// others are there.
#[derive(Debug, Clone, Default)]
pub(super) struct Part {
    pub(super) observations: Vec<Arc<Observation>>,
    pub(super) events: Vec<Event>,
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
        self.observations.len() + self.events.len()
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
    pub(super) alert_events: Vec<(AlertEvent, Alert)>,
    pub(super) services: Option<Vec<ServiceRow>>,
}

impl Work {
    pub(super) fn rows(&self) -> usize {
        self.parts.iter().map(Part::rows).sum::<usize>() + self.alert_events.len()
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
    let observations: Vec<&Observation> = fresh
        .iter()
        .flat_map(|part| &part.observations)
        .map(|run| run.as_ref())
        .collect();
    append_all(&tx, rows::OBSERVATIONS, &observations, |appender, row| {
        rows::append_observation(appender, row)
    })?;
    let limits: Vec<_> = observations
        .iter()
        .flat_map(|run| run.rate_limits.iter().map(move |limit| (*run, limit)))
        .collect();
    append_all(&tx, rows::RATE_LIMITS, &limits, |appender, (run, limit)| {
        rows::append_rate_limit(appender, run, limit)
    })?;
    let runs: Vec<&PluginRun> = fresh.iter().flat_map(|part| &part.plugin_runs).collect();
    append_all(&tx, rows::PLUGIN_RUNS, &runs, |appender, row| {
        rows::append_plugin_run(appender, row)
    })?;
    let events: Vec<&Event> = fresh.iter().flat_map(|part| &part.events).collect();
    append_all(&tx, rows::EVENTS, &events, |appender, row| {
        rows::append_event(appender, row)
    })?;
    let compared: Vec<&ShadowRun> = fresh.iter().flat_map(|part| &part.shadow_runs).collect();
    append_all(&tx, rows::SHADOW_RUNS, &compared, |appender, row| {
        rows::append_shadow_run(appender, row)
    })?;
    let copied = not_copied(&tx, &work.alert_events)?;
    append_all(
        &tx,
        rows::ALERT_EVENTS,
        &copied,
        |appender, (event, alert)| rows::append_alert_event(appender, event, alert),
    )?;
    if let Some(services) = &work.services {
        tx.execute_batch("DELETE FROM fact.services")?;
        append_all(&tx, rows::SERVICES, services, rows::append_service)?;
    }
    tx.commit()
}

/// A commit may fail after its data reached the disk, and a program may be killed before it has
/// removed what it committed from the spool.
fn is_committed(connection: &Connection, part: &Part) -> duckdb::Result<bool> {
    let found =
        |sql: &str, params: &[&dyn ToSql]| connection.query_row(sql, params, |row| row.get(0));
    if let Some(row) = part.observations.first() {
        return found(
            "SELECT count(*) > 0 FROM fact.observations WHERE run_id = ? AND service = ? AND probe = ?",
            &[&row.run_id, &row.service, &row.probe],
        );
    }
    if let Some(row) = part.events.first() {
        return found(
            "SELECT count(*) > 0 FROM fact.events WHERE id = ? AND service = ? AND webhook = ?",
            &[&row.id, &row.service, &row.webhook],
        );
    }
    if let Some(row) = part.plugin_runs.first() {
        return found(
            "SELECT count(*) > 0 FROM fact.plugin_runs WHERE run_id = ? AND plugin = ?",
            &[&row.run_id, &row.plugin],
        );
    }
    if let Some(row) = part.shadow_runs.first() {
        return found(
            "SELECT count(*) > 0 FROM fact.shadow_runs WHERE candidate_run_id = ? AND plugin = ?",
            &[&row.candidate.run_id, &row.plugin],
        );
    }
    Ok(false)
}

/// Alert events that are not in the table. The same event has the same id and moment: ids alone
/// begin anew with a control store that was made anew.
fn not_copied<'a>(
    connection: &Connection,
    events: &'a [(AlertEvent, Alert)],
) -> duckdb::Result<Vec<&'a (AlertEvent, Alert)>> {
    let ids = || events.iter().map(|(event, _)| event.id);
    let (Some(first), Some(last)) = (ids().min(), ids().max()) else {
        return Ok(Vec::new());
    };
    let sql = "SELECT event_id, epoch_ms(ts) FROM fact.alert_events WHERE event_id BETWEEN ? AND ?";
    let mut statement = connection.prepare(sql)?;
    let known = statement.query_map(params![first, last], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    })?;
    let known: std::collections::HashSet<(i64, i64)> = known.collect::<Result<_, _>>()?;
    Ok(events
        .iter()
        .filter(|(event, _)| !known.contains(&(event.id, event.ts_ms)))
        .collect())
}

fn append_all<T>(
    connection: &Connection,
    table: &str,
    rows: &[T],
    append: impl Fn(&mut duckdb::Appender<'_>, &T) -> duckdb::Result<()>,
) -> duckdb::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut appender = connection.appender_to_db(table, rows::SCHEMA)?;
    for row in rows {
        append(&mut appender, row)?;
    }
    // Explicitly: a drop would swallow the error.
    appender.flush()
}

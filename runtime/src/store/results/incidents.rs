//! Incidents: copies of what the control store decided, and pages of them for people.

use duckdb::{Connection, Row, ToSql};
use tokio::sync::oneshot;

use super::error::reading;
use super::read::MAX_ROWS;
use super::{ResultError, ResultStore};
use crate::domain::{Incident, IncidentSource, UnixMillis};

/// Which incidents; nothing set means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentFilter {
    pub id: Option<i64>,
    /// Slug.
    pub service: Option<String>,
    pub source: Option<IncidentSource>,
    pub is_open: Option<bool>,
    /// Those that lasted into this moment, or began behind it.
    pub from_ms: Option<UnixMillis>,
    /// Those that began before this moment.
    pub until_ms: Option<UnixMillis>,
    /// Start and id of the last one of the page before.
    pub before: Option<(UnixMillis, i64)>,
}

/// Row of the view `incidents`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentRow {
    pub id: i64,
    pub service: String,
    pub started_ms: UnixMillis,
    pub ended_ms: Option<UnixMillis>,
    pub seconds: i64,
    pub kind: String,
    pub source: String,
    pub cause: String,
    pub error_kind: Option<String>,
    pub probe: Option<String>,
    pub outcome: Option<String>,
    pub runs: i64,
    pub reopened: i64,
    pub alert_id: Option<i64>,
    pub fired_ms: Option<UnixMillis>,
    pub acknowledged_ms: Option<UnixMillis>,
    pub acknowledged_by: Option<String>,
}

impl ResultStore {
    /// Returns after the commit. What is there already, by the id and moment of its change, is left
    /// out.
    pub async fn incident_append(&self, incidents: Vec<Incident>) -> Result<(), ResultError> {
        let (done, answer) = oneshot::channel();
        self.queue.copy_incidents(incidents, done);
        answer.await.map_err(|_| ResultError::Closed)?
    }

    /// Id and moment of the change with the highest id.
    pub async fn incident_last(&self) -> Result<Option<(i64, UnixMillis)>, ResultError> {
        self.read(|connection| {
            let sql = "SELECT change_id, epoch_ms(ts) AS ts_ms FROM fact.incidents ORDER BY change_id DESC, ts DESC LIMIT 1";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let mut rows = statement.query([]).map_err(reading)?;
            let Some(row) = rows.next().map_err(reading)? else {
                return Ok(None);
            };
            let change_id = row.get("change_id").map_err(reading)?;
            Ok(Some((change_id, row.get("ts_ms").map_err(reading)?)))
        })
        .await
    }

    /// The last to begin first.
    pub async fn incident_page(
        &self,
        filter: IncidentFilter,
        limit: usize,
    ) -> Result<Vec<IncidentRow>, ResultError> {
        self.read(move |connection| page(connection, &filter, limit).map_err(reading))
            .await
    }
}

fn page(
    connection: &Connection,
    filter: &IncidentFilter,
    limit: usize,
) -> duckdb::Result<Vec<IncidentRow>> {
    let source = filter.source.map(IncidentSource::as_str);
    let before = filter.before.unwrap_or((i64::MAX, i64::MAX));
    let limit = limit.min(MAX_ROWS) as i64;
    let mut conditions = vec!["(epoch_ms(started), id) < (?, ?)"];
    let mut values: Vec<&dyn ToSql> = vec![&before.0, &before.1];
    if let Some(id) = &filter.id {
        conditions.push("id = ?");
        values.push(id);
    }
    if let Some(service) = &filter.service {
        conditions.push("service = ?");
        values.push(service);
    }
    if let Some(source) = &source {
        conditions.push("source = ?");
        values.push(source);
    }
    if let Some(is_open) = &filter.is_open {
        conditions.push("(ended IS NULL) = ?");
        values.push(is_open);
    }
    if let Some(from_ms) = &filter.from_ms {
        conditions.push("(ended IS NULL OR epoch_ms(ended) >= ?)");
        values.push(from_ms);
    }
    if let Some(until_ms) = &filter.until_ms {
        conditions.push("epoch_ms(started) < ?");
        values.push(until_ms);
    }
    values.push(&limit);
    let sql = format!(
        "SELECT *, epoch_ms(started) AS started_ms, epoch_ms(ended) AS ended_ms, epoch_ms(fired) AS fired_ms, \
             epoch_ms(acknowledged) AS acknowledged_ms \
         FROM main.incidents WHERE {} ORDER BY started DESC, id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map(values.as_slice(), row_from)?;
    rows.collect()
}

fn row_from(row: &Row<'_>) -> duckdb::Result<IncidentRow> {
    Ok(IncidentRow {
        id: row.get("id")?,
        service: row.get("service")?,
        started_ms: row.get("started_ms")?,
        ended_ms: row.get("ended_ms")?,
        seconds: row.get("seconds")?,
        kind: row.get("kind")?,
        source: row.get("source")?,
        cause: row.get("cause")?,
        error_kind: row.get("error_kind")?,
        probe: row.get("probe")?,
        outcome: row.get("outcome")?,
        runs: row.get("runs")?,
        reopened: row.get("reopened")?,
        alert_id: row.get("alert_id")?,
        fired_ms: row.get("fired_ms")?,
        acknowledged_ms: row.get("acknowledged_ms")?,
        acknowledged_by: row.get("acknowledged_by")?,
    })
}

//! Questions to the events: pages for people, ids against repetition.

use duckdb::{Connection, ToSql};

use super::error::reading;
use super::read::MAX_ROWS;
use super::tables::select;
use super::{ResultError, ResultStore};
use crate::domain::Event;

/// Which events; nothing set means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Slug.
    pub service: Option<String>,
    pub webhook: Option<String>,
    pub kind: Option<String>,
}

impl ResultStore {
    /// Newest first; the cursor is the id of the last one of the page before.
    pub async fn event_page(
        &self,
        filter: EventFilter,
        before_id: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Event>, ResultError> {
        self.read(move |connection| page(connection, &filter, before_id.unwrap_or(i64::MAX), limit))
            .await
    }

    /// Those about incidents behind an id, in the order of their ids: of each the kind is
    /// `incident.STATUS`.
    pub async fn event_incidents_after(
        &self,
        after_id: i64,
        limit: usize,
    ) -> Result<Vec<Event>, ResultError> {
        self.read(move |connection| {
            select(
                connection,
                "WHERE id > ? AND starts_with(kind, 'incident.') ORDER BY id LIMIT ?",
                duckdb::params![after_id, limit.min(MAX_ROWS) as i64],
            )
        })
        .await
    }

    /// The senders' ids of the last events of a webhook, newest first.
    pub async fn event_sender_ids(
        &self,
        service: &str,
        webhook: &str,
        limit: usize,
    ) -> Result<Vec<String>, ResultError> {
        let (service, webhook) = (service.to_owned(), webhook.to_owned());
        self.read(move |connection| {
            let sql = "SELECT event_id FROM fact.events
                 WHERE service = ? AND webhook = ? AND event_id IS NOT NULL ORDER BY id DESC LIMIT ?";
            let mut statement = connection.prepare(sql).map_err(reading)?;
            let limit = limit.min(MAX_ROWS) as i64;
            let ids =
                statement.query_map(duckdb::params![service, webhook, limit], |row| row.get("event_id")).map_err(reading)?;
            ids.collect::<Result<Vec<String>, _>>().map_err(reading)
        })
        .await
    }
}

fn page(
    connection: &Connection,
    filter: &EventFilter,
    before_id: i64,
    limit: usize,
) -> Result<Vec<Event>, ResultError> {
    let mut conditions = vec!["id < ?"];
    let mut params: Vec<&dyn ToSql> = vec![&before_id];
    for (condition, value) in [
        ("service = ?", &filter.service),
        ("webhook = ?", &filter.webhook),
        ("kind = ?", &filter.kind),
    ] {
        if let Some(value) = value {
            conditions.push(condition);
            params.push(value);
        }
    }
    let limit = limit.min(MAX_ROWS) as i64;
    params.push(&limit);
    let condition = format!(
        "WHERE {} ORDER BY id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    select(connection, &condition, params.as_slice())
}

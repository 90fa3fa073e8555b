//! Alerts and their histories. They are changed by [`super::Transition`] only.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::row_faults::skip_unreadable;
use super::{ControlStore, Result, page, word};
use crate::domain::{
    Acknowledgement, Alert, AlertEvent, AlertFlags, AlertId, AlertState, Labels, Severity,
    UnixMillis,
};

/// Filter of a list; fields that are none match everything.
#[derive(Debug, Clone, Default)]
pub struct AlertFilter {
    pub state: Option<AlertState>,
    /// Slug.
    pub service: Option<String>,
    /// Only alerts with a smaller id: the cursor is the id of the last one of the page before.
    pub before: Option<i64>,
    pub limit: u32,
}

impl ControlStore {
    /// Oldest first.
    pub async fn alert_open_list(&self) -> Result<Vec<Alert>> {
        #[cfg(test)]
        self.hooks.before_read()?;
        let rows = sqlx::query("SELECT * FROM alerts WHERE state <> 'resolved' ORDER BY id")
            .fetch_all(&self.reader)
            .await?;
        Ok(self.readable("alert", &rows, alert_from))
    }

    /// Open ones of one service, oldest first.
    pub async fn alert_open_of_service(&self, service: &str) -> Result<Vec<Alert>> {
        #[cfg(test)]
        self.hooks.before_read()?;
        let rows = sqlx::query(
            "SELECT * FROM alerts INDEXED BY alerts_open WHERE state <> 'resolved' AND service = $1 ORDER BY id",
        )
        .bind(service)
        .fetch_all(&self.reader)
        .await?;
        Ok(skip_unreadable(&rows, alert_from))
    }

    /// Acknowledged ones whose time ends, the first to end first.
    pub async fn alert_expiring(&self, limit: u32) -> Result<Vec<Alert>> {
        let rows = sqlx::query(
            "SELECT * FROM alerts WHERE state = 'acknowledged' AND ack_until_ms IS NOT NULL
             ORDER BY ack_until_ms, id LIMIT $1",
        )
        .bind(page(limit))
        .fetch_all(&self.reader)
        .await?;
        Ok(skip_unreadable(&rows, alert_from))
    }

    /// Newest first.
    pub async fn alert_list(&self, filter: &AlertFilter) -> Result<Vec<Alert>> {
        // One text for each set of columns: a text for all of them would leave every index aside.
        let query = match (filter.state, &filter.service) {
            (None, None) => {
                "SELECT * FROM alerts WHERE id < $1 AND $2 IS NULL AND $3 IS NULL ORDER BY id DESC LIMIT $4"
            }
            (Some(AlertState::Resolved), None) => {
                "SELECT * FROM alerts WHERE state = 'resolved' AND id < $1 AND $2 IS NOT NULL AND $3 IS NULL
                 ORDER BY id DESC LIMIT $4"
            }
            (Some(_), None) => {
                "SELECT * FROM alerts WHERE state <> 'resolved' AND id < $1 AND state = $2 AND $3 IS NULL
                 ORDER BY id DESC LIMIT $4"
            }
            (None, Some(_)) => {
                "SELECT * FROM alerts WHERE service = $3 AND id < $1 AND $2 IS NULL ORDER BY id DESC LIMIT $4"
            }
            (Some(AlertState::Resolved), Some(_)) => {
                "SELECT * FROM alerts WHERE service = $3 AND state = 'resolved' AND id < $1 AND $2 IS NOT NULL
                 ORDER BY id DESC LIMIT $4"
            }
            (Some(_), Some(_)) => {
                "SELECT * FROM alerts INDEXED BY alerts_open
                 WHERE state <> 'resolved' AND service = $3 AND id < $1 AND state = $2 ORDER BY id DESC LIMIT $4"
            }
        };
        let rows = sqlx::query(query)
            .bind(filter.before.unwrap_or(i64::MAX))
            .bind(filter.state.map(AlertState::as_str))
            .bind(filter.service.as_deref())
            .bind(page(filter.limit))
            .fetch_all(&self.reader)
            .await?;
        Ok(skip_unreadable(&rows, alert_from))
    }

    /// Alerts, of one rule or of all, that fired at some time between two moments, in the order in
    /// which they fired.
    pub async fn alert_fired_list(
        &self,
        rule: Option<&str>,
        since_ms: UnixMillis,
        until_ms: UnixMillis,
        limit: u32,
    ) -> Result<Vec<Alert>> {
        let query = match rule {
            Some(_) => {
                "SELECT * FROM alerts
                 WHERE rule = $1 AND state = 'resolved' AND resolved_ms >= $3 AND fired_ms < $2
                 UNION ALL
                 SELECT * FROM alerts WHERE rule = $1 AND state <> 'resolved' AND fired_ms < $2
                 ORDER BY fired_ms, id LIMIT $4"
            }
            None => {
                "SELECT * FROM alerts
                 WHERE state = 'resolved' AND resolved_ms >= $3 AND fired_ms < $2 AND $1 IS NULL
                 UNION ALL
                 SELECT * FROM alerts WHERE state <> 'resolved' AND fired_ms < $2 AND $1 IS NULL
                 ORDER BY fired_ms, id LIMIT $4"
            }
        };
        let rows = sqlx::query(query)
            .bind(rule)
            .bind(until_ms)
            .bind(since_ms)
            .bind(page(limit))
            .fetch_all(&self.reader)
            .await?;
        Ok(skip_unreadable(&rows, alert_from))
    }

    /// Returns an alert with its events, oldest first.
    pub async fn alert_get(&self, id: AlertId) -> Result<Option<(Alert, Vec<AlertEvent>)>> {
        let mut tx = self.reader.begin().await?;
        let Some(row) = sqlx::query("SELECT * FROM alerts WHERE id = $1")
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?
        else {
            return Ok(None);
        };
        let events = sqlx::query(
            "SELECT id AS event_id, * FROM alert_events WHERE alert_id = $1 ORDER BY id",
        )
        .bind(id.0)
        .fetch_all(&mut *tx)
        .await?;
        Ok(Some((
            alert_from(&row)?,
            events.iter().map(event_from).collect::<Result<_>>()?,
        )))
    }

    /// Events with a greater id, oldest first, each with its alert as it is now: for copying by
    /// watermark.
    pub async fn alert_event_after(&self, id: i64, limit: u32) -> Result<Vec<(AlertEvent, Alert)>> {
        let rows = sqlx::query(
            "SELECT e.id AS event_id, e.alert_id, e.ts_ms, e.from_state, e.to_state, e.actor, e.reason, a.*
             FROM alert_events e JOIN alerts a ON a.id = e.alert_id WHERE e.id > $1 ORDER BY e.id LIMIT $2",
        )
        .bind(id)
        .bind(page(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| Ok((event_from(row)?, alert_from(row)?)))
            .collect()
    }
}

pub(super) fn alert_from(row: &SqliteRow) -> Result<Alert> {
    let id: i64 = row.try_get("id")?;
    Ok(Alert {
        id: AlertId(id),
        name: row.try_get("name")?,
        rule: row.try_get("rule")?,
        service: row.try_get("service")?,
        severity: word(row, "severity", "alert", id, Severity::parse)?,
        state: word(row, "state", "alert", id, AlertState::parse)?,
        summary: row.try_get("summary")?,
        value: row.try_get("value")?,
        wanted: row.try_get("wanted")?,
        started_ms: row.try_get("started_ms")?,
        fired_ms: row.try_get("fired_ms")?,
        resolved_ms: row.try_get("resolved_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        suppressed_by: row.try_get("suppressed_by")?,
        flags: AlertFlags {
            acknowledged: acknowledged_from(row)?,
            flapping: row.try_get("flapping")?,
            no_data: row.try_get("no_data")?,
        },
        labels: labels_from(row, id)?,
    })
}

fn labels_from(row: &SqliteRow, id: i64) -> Result<Labels> {
    match row.try_get::<Option<String>, _>("labels")? {
        Some(_) => word(row, "labels", "alert", id, |text| {
            serde_json::from_str(text).ok()
        }),
        None => Ok(Labels::default()),
    }
}

fn acknowledged_from(row: &SqliteRow) -> Result<Option<Acknowledgement>> {
    let Some(by) = row.try_get("ack_by")? else {
        return Ok(None);
    };
    Ok(Some(Acknowledgement {
        by,
        at_ms: row.try_get("ack_ms")?,
        until_ms: row.try_get("ack_until_ms")?,
        note: row.try_get("ack_note")?,
    }))
}

fn event_from(row: &SqliteRow) -> Result<AlertEvent> {
    let id: i64 = row.try_get("event_id")?;
    let from: Option<String> = row.try_get("from_state")?;
    Ok(AlertEvent {
        id,
        alert: AlertId(row.try_get("alert_id")?),
        ts_ms: row.try_get("ts_ms")?,
        from: match from {
            Some(_) => Some(word(
                row,
                "from_state",
                "alert event",
                id,
                AlertState::parse,
            )?),
            None => None,
        },
        to: word(row, "to_state", "alert event", id, AlertState::parse)?,
        actor: row.try_get("actor")?,
        reason: row.try_get("reason")?,
    })
}

//! Removes what is over and old, a few rows at a time, each step in a transaction of its own, so
//! that no alert waits for it.

use sqlx::{Row, SqliteConnection};

use super::{ControlStore, Result};
use crate::domain::UnixMillis;

/// Rows that are kept for a time after they are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retained {
    /// Signs of life of the watchdog, by the moment they were made.
    SignsOfLife,
    /// Messages that no longer wait, with their attempts, by the moment they were made. One about
    /// an alert that is open stays: the message about its end refers to it.
    Notifications,
    /// Resolved alerts with their events, by their end. One stays while a message or a group is
    /// about it, or while one of its events has a greater id than the last one that was copied
    /// to the results.
    Alerts { copied_event: i64 },
    /// Entries of the audit log.
    Audit,
    /// Silences that have ended.
    Silences,
    /// One-off maintenance windows that are over.
    Windows,
    /// Incidents that have ended. One stays until its last change was copied to the results.
    Incidents { copied_change: i64 },
    /// Deliveries of webhooks, from when they came.
    Deliveries,
    /// Runs of reports with what they made, from their end on. One that is on its way stays.
    ReportRuns,
}

/// Where a step ended: the moment and the row of the last one it looked at.
pub type RetentionPlace = (UnixMillis, i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionStep {
    pub removed: u64,
    /// Where the next step begins; none: nothing older is left.
    pub next: Option<RetentionPlace>,
}

impl ControlStore {
    /// Looks at up to `rows` rows of one kind from before a moment, behind a place, the oldest
    /// first, and removes those that nothing else needs.
    pub async fn retention_step(
        &self,
        what: Retained,
        before_ms: UnixMillis,
        after: RetentionPlace,
        rows: u32,
    ) -> Result<RetentionStep> {
        let copied = match what {
            Retained::Alerts { copied_event } => copied_event,
            Retained::Incidents { copied_change } => copied_change,
            _ => 0,
        };
        let mut tx = self.begin_write().await?;
        let found = sqlx::query(due_rows(what))
            .bind(after.0)
            .bind(after.1)
            .bind(before_ms)
            .bind(i64::from(rows))
            .bind(copied)
            .fetch_all(&mut *tx)
            .await?;
        let (mut free, mut last) = (Vec::new(), None);
        for row in &found {
            let id: i64 = row.try_get("id")?;
            last = Some((row.try_get("ts_ms")?, id));
            if row.try_get("is_free")? {
                free.push(id);
            }
        }
        if !free.is_empty() {
            let ids = serde_json::to_string(&free).expect("a list of numbers");
            remove(&mut tx, what, &ids).await?;
        }
        tx.commit().await?;
        let is_all = found.len() < rows as usize;
        Ok(RetentionStep {
            removed: free.len() as u64,
            next: last.filter(|_| !is_all),
        })
    }
}

/// Query for rows of one kind from before a moment ($3), behind a place ($1, $2), and whether each
/// may be removed.
const fn due_rows(what: Retained) -> &'static str {
    match what {
        Retained::SignsOfLife => {
            "SELECT created_ms AS ts_ms, id, state <> 'waiting' AS is_free FROM notifications
             WHERE reason = 'watchdog' AND (created_ms, id) > ($1, $2) AND created_ms < $3 AND $5 IS NOT NULL
             ORDER BY created_ms, id LIMIT $4"
        }
        Retained::Notifications => {
            "SELECT n.created_ms AS ts_ms, n.id, NOT EXISTS (
                 SELECT 1 FROM notification_alerts l CROSS JOIN alerts a ON a.id = l.alert_id
                 WHERE l.notification_id = n.id AND a.state <> 'resolved') AS is_free
             FROM notifications n
             WHERE n.state <> 'waiting' AND (n.created_ms, n.id) > ($1, $2) AND n.created_ms < $3
                 AND $5 IS NOT NULL
             ORDER BY n.created_ms, n.id LIMIT $4"
        }
        Retained::Alerts { .. } => {
            "SELECT a.resolved_ms AS ts_ms, a.id,
                 NOT EXISTS (SELECT 1 FROM notification_alerts WHERE alert_id = a.id)
                 AND NOT EXISTS (SELECT 1 FROM alert_group_members WHERE alert_id = a.id)
                 AND NOT EXISTS (SELECT 1 FROM alert_events WHERE alert_id = a.id AND id > $5) AS is_free
             FROM alerts a
             WHERE a.state = 'resolved' AND (a.resolved_ms, a.id) > ($1, $2) AND a.resolved_ms < $3
             ORDER BY a.resolved_ms, a.id LIMIT $4"
        }
        Retained::Audit => {
            "SELECT ts_ms, id, TRUE AS is_free FROM audit_log
             WHERE (ts_ms, id) > ($1, $2) AND ts_ms < $3 AND $5 IS NOT NULL ORDER BY ts_ms, id LIMIT $4"
        }
        Retained::Silences => {
            "SELECT ends_ms AS ts_ms, id, TRUE AS is_free FROM silences
             WHERE (ends_ms, id) > ($1, $2) AND ends_ms < $3 AND $5 IS NOT NULL ORDER BY ends_ms, id LIMIT $4"
        }
        Retained::Windows => {
            "SELECT ends_ms AS ts_ms, rowid AS id, TRUE AS is_free FROM maintenance_windows
             WHERE ends_ms IS NOT NULL AND (ends_ms, rowid) > ($1, $2) AND ends_ms < $3 AND $5 IS NOT NULL
             ORDER BY ends_ms, rowid LIMIT $4"
        }
        Retained::Incidents { .. } => {
            "SELECT ended_ms AS ts_ms, id, change_id <= $5 AS is_free FROM incidents
             WHERE ended_ms IS NOT NULL AND (ended_ms, id) > ($1, $2) AND ended_ms < $3
             ORDER BY ended_ms, id LIMIT $4"
        }
        Retained::Deliveries => {
            "SELECT received_ms AS ts_ms, id, TRUE AS is_free FROM webhook_deliveries
             WHERE (received_ms, id) > ($1, $2) AND received_ms < $3 AND $5 IS NOT NULL
             ORDER BY received_ms, id LIMIT $4"
        }
        Retained::ReportRuns => {
            "SELECT r.finished_ms AS ts_ms, r.id, NOT EXISTS (
                 SELECT 1 FROM notifications n
                 WHERE n.group_key = 'report:' || r.report || ':' || r.id AND n.state = 'waiting') AS is_free
             FROM report_runs r
             WHERE r.finished_ms IS NOT NULL AND (r.finished_ms, r.id) > ($1, $2) AND r.finished_ms < $3
                 AND $5 IS NOT NULL
             ORDER BY r.finished_ms, r.id LIMIT $4"
        }
    }
}

/// Rows by their ids, a JSON array, with what belongs to them.
async fn remove(tx: &mut SqliteConnection, what: Retained, ids: &str) -> Result<()> {
    let queries: &[&'static str] = match what {
        Retained::SignsOfLife | Retained::Notifications => &[
            "DELETE FROM notification_attempts WHERE notification_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM notification_alerts WHERE notification_id IN (SELECT value FROM json_each($1))",
            "UPDATE notifications SET digest_id = NULL WHERE digest_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM notifications WHERE id IN (SELECT value FROM json_each($1))",
        ],
        Retained::Alerts { .. } => &[
            "DELETE FROM escalations WHERE alert_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM alert_events WHERE alert_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM alerts WHERE id IN (SELECT value FROM json_each($1))",
        ],
        Retained::Audit => &["DELETE FROM audit_log WHERE id IN (SELECT value FROM json_each($1))"],
        Retained::Silences => {
            &["DELETE FROM silences WHERE id IN (SELECT value FROM json_each($1))"]
        }
        Retained::Windows => {
            &["DELETE FROM maintenance_windows WHERE rowid IN (SELECT value FROM json_each($1))"]
        }
        Retained::Incidents { .. } => {
            &["DELETE FROM incidents WHERE id IN (SELECT value FROM json_each($1))"]
        }
        Retained::Deliveries => {
            &["DELETE FROM webhook_deliveries WHERE id IN (SELECT value FROM json_each($1))"]
        }
        Retained::ReportRuns => &[
            "DELETE FROM report_files WHERE run_id IN (SELECT value FROM json_each($1))",
            "DELETE FROM report_runs WHERE id IN (SELECT value FROM json_each($1))",
        ],
    };
    for query in queries {
        sqlx::query(*query).bind(ids).execute(&mut *tx).await?;
    }
    Ok(())
}

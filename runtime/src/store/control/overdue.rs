//! Work on alerts that is overdue, and the notes about it in their histories.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::transition::append_event;
use super::{ControlError, ControlStore, EventDraft, Result, page, word};
use crate::domain::{AlertEvent, AlertId, AlertState, ChannelId, UnixMillis};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OverdueKind {
    /// A group that is due and was not looked at.
    Group,
    /// A message that is due, is the first of its group and channel, and was not attempted.
    Notification,
    /// A step of an escalation that was not taken.
    Escalation,
}

impl OverdueKind {
    pub const ALL: [OverdueKind; 3] = [
        OverdueKind::Group,
        OverdueKind::Notification,
        OverdueKind::Escalation,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            OverdueKind::Group => "group",
            OverdueKind::Notification => "notification",
            OverdueKind::Escalation => "escalation",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    pub kind: OverdueKind,
    pub id: i64,
    /// The channel, or the escalation's policy.
    pub name: String,
    pub due_ms: UnixMillis,
    /// Alerts whose message is overdue; at most 100.
    pub alerts: Vec<AlertId>,
}

impl ControlStore {
    /// Channels with messages that were due before a moment.
    pub async fn overdue_channels(&self, due_before_ms: UnixMillis) -> Result<Vec<ChannelId>> {
        let channels: Vec<String> = sqlx::query_scalar(
            "SELECT DISTINCT channel FROM notifications WHERE state = 'waiting' AND next_attempt_ms < $1",
        )
        .bind(due_before_ms)
        .fetch_all(&self.reader)
        .await?;
        Ok(channels.into_iter().map(ChannelId).collect())
    }

    /// Returns what was due before a moment, the longest due of each kind first, without the
    /// messages of some channels. A message that waits behind another one is not due.
    pub async fn overdue_list(
        &self,
        due_before_ms: UnixMillis,
        except: &[ChannelId],
        limit: u32,
    ) -> Result<Vec<Overdue>> {
        const GROUPS: &str = "SELECT g.id, g.channel AS name, g.flush_at_ms AS due,
                (SELECT group_concat(alert_id) FROM (SELECT m.alert_id FROM alert_group_members m
                    WHERE m.group_id = g.id ORDER BY m.alert_id LIMIT 100)) AS alerts
             FROM alert_groups g WHERE g.flush_at_ms < $1 AND $2 IS NOT NULL ORDER BY g.flush_at_ms LIMIT $3";
        const NOTIFICATIONS: &str = "SELECT n.id, n.channel AS name, n.next_attempt_ms AS due,
                (SELECT group_concat(alert_id) FROM (SELECT l.alert_id FROM notification_alerts l
                    WHERE l.notification_id = n.id ORDER BY l.alert_id LIMIT 100)) AS alerts
             FROM notifications n
             WHERE n.state = 'waiting' AND n.next_attempt_ms < $1 AND n.channel NOT IN (SELECT value FROM json_each($2))
                 AND NOT EXISTS (SELECT 1 FROM notifications e WHERE e.group_key = n.group_key AND e.channel = n.channel
                     AND e.state = 'waiting' AND e.id < n.id)
                 AND NOT EXISTS (SELECT 1 FROM notifications e WHERE e.channel = n.channel
                     AND e.state = 'waiting' AND e.reason = 'digest' AND e.id < n.id)
                 AND (n.reason <> 'digest' OR NOT EXISTS (SELECT 1 FROM notifications e WHERE e.channel = n.channel
                     AND e.state = 'waiting' AND e.id < n.id))
             ORDER BY n.next_attempt_ms LIMIT $3";
        const ESCALATIONS: &str = "SELECT e.alert_id AS id, e.policy AS name, e.due_ms AS due,
                CAST(e.alert_id AS TEXT) AS alerts
             FROM escalations e JOIN alerts a ON a.id = e.alert_id
             WHERE a.state = 'firing' AND e.due_ms < $1 AND $2 IS NOT NULL ORDER BY e.due_ms LIMIT $3";
        let except: Vec<&str> = except.iter().map(|channel| channel.0.as_str()).collect();
        let except = serde_json::to_string(&except).expect("a list of texts");
        let mut found = Vec::new();
        for (kind, query) in OverdueKind::ALL
            .into_iter()
            .zip([GROUPS, NOTIFICATIONS, ESCALATIONS])
        {
            let rows = sqlx::query(query)
                .bind(due_before_ms)
                .bind(&except)
                .bind(page(limit))
                .fetch_all(&self.reader)
                .await?;
            for row in &rows {
                found.push(overdue_from(kind, row)?);
            }
        }
        Ok(found)
    }

    /// Writes into an alert's history what changes nothing about it.
    pub async fn alert_event_note(
        &self,
        alert: AlertId,
        actor: &str,
        reason: &str,
        now_ms: UnixMillis,
    ) -> Result<AlertEvent> {
        let mut tx = self.begin_write().await?;
        let row = sqlx::query("SELECT state FROM alerts WHERE id = $1")
            .bind(alert.0)
            .fetch_optional(&mut *tx)
            .await?;
        let row = row.ok_or_else(|| ControlError::NotFound {
            what: "alert",
            name: alert.0.to_string(),
        })?;
        let state = word(&row, "state", "alert", alert.0, AlertState::parse)?;
        let event = EventDraft {
            ts_ms: now_ms,
            from: Some(state),
            to: state,
            actor: actor.to_owned(),
            reason: reason.to_owned(),
        };
        let event = append_event(&mut tx, alert, event).await?;
        tx.commit().await?;
        Ok(event)
    }
}

fn overdue_from(kind: OverdueKind, row: &SqliteRow) -> Result<Overdue> {
    let alerts: Option<String> = row.try_get("alerts")?;
    let ids = alerts.iter().flat_map(|ids| ids.split(','));
    Ok(Overdue {
        kind,
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        due_ms: row.try_get("due")?,
        alerts: ids.filter_map(|id| id.parse().ok().map(AlertId)).collect(),
    })
}

//! Where each alert's escalation stands. It begins, pauses, goes on and ends in the transaction of
//! its alert's transition, so that a crash leaves neither a step untaken nor one that nobody should
//! be woken for.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::alerts::alert_from;
use super::row_faults::skip_unreadable;
use super::transition::{EventDraft, append_event};
use super::{ControlStore, Result, notifications, page};
use crate::domain::{
    Alert, AlertId, AlertState, ChannelId, EscalationProgress, LabelPairs, NotificationDraft,
    NotificationReason, NotificationStatus, Told, UnixMillis,
};

/// In the place of a wait: there is no step left.
const ENDED: i64 = -1;

/// An escalation that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscalationDraft {
    /// Name of its policy.
    pub policy: String,
    pub progress: EscalationProgress,
    /// How long the step that is next waits: from the start, and again when it goes on after a
    /// pause.
    pub wait_ms: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Escalation {
    /// As it is now.
    pub alert: Alert,
    pub policy: String,
    pub step: usize,
    pub taken: u32,
    /// None: paused, or at its end.
    pub due_ms: Option<UnixMillis>,
    pub started_ms: UnixMillis,
}

/// One step taken.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTaken {
    /// As it was read: if anything happened to it since, nothing is done.
    pub from: Escalation,
    pub channels: Vec<ChannelId>,
    /// Where it stands then, with the wait of the step that is next; none: it has come to its end.
    pub next: Option<(EscalationProgress, i64)>,
    pub actor: String,
    /// For the alert's history.
    pub reason: String,
}

impl ControlStore {
    /// Steps of firing alerts whose moment has come, longest due first: those behind one that was
    /// due at a moment and belongs to an alert.
    pub async fn escalation_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> Result<Vec<Escalation>> {
        let rows = sqlx::query(
            "SELECT a.*, e.policy, e.step, e.taken, e.due_ms, e.started_ms AS escalated_ms
             FROM escalations e JOIN alerts a ON a.id = e.alert_id
             WHERE e.due_ms <= $1 AND (e.due_ms, e.alert_id) > ($2, $3) AND a.state = 'firing'
             ORDER BY e.due_ms, e.alert_id LIMIT $4",
        )
        .bind(now_ms)
        .bind(after.0)
        .bind(after.1)
        .bind(page(limit))
        .fetch_all(&self.reader)
        .await?;
        Ok(skip_unreadable(&rows, escalation_from))
    }

    /// When the next step is due that was not at a moment.
    pub async fn escalation_next_due(&self, after_ms: UnixMillis) -> Result<Option<UnixMillis>> {
        Ok(sqlx::query_scalar(
            "SELECT min(e.due_ms) FROM escalations e JOIN alerts a ON a.id = e.alert_id
             WHERE e.due_ms > $1 AND a.state = 'firing'",
        )
        .bind(after_ms)
        .fetch_one(&self.reader)
        .await?)
    }

    pub async fn escalation_get(&self, alert: AlertId) -> Result<Option<Escalation>> {
        let row = sqlx::query(
            "SELECT a.*, e.policy, e.step, e.taken, e.due_ms, e.started_ms AS escalated_ms
             FROM escalations e JOIN alerts a ON a.id = e.alert_id WHERE e.alert_id = $1",
        )
        .bind(alert.0)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(escalation_from).transpose()
    }

    /// In one transaction: where it stands, the messages, and the alert's history. False: something
    /// happened to it or to its alert since it was read, and nothing was done.
    pub async fn escalation_take(&self, taken: &StepTaken, now_ms: UnixMillis) -> Result<bool> {
        self.with_ballast(|| self.try_take(taken, now_ms)).await
    }

    async fn try_take(&self, taken: &StepTaken, now_ms: UnixMillis) -> Result<bool> {
        let StepTaken {
            from,
            channels,
            next,
            actor,
            reason,
        } = taken;
        let mut tx = self.begin_write().await?;
        let moved = sqlx::query(
            "UPDATE escalations SET step = $1, taken = $2, due_ms = $3, wait_ms = $4
             WHERE alert_id = $5 AND step = $6 AND taken = $7 AND due_ms = $8
                 AND EXISTS (SELECT 1 FROM alerts WHERE id = $5 AND state = 'firing')",
        )
        .bind(next.map_or(from.step as i64, |(next, _)| next.step as i64))
        .bind(i64::from(next.map_or(from.taken, |(next, _)| next.taken)))
        .bind(next.map(|(next, _)| next.due_ms))
        .bind(next.map_or(ENDED, |(_, wait_ms)| wait_ms))
        .bind(from.alert.id.0)
        .bind(from.step as i64)
        .bind(i64::from(from.taken))
        .bind(from.due_ms)
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() == 0 {
            tx.rollback().await?;
            return Ok(false);
        }
        for channel in channels {
            tell(&mut tx, &from.alert, channel, now_ms).await?;
        }
        let state = from.alert.state;
        let event = EventDraft {
            ts_ms: now_ms,
            from: Some(state),
            to: state,
            actor: actor.clone(),
            reason: reason.clone(),
        };
        append_event(&mut tx, from.alert.id, event).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// One message to one channel, which is told of the end as well. A channel that hears of the alert
/// already hears of it in the same order.
async fn tell(
    tx: &mut SqliteConnection,
    alert: &Alert,
    channel: &ChannelId,
    now_ms: UnixMillis,
) -> Result<()> {
    let known = sqlx::query(
        "SELECT g.id, g.group_key, g.labels FROM alert_group_members m JOIN alert_groups g ON g.id = m.group_id
         WHERE m.alert_id = $1 AND g.channel = $2 ORDER BY g.id LIMIT 1",
    )
    .bind(alert.id.0)
    .bind(&channel.0)
    .fetch_optional(&mut *tx)
    .await?;
    let alert_json = serde_json::to_string(alert).expect("an alert has only plain fields");
    let (group, key, labels) = match known {
        Some(row) => {
            let labels: String = row.try_get("labels")?;
            let labels: LabelPairs = serde_json::from_str(&labels).unwrap_or_default();
            (
                row.try_get::<i64, _>("id")?,
                row.try_get::<String, _>("group_key")?,
                labels,
            )
        }
        None => {
            let labels = alert.own_labels();
            let key = format!("escalation:{}", alert.id.0);
            let group: i64 = sqlx::query_scalar(
                "INSERT INTO alert_groups (group_key, channel, labels, wait_ms, interval_ms, repeat_ms, told_ms, revision)
                 VALUES ($1, $2, $3, 0, 0, 0, $4, 1) RETURNING id",
            )
            .bind(&key)
            .bind(&channel.0)
            .bind(serde_json::to_string(&labels).expect("pairs of texts"))
            .bind(now_ms)
            .fetch_one(&mut *tx)
            .await?;
            (group, key, labels)
        }
    };
    sqlx::query(
        "INSERT INTO alert_group_members (group_id, alert_id, told, fired) VALUES ($1, $2, $3, $4)
         ON CONFLICT (group_id, alert_id) DO UPDATE SET told = $3",
    )
    .bind(group)
    .bind(alert.id.0)
    .bind(Told::Firing.as_str())
    .bind(&alert_json)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE alert_groups SET revision = revision + 1 WHERE id = $1")
        .bind(group)
        .execute(&mut *tx)
        .await?;
    let draft = NotificationDraft {
        group_key: key,
        group_labels: labels,
        channel: channel.clone(),
        reason: NotificationReason::Escalation,
        status: NotificationStatus::Firing,
        idempotency_key: format!("{:032x}", rand::random::<u128>()),
        alerts: vec![alert.clone()],
        omitted: 0,
    };
    notifications::queue(tx, now_ms, draft).await?;
    Ok(())
}

/// The alert fires: somebody is to come.
pub(super) async fn begin(
    tx: &mut SqliteConnection,
    alert: AlertId,
    draft: &EscalationDraft,
    now_ms: UnixMillis,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO escalations (alert_id, policy, step, taken, due_ms, wait_ms, started_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (alert_id) DO NOTHING",
    )
    .bind(alert.0)
    .bind(&draft.policy)
    .bind(draft.progress.step as i64)
    .bind(i64::from(draft.progress.taken))
    .bind(draft.progress.due_ms)
    .bind(draft.wait_ms)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Somebody is on it, or it is muted: the escalation waits. It fires again: the escalation goes on
/// where it stood, and waits the time of its step again. It ended: so does the escalation.
pub(super) async fn note_change(
    tx: &mut SqliteConnection,
    alert: AlertId,
    event: &EventDraft,
) -> Result<()> {
    let query = match (event.from, event.to) {
        (_, AlertState::Resolved) => {
            "DELETE FROM escalations WHERE alert_id = $1 AND $2 IS NOT NULL"
        }
        (Some(AlertState::Acknowledged | AlertState::Suppressed), AlertState::Firing) => {
            "UPDATE escalations SET due_ms = $2 + wait_ms WHERE alert_id = $1 AND due_ms IS NULL AND wait_ms >= 0"
        }
        (_, AlertState::Acknowledged | AlertState::Suppressed) => {
            "UPDATE escalations SET due_ms = NULL WHERE alert_id = $1 AND $2 IS NOT NULL"
        }
        _ => return Ok(()),
    };
    sqlx::query(query)
        .bind(alert.0)
        .bind(event.ts_ms)
        .execute(tx)
        .await?;
    Ok(())
}

fn escalation_from(row: &SqliteRow) -> Result<Escalation> {
    Ok(Escalation {
        alert: alert_from(row)?,
        policy: row.try_get("policy")?,
        step: usize::try_from(row.try_get::<i64, _>("step")?).unwrap_or(usize::MAX),
        taken: u32::try_from(row.try_get::<i64, _>("taken")?).unwrap_or(u32::MAX),
        due_ms: row.try_get("due_ms")?,
        started_ms: row.try_get("escalated_ms")?,
    })
}

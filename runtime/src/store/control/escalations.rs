//! Rows of escalations. Each begins, pauses, goes on and ends in the transaction of its alert's
//! transition, so that a crash leaves neither a step untaken nor one taken for nothing.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::alerts::alert_from;
use super::row_faults::skip_unreadable;
use super::transition::append_event;
use super::{ControlStore, EscalationDraft, EventDraft, Result, alert_groups, notifications, page};
use crate::domain::{
    Alert, AlertGroup, AlertId, AlertState, AlertStep, ChannelId, EscalationProgress,
    NotificationDraft, NotificationReason, NotificationStatus, UnixMillis,
};

/// Value of `wait_ms` where no step is left.
const ENDED: i64 = -1;

#[derive(Debug, Clone, PartialEq)]
pub struct Escalation {
    /// The alert as it is now.
    pub alert: Alert,
    pub policy: String,
    pub progress: EscalationProgress,
    pub started_ms: UnixMillis,
}

/// One step taken.
#[derive(Debug, Clone, PartialEq)]
pub struct StepTaken {
    /// The escalation as it was read: if anything happened to it since, nothing is done.
    pub from: Escalation,
    pub channels: Vec<ChannelId>,
    /// Progress after the step.
    pub next: EscalationProgress,
    pub actor: String,
    /// Text for the alert's history.
    pub reason: String,
}

impl ControlStore {
    /// Steps of firing alerts that are due, longest due first: those after one that was due at a
    /// moment and belongs to an alert.
    pub async fn escalation_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> Result<Vec<Escalation>> {
        let rows = sqlx::query(
            "SELECT a.*, e.policy, e.step, e.taken, e.due_ms, e.wait_ms, e.started_ms AS escalated_ms
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
        let mut connection = self.reader.acquire().await?;
        find(&mut connection, alert).await
    }

    /// Takes a step in one transaction: its progress, the messages, and the alert's history. False:
    /// something happened to the escalation or to its alert since it was read, and nothing was done.
    pub async fn escalation_take(&self, taken: &StepTaken, now_ms: UnixMillis) -> Result<bool> {
        self.with_ballast(|| self.try_take(taken, now_ms)).await
    }

    async fn try_take(&self, taken: &StepTaken, now_ms: UnixMillis) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let found = find(&mut tx, taken.from.alert.id).await?;
        let Some(Escalation { alert, .. }) = found.filter(|found| {
            found.progress == taken.from.progress && found.alert.state == AlertState::Firing
        }) else {
            tx.rollback().await?;
            return Ok(false);
        };
        write(&mut tx, alert.id, taken.next).await?;
        for channel in &taken.channels {
            notify(&mut tx, &alert, channel, now_ms).await?;
        }
        let event = EventDraft {
            ts_ms: now_ms,
            from: Some(alert.state),
            to: alert.state,
            actor: taken.actor.clone(),
            reason: taken.reason.clone(),
        };
        append_event(&mut tx, alert.id, event).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn find(connection: &mut SqliteConnection, alert: AlertId) -> Result<Option<Escalation>> {
    let row = sqlx::query(
        "SELECT a.*, e.policy, e.step, e.taken, e.due_ms, e.wait_ms, e.started_ms AS escalated_ms
         FROM escalations e JOIN alerts a ON a.id = e.alert_id WHERE e.alert_id = $1",
    )
    .bind(alert.0)
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(escalation_from).transpose()
}

/// Queues one message to one channel, which will be notified of the end as well. A channel that is
/// in a group with the alert already gets it in the order of that group.
async fn notify(
    tx: &mut SqliteConnection,
    alert: &Alert,
    channel: &ChannelId,
    now_ms: UnixMillis,
) -> Result<()> {
    let mut group = alert_groups::groups_of(tx, alert)
        .await?
        .into_iter()
        .find(|group| group.channel == *channel)
        .unwrap_or_else(|| AlertGroup::for_escalation(alert, channel, now_ms));
    group.on_escalated(alert);
    alert_groups::save(tx, &mut group).await?;
    let draft = NotificationDraft {
        group_key: group.key,
        group_labels: group.labels,
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

/// Begins the escalation of an alert that fires, unless it has one already.
pub(super) async fn begin(
    tx: &mut SqliteConnection,
    alert: AlertId,
    draft: &EscalationDraft,
    now_ms: UnixMillis,
) -> Result<()> {
    let progress = draft.progress;
    sqlx::query(
        "INSERT INTO escalations (alert_id, policy, step, taken, due_ms, wait_ms, started_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (alert_id) DO NOTHING",
    )
    .bind(alert.0)
    .bind(&draft.policy)
    .bind(progress.step as i64)
    .bind(i64::from(progress.taken))
    .bind(progress.due_ms)
    .bind(progress.wait_ms.unwrap_or(ENDED))
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes a transition of an alert into its escalation.
pub(super) async fn note_step(
    tx: &mut SqliteConnection,
    alert: AlertId,
    step: &AlertStep,
) -> Result<()> {
    let row =
        sqlx::query("SELECT step, taken, due_ms, wait_ms FROM escalations WHERE alert_id = $1")
            .bind(alert.0)
            .fetch_optional(&mut *tx)
            .await?;
    let Some(before) = row.as_ref().map(progress_from).transpose()? else {
        return Ok(());
    };
    match before.on_step(step) {
        Some(after) if after == before => {}
        Some(after) => write(tx, alert, after).await?,
        None => {
            sqlx::query("DELETE FROM escalations WHERE alert_id = $1")
                .bind(alert.0)
                .execute(tx)
                .await?;
        }
    }
    Ok(())
}

async fn write(
    tx: &mut SqliteConnection,
    alert: AlertId,
    progress: EscalationProgress,
) -> Result<()> {
    sqlx::query(
        "UPDATE escalations SET step = $1, taken = $2, due_ms = $3, wait_ms = $4 WHERE alert_id = $5",
    )
    .bind(progress.step as i64)
    .bind(i64::from(progress.taken))
    .bind(progress.due_ms)
    .bind(progress.wait_ms.unwrap_or(ENDED))
    .bind(alert.0)
    .execute(tx)
    .await?;
    Ok(())
}

fn escalation_from(row: &SqliteRow) -> Result<Escalation> {
    Ok(Escalation {
        alert: alert_from(row)?,
        policy: row.try_get("policy")?,
        progress: progress_from(row)?,
        started_ms: row.try_get("escalated_ms")?,
    })
}

fn progress_from(row: &SqliteRow) -> Result<EscalationProgress> {
    let wait_ms: i64 = row.try_get("wait_ms")?;
    Ok(EscalationProgress {
        step: usize::try_from(row.try_get::<i64, _>("step")?).unwrap_or(usize::MAX),
        taken: u32::try_from(row.try_get::<i64, _>("taken")?).unwrap_or(u32::MAX),
        due_ms: row.try_get("due_ms")?,
        wait_ms: (wait_ms >= 0).then_some(wait_ms),
    })
}

//! The outbox: notifications and the attempts to deliver them. A message waits for every earlier
//! one of the same group and channel, so "resolved" never arrives before "firing".

use std::collections::HashMap;

use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{ControlError, ControlStore, Result, alert_groups, exists, page, word};
use crate::domain::{
    AlertId, ChannelId, Notification, NotificationDraft, NotificationReason, NotificationState,
    NotificationStatus, UnixMillis,
};

/// An answer of the other side is kept up to here.
const MAX_ANSWER_BYTES: usize = 2_048;

/// Filter of a list; fields that are none match everything.
#[derive(Debug, Clone, Default)]
pub struct NotificationFilter {
    pub state: Option<NotificationState>,
    pub alert: Option<AlertId>,
    /// Slug.
    pub service: Option<String>,
    /// Only notifications with a smaller id.
    pub before: Option<i64>,
    pub limit: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AttemptOutcome {
    Delivered,
    /// Failed, and worth another attempt.
    Retry,
    /// Failed for good.
    Dead,
}

impl AttemptOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptOutcome::Delivered => "delivered",
            AttemptOutcome::Retry => "retry",
            AttemptOutcome::Dead => "dead",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            AttemptOutcome::Delivered,
            AttemptOutcome::Retry,
            AttemptOutcome::Dead,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    pub started_ms: UnixMillis,
    pub duration_ms: u64,
    pub outcome: AttemptOutcome,
    /// Answer of the other side, or the error.
    pub answer: String,
}

/// Changes that an attempt makes to its notification.
#[derive(Debug, Clone, PartialEq)]
pub struct AfterAttempt {
    pub state: NotificationState,
    /// Counts while the state is waiting.
    pub next_attempt_ms: UnixMillis,
    /// Name that the other side gave the message.
    pub reference: Option<String>,
    /// Goes out as well, to a channel that is in the store; left out if its idempotency key is
    /// known.
    pub fallback: Option<NotificationDraft>,
}

impl AfterAttempt {
    pub fn new(state: NotificationState, next_attempt_ms: UnixMillis) -> Self {
        Self {
            state,
            next_attempt_ms,
            reference: None,
            fallback: None,
        }
    }
}

/// A message that may be attempted, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueNotification {
    pub id: i64,
    pub channel: ChannelId,
    pub group_key: String,
    pub reason: NotificationReason,
    pub next_attempt_ms: UnixMillis,
}

impl ControlStore {
    /// A message that no group asked for: an escalation, a test, a sign of life. Due at once.
    /// `Exists` when its idempotency key was used before.
    pub async fn notification_queue(
        &self,
        draft: NotificationDraft,
        now_ms: UnixMillis,
    ) -> Result<Notification> {
        self.with_ballast(|| self.try_queue(draft.clone(), now_ms))
            .await
    }

    async fn try_queue(
        &self,
        draft: NotificationDraft,
        now_ms: UnixMillis,
    ) -> Result<Notification> {
        let mut tx = self.begin_write().await?;
        let notification = queue(&mut tx, now_ms, draft).await?;
        tx.commit().await?;
        Ok(notification)
    }

    /// A message in a steady rhythm: not made while one before it of the same group still waits.
    /// False: not made.
    pub async fn notification_queue_alone(
        &self,
        draft: NotificationDraft,
        now_ms: UnixMillis,
    ) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let waiting: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM notifications WHERE group_key = $1 AND channel = $2 AND state = 'waiting')",
        )
        .bind(&draft.group_key)
        .bind(&draft.channel.0)
        .fetch_one(&mut *tx)
        .await?;
        if waiting {
            tx.rollback().await?;
            return Ok(false);
        }
        queue(&mut tx, now_ms, draft).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Messages that may be attempted now, longest due first.
    pub async fn notification_due(
        &self,
        now_ms: UnixMillis,
        limit: u32,
    ) -> Result<Vec<DueNotification>> {
        self.notification_due_after(now_ms, (UnixMillis::MIN, 0), limit)
            .await
    }

    /// The page of it behind one that was next due at a moment and has an id. Each is the first
    /// waiting one of its group and channel. A digest is about many groups: it waits for
    /// everything before it on its channel but reports, and everything behind it waits for it.
    pub async fn notification_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> Result<Vec<DueNotification>> {
        let rows = sqlx::query(
            "SELECT n.id, n.channel, n.group_key, n.reason, n.next_attempt_ms FROM notifications n
             WHERE n.state = 'waiting' AND n.next_attempt_ms <= $1 AND (n.next_attempt_ms, n.id) > ($2, $3)
                 AND NOT EXISTS (
                     SELECT 1 FROM notifications e
                     WHERE e.group_key = n.group_key AND e.channel = n.channel AND e.state = 'waiting'
                         AND e.id < n.id)
                 AND NOT EXISTS (
                     SELECT 1 FROM notifications e INDEXED BY notifications_digest
                     WHERE e.channel = n.channel AND e.state = 'waiting' AND e.reason = 'digest' AND e.id < n.id)
                 AND (n.reason <> 'digest' OR NOT EXISTS (
                     SELECT 1 FROM notifications e
                     WHERE e.channel = n.channel AND e.state = 'waiting' AND e.reason <> 'report' AND e.id < n.id))
             ORDER BY n.next_attempt_ms, n.id LIMIT $4",
        )
        .bind(now_ms)
        .bind(after.0)
        .bind(after.1)
        .bind(page(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(due_from).collect()
    }

    /// When the next one may be attempted; in the past when one is due.
    pub async fn notification_next_due(&self) -> Result<Option<UnixMillis>> {
        let next = self.notification_due(UnixMillis::MAX, 1).await?;
        Ok(next.first().map(|next| next.next_attempt_ms))
    }

    /// Records an attempt and what comes of it, in one transaction. `Conflict` when the
    /// notification no longer waits.
    pub async fn notification_attempt(
        &self,
        id: i64,
        attempt: &Attempt,
        after: AfterAttempt,
    ) -> Result<Notification> {
        #[cfg(test)]
        self.hooks.before_attempt()?;
        self.with_ballast(|| self.try_attempt(id, attempt, after.clone()))
            .await
    }

    async fn try_attempt(
        &self,
        id: i64,
        attempt: &Attempt,
        after: AfterAttempt,
    ) -> Result<Notification> {
        let AfterAttempt {
            state,
            next_attempt_ms,
            reference,
            fallback,
        } = after;
        let answer = cut(&attempt.answer);
        let finished_ms =
            attempt.started_ms + i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX / 2);
        let mut tx = self.begin_write().await?;
        let row = sqlx::query(
            "UPDATE notifications SET attempts = attempts + 1, state = $1, next_attempt_ms = $2, delivered_ms = $3,
                 last_error = $4, reference = $6
             WHERE id = $5 AND state = 'waiting' RETURNING *",
        )
        .bind(state.as_str())
        .bind(next_attempt_ms)
        .bind((state == NotificationState::Delivered).then_some(finished_ms))
        .bind((attempt.outcome != AttemptOutcome::Delivered).then_some(answer))
        .bind(id)
        .bind(reference.as_deref().map(cut))
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            return Err(not_in_state(&mut tx, id, NotificationState::Waiting).await?);
        };
        let notification = notification_from(&row)?;
        // One that is read on another channel is followed by its end.
        let is_refused =
            state == NotificationState::Dead && notification.attempts <= 1 && fallback.is_none();
        if is_refused && notification.status == NotificationStatus::Firing {
            alert_groups::note_rejected(&mut tx, &notification).await?;
        }
        sqlx::query(
            "INSERT INTO notification_attempts (notification_id, number, started_ms, duration_ms, outcome, answer)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id)
        .bind(i64::from(notification.attempts))
        .bind(attempt.started_ms)
        .bind(i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX))
        .bind(attempt.outcome.as_str())
        .bind(answer)
        .execute(&mut *tx)
        .await?;
        if let Some(draft) = fallback {
            let known: Option<i64> =
                sqlx::query_scalar("SELECT id FROM notifications WHERE idempotency_key = $1")
                    .bind(&draft.idempotency_key)
                    .fetch_optional(&mut *tx)
                    .await?;
            if known.is_none() {
                queue(&mut tx, finished_ms, draft).await?;
            }
        }
        tx.commit().await?;
        Ok(notification)
    }

    /// Newest first.
    pub async fn notification_list(
        &self,
        filter: &NotificationFilter,
    ) -> Result<Vec<Notification>> {
        // One text for each set of columns: a text for all of them would leave every index aside.
        let query = match (filter.alert, &filter.service, filter.state) {
            (Some(_), ..) => {
                "SELECT n.* FROM notification_alerts l CROSS JOIN notifications n ON n.id = l.notification_id
                 WHERE l.alert_id = $3 AND l.notification_id < $1 AND ($2 IS NULL OR n.state = $2)
                     AND ($4 IS NULL OR EXISTS (SELECT 1 FROM alerts WHERE id = $3 AND service = $4))
                 ORDER BY l.notification_id DESC LIMIT $5"
            }
            (None, Some(_), _) => {
                "SELECT * FROM notifications WHERE id < $1 AND ($2 IS NULL OR +state = $2) AND $3 IS NULL AND id IN (
                     SELECT l.notification_id FROM alerts a CROSS JOIN notification_alerts l ON l.alert_id = a.id
                     WHERE a.service = $4)
                 ORDER BY id DESC LIMIT $5"
            }
            (None, None, None) => {
                "SELECT * FROM notifications WHERE id < $1 AND $2 IS NULL AND $3 IS NULL AND $4 IS NULL
                 ORDER BY id DESC LIMIT $5"
            }
            (None, None, Some(NotificationState::Waiting)) => {
                "SELECT * FROM notifications INDEXED BY notifications_waiting
                 WHERE state = 'waiting' AND id < $1 AND $2 IS NOT NULL AND $3 IS NULL AND $4 IS NULL
                 ORDER BY id DESC LIMIT $5"
            }
            (None, None, Some(_)) => {
                "SELECT * FROM notifications
                 WHERE state <> 'waiting' AND state = $2 AND id < $1 AND $3 IS NULL AND $4 IS NULL
                 ORDER BY id DESC LIMIT $5"
            }
        };
        let rows = sqlx::query(query)
            .bind(filter.before.unwrap_or(i64::MAX))
            .bind(filter.state.map(NotificationState::as_str))
            .bind(filter.alert.map(|alert| alert.0))
            .bind(filter.service.as_deref())
            .bind(page(filter.limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(notification_from).collect()
    }

    /// Returns the attempts of one notification, oldest first.
    pub async fn notification_attempts(&self, id: i64) -> Result<Vec<Attempt>> {
        Ok(self
            .notification_attempts_of(&[id])
            .await?
            .remove(&id)
            .unwrap_or_default())
    }

    /// Returns the attempts of each of a page of notifications, oldest first.
    pub async fn notification_attempts_of(
        &self,
        ids: &[i64],
    ) -> Result<HashMap<i64, Vec<Attempt>>> {
        let rows = sqlx::query(
            "SELECT a.notification_id, a.started_ms, a.duration_ms, a.outcome, a.answer
             FROM json_each($1) AS wanted CROSS JOIN notification_attempts a ON a.notification_id = wanted.value
             ORDER BY wanted.key, a.number",
        )
        .bind(serde_json::to_string(ids).expect("a list of numbers"))
        .fetch_all(&self.reader)
        .await?;
        let mut attempts: HashMap<i64, Vec<Attempt>> = HashMap::new();
        for row in &rows {
            let id: i64 = row.try_get("notification_id")?;
            attempts.entry(id).or_default().push(Attempt {
                started_ms: row.try_get("started_ms")?,
                duration_ms: row.try_get::<i64, _>("duration_ms")?.unsigned_abs(),
                outcome: word(
                    row,
                    "outcome",
                    "attempt of notification",
                    id,
                    AttemptOutcome::parse,
                )?,
                answer: row.try_get("answer")?,
            });
        }
        Ok(attempts)
    }
}

/// Returns why a message is not in a state that a change starts from.
pub(super) async fn not_in_state(
    tx: &mut SqliteConnection,
    id: i64,
    expected: NotificationState,
) -> Result<ControlError> {
    let found: Option<String> = sqlx::query_scalar("SELECT state FROM notifications WHERE id = $1")
        .bind(id)
        .fetch_optional(tx)
        .await?;
    let (what, name) = ("notification", id.to_string());
    Ok(match found {
        None => ControlError::NotFound { what, name },
        Some(found) => ControlError::Conflict {
            what,
            name,
            expected: format!("state `{}`", expected.as_str()),
            found: format!("state `{found}`"),
        },
    })
}

pub(super) async fn queue(
    tx: &mut SqliteConnection,
    now_ms: UnixMillis,
    draft: NotificationDraft,
) -> Result<Notification> {
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO notifications (idempotency_key, group_key, group_labels, channel, reason, status, state, attempts,
             created_ms, next_attempt_ms, alerts, omitted)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8, $9, $10) RETURNING id",
    )
    .bind(&draft.idempotency_key)
    .bind(&draft.group_key)
    .bind(serde_json::to_string(&draft.group_labels).expect("pairs of texts"))
    .bind(&draft.channel.0)
    .bind(draft.reason.as_str())
    .bind(draft.status.as_str())
    .bind(NotificationState::Waiting.as_str())
    .bind(now_ms)
    .bind(serde_json::to_string(&draft.alerts).expect("an alert has only plain fields"))
    .bind(i64::from(draft.omitted))
    .fetch_one(&mut *tx)
    .await
    .map_err(|source| exists(source, "notification", &draft.idempotency_key))?;
    // A sign of life names an alert that is none.
    for alert in draft.alerts.iter().filter(|alert| alert.id.0 > 0) {
        sqlx::query(
            "INSERT INTO notification_alerts (notification_id, alert_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(id)
        .bind(alert.id.0)
        .execute(&mut *tx)
        .await?;
    }
    Ok(Notification {
        id,
        idempotency_key: draft.idempotency_key,
        group_key: draft.group_key,
        group_labels: draft.group_labels,
        channel: draft.channel,
        reason: draft.reason,
        status: draft.status,
        state: NotificationState::Waiting,
        attempts: 0,
        created_ms: now_ms,
        next_attempt_ms: now_ms,
        delivered_ms: None,
        last_error: None,
        reference: None,
        resent_ms: None,
        digest: None,
        alerts: draft.alerts,
        omitted: draft.omitted,
    })
}

fn due_from(row: &SqliteRow) -> Result<DueNotification> {
    let id: i64 = row.try_get("id")?;
    Ok(DueNotification {
        id,
        channel: ChannelId(row.try_get("channel")?),
        group_key: row.try_get("group_key")?,
        reason: word(row, "reason", "notification", id, NotificationReason::parse)?,
        next_attempt_ms: row.try_get("next_attempt_ms")?,
    })
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ANSWER_BYTES)]
}

pub(super) fn notification_from(row: &SqliteRow) -> Result<Notification> {
    const WHAT: &str = "notification";
    let id: i64 = row.try_get("id")?;
    Ok(Notification {
        id,
        idempotency_key: row.try_get("idempotency_key")?,
        group_key: row.try_get("group_key")?,
        group_labels: word(row, "group_labels", WHAT, id, |text| {
            serde_json::from_str(text).ok()
        })?,
        channel: ChannelId(row.try_get("channel")?),
        reason: word(row, "reason", WHAT, id, NotificationReason::parse)?,
        status: word(row, "status", WHAT, id, NotificationStatus::parse)?,
        state: word(row, "state", WHAT, id, NotificationState::parse)?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        created_ms: row.try_get("created_ms")?,
        next_attempt_ms: row.try_get("next_attempt_ms")?,
        delivered_ms: row.try_get("delivered_ms")?,
        last_error: row.try_get("last_error")?,
        reference: row.try_get("reference")?,
        resent_ms: row.try_get("resent_ms")?,
        digest: row.try_get("digest_id")?,
        alerts: word(row, "alerts", WHAT, id, |text| {
            serde_json::from_str(text).ok()
        })?,
        omitted: u32::try_from(row.try_get::<i64, _>("omitted")?).unwrap_or(u32::MAX),
    })
}

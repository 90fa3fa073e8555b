//! The outbox: notifications and the attempts to deliver them. A message waits for every earlier one of the same alert and
//! channel, so nobody reads "resolved" before "firing".

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result, page, word};
use crate::domain::{AlertId, ChannelId, Notification, NotificationState, NotificationStatus, UnixMillis};

/// An answer of the other side is kept up to here.
const MAX_ANSWER_BYTES: usize = 2_048;

/// None: whatever it is.
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
        [AttemptOutcome::Delivered, AttemptOutcome::Retry, AttemptOutcome::Dead]
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
    /// What the other side answered, or the error.
    pub answer: String,
}

/// The first waiting one of its alert and channel.
macro_rules! first_in_line {
    () => {
        "n.state = 'waiting' AND NOT EXISTS (
             SELECT 1 FROM notifications e
             WHERE e.alert_id = n.alert_id AND e.channel = n.channel AND e.state = 'waiting' AND e.id < n.id)"
    };
}

impl ControlStore {
    /// What may be attempted now, longest due first.
    pub async fn notification_due(&self, now_ms: UnixMillis, limit: u32) -> Result<Vec<Notification>> {
        self.notification_due_after(now_ms, (UnixMillis::MIN, 0), limit).await
    }

    /// The page of it behind one that was next due at a moment and has an id.
    pub async fn notification_due_after(
        &self,
        now_ms: UnixMillis,
        after: (UnixMillis, i64),
        limit: u32,
    ) -> Result<Vec<Notification>> {
        let rows = sqlx::query(concat!(
            "SELECT n.* FROM notifications n
             WHERE n.next_attempt_ms <= $1 AND (n.next_attempt_ms, n.id) > ($2, $3) AND ",
            first_in_line!(),
            " ORDER BY n.next_attempt_ms, n.id LIMIT $4"
        ))
        .bind(now_ms)
        .bind(after.0)
        .bind(after.1)
        .bind(page(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(notification_from).collect()
    }

    /// When the next one may be attempted; in the past when one is due.
    pub async fn notification_next_due(&self) -> Result<Option<UnixMillis>> {
        Ok(sqlx::query_scalar(concat!("SELECT min(n.next_attempt_ms) FROM notifications n WHERE ", first_in_line!()))
            .fetch_one(&self.reader)
            .await?)
    }

    /// Records an attempt and what comes of it, in one transaction. `Conflict` when the notification no longer waits.
    /// `next_attempt_ms` counts while the state is `waiting`.
    pub async fn notification_attempt(
        &self,
        id: i64,
        attempt: &Attempt,
        state: NotificationState,
        next_attempt_ms: UnixMillis,
    ) -> Result<Notification> {
        let answer = cut(&attempt.answer);
        let finished_ms = attempt.started_ms + i64::try_from(attempt.duration_ms).unwrap_or(i64::MAX / 2);
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query(
            "UPDATE notifications SET attempts = attempts + 1, state = $1, next_attempt_ms = $2, delivered_ms = $3,
                 last_error = $4
             WHERE id = $5 AND state = 'waiting' RETURNING *",
        )
        .bind(state.as_str())
        .bind(next_attempt_ms)
        .bind((state == NotificationState::Delivered).then_some(finished_ms))
        .bind((attempt.outcome != AttemptOutcome::Delivered).then_some(answer))
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            let found: Option<String> = sqlx::query_scalar("SELECT state FROM notifications WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
            return Err(match found {
                None => ControlError::NotFound { what: "notification", name: id.to_string() },
                Some(found) => ControlError::Conflict {
                    what: "notification",
                    name: id.to_string(),
                    expected: "state `waiting`".to_owned(),
                    found: format!("state `{found}`"),
                },
            });
        };
        let notification = notification_from(&row)?;
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
        tx.commit().await?;
        Ok(notification)
    }

    /// Newest first.
    pub async fn notification_list(&self, filter: &NotificationFilter) -> Result<Vec<Notification>> {
        let rows = sqlx::query(
            "SELECT n.* FROM notifications n JOIN alerts a ON a.id = n.alert_id
             WHERE ($1 IS NULL OR n.state = $1) AND ($2 IS NULL OR n.alert_id = $2)
                 AND ($3 IS NULL OR a.service = $3) AND n.id < $4
             ORDER BY n.id DESC LIMIT $5",
        )
        .bind(filter.state.map(NotificationState::as_str))
        .bind(filter.alert.map(|alert| alert.0))
        .bind(filter.service.as_deref())
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(page(filter.limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(notification_from).collect()
    }

    /// Oldest first.
    pub async fn notification_attempts(&self, id: i64) -> Result<Vec<Attempt>> {
        let rows = sqlx::query(
            "SELECT started_ms, duration_ms, outcome, answer FROM notification_attempts
             WHERE notification_id = $1 ORDER BY number",
        )
        .bind(id)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Attempt {
                    started_ms: row.try_get("started_ms")?,
                    duration_ms: row.try_get::<i64, _>("duration_ms")?.unsigned_abs(),
                    outcome: word(row, "outcome", "attempt of notification", id, AttemptOutcome::parse)?,
                    answer: row.try_get("answer")?,
                })
            })
            .collect()
    }
}

fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ANSWER_BYTES)]
}

fn notification_from(row: &SqliteRow) -> Result<Notification> {
    const WHAT: &str = "notification";
    let id: i64 = row.try_get("id")?;
    Ok(Notification {
        id,
        idempotency_key: row.try_get("idempotency_key")?,
        alert: AlertId(row.try_get("alert_id")?),
        channel: ChannelId(row.try_get("channel")?),
        status: word(row, "status", WHAT, id, NotificationStatus::parse)?,
        state: word(row, "state", WHAT, id, NotificationState::parse)?,
        attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        created_ms: row.try_get("created_ms")?,
        next_attempt_ms: row.try_get("next_attempt_ms")?,
        delivered_ms: row.try_get("delivered_ms")?,
        last_error: row.try_get("last_error")?,
        alert_snapshot: word(row, "alert_snapshot", WHAT, id, |text| serde_json::from_str(text).ok())?,
    })
}

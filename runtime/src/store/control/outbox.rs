//! What becomes of messages beside their attempts: several become one, and what was given up is put back.

use super::notifications::{notification_from, queue};
use super::{ControlError, ControlStore, Result};
use crate::domain::{
    ChannelId, Notification, NotificationReason, NotificationState, NotificationStatus, UnixMillis, digest,
};

/// Messages in one digest; those beyond it are in the next one.
const MOST_DIGESTED: i64 = 500;

/// Attempts looked at for a rate limit: more than any limit that means anything.
const MOST_ATTEMPTS: i64 = 100_000;

impl ControlStore {
    pub async fn notification_get(&self, id: i64) -> Result<Option<Notification>> {
        let row =
            sqlx::query("SELECT * FROM notifications WHERE id = $1").bind(id).fetch_optional(&self.reader).await?;
        row.as_ref().map(notification_from).transpose()
    }

    /// What the other side calls the delivered message before this one about its group on its channel, while that one said
    /// that something fires.
    pub async fn notification_reference(&self, id: i64) -> Result<Option<String>> {
        let found: Option<(String, Option<String>)> = sqlx::query_as(
            "SELECT e.status, e.reference FROM notifications n
             JOIN notifications e ON e.group_key = n.group_key AND e.channel = n.channel AND e.id < n.id
             WHERE n.id = $1 AND e.state = 'delivered'
             ORDER BY e.id DESC LIMIT 1",
        )
        .bind(id)
        .fetch_optional(&self.reader)
        .await?;
        Ok(found
            .filter(|(status, _)| status == NotificationStatus::Firing.as_str())
            .and_then(|(_, reference)| reference))
    }

    /// When attempts on a channel began since then, oldest first.
    pub async fn notification_attempts_since(
        &self,
        channel: &ChannelId,
        since_ms: UnixMillis,
    ) -> Result<Vec<UnixMillis>> {
        Ok(sqlx::query_scalar(
            "SELECT a.started_ms FROM notification_attempts a JOIN notifications n ON n.id = a.notification_id
             WHERE a.started_ms > $1 AND n.channel = $2 ORDER BY a.started_ms LIMIT $3",
        )
        .bind(since_ms)
        .bind(&channel.0)
        .bind(MOST_ATTEMPTS)
        .fetch_all(&self.reader)
        .await?)
    }

    /// Puts one message in the place of all that wait on a channel but these, if there are at least two. Signs of life and
    /// tests stay what they are.
    pub async fn notification_digest(
        &self,
        channel: &ChannelId,
        except: &[i64],
        idempotency_key: String,
        now_ms: UnixMillis,
    ) -> Result<Option<Notification>> {
        let mut tx = self.writer.begin().await?;
        let rows = sqlx::query(
            "SELECT * FROM notifications WHERE state = 'waiting' AND channel = $1 AND reason NOT IN ($2, $3)
             ORDER BY id LIMIT $4",
        )
        .bind(&channel.0)
        .bind(NotificationReason::Watchdog.as_str())
        .bind(NotificationReason::Test.as_str())
        .bind(MOST_DIGESTED)
        .fetch_all(&mut *tx)
        .await?;
        let waiting = rows.iter().map(notification_from).collect::<Result<Vec<Notification>>>()?;
        let held: Vec<Notification> = waiting.into_iter().filter(|message| !except.contains(&message.id)).collect();
        if held.len() < 2 {
            return Ok(None);
        }
        let message = queue(&mut tx, now_ms, digest(channel, &held, idempotency_key)).await?;
        for held in &held {
            sqlx::query("UPDATE notifications SET state = $1, digest_id = $2 WHERE id = $3 AND state = 'waiting'")
                .bind(NotificationState::Digested.as_str())
                .bind(message.id)
                .bind(held.id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(Some(message))
    }

    /// Puts a message back that was given up: due at once, under the same idempotency key. `Conflict` when it is in another
    /// state.
    pub async fn notification_resend(&self, id: i64, now_ms: UnixMillis) -> Result<Notification> {
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query(
            "UPDATE notifications SET state = 'waiting', next_attempt_ms = $1, resent_ms = $1
             WHERE id = $2 AND state = 'dead' RETURNING *",
        )
        .bind(now_ms)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else {
            let state: Option<String> = sqlx::query_scalar("SELECT state FROM notifications WHERE id = $1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
            let (what, name) = ("notification", id.to_string());
            return Err(match state {
                None => ControlError::NotFound { what, name },
                Some(state) => ControlError::Conflict {
                    what,
                    name,
                    expected: "state `dead`".to_owned(),
                    found: format!("state `{state}`"),
                },
            });
        };
        let notification = notification_from(&row)?;
        tx.commit().await?;
        Ok(notification)
    }
}

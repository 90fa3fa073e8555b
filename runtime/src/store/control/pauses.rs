//! Pauses of services made over the API.

use std::collections::BTreeMap;

use sqlx::Row;

use super::{ControlStore, Result, audit};
use crate::domain::{Pause, PausedBy, UnixMillis};

impl ControlStore {
    /// Returns all pauses by service; those that are over too, until they are removed.
    pub async fn pause_list(&self) -> Result<BTreeMap<String, Pause>> {
        let rows = sqlx::query("SELECT * FROM service_pauses ORDER BY service")
            .fetch_all(&self.reader)
            .await?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            let by = PausedBy {
                author: row.try_get("author")?,
                since_ms: row.try_get("since_ms")?,
            };
            let pause = Pause {
                until_ms: row.try_get("until_ms")?,
                reason: row.try_get("reason")?,
                by: Some(by),
            };
            Ok((row.try_get("service")?, pause))
        };
        Ok(self.readable("pause", &rows, read).into_iter().collect())
    }

    /// Stores a pause in place of the one before.
    pub async fn pause_put(&self, service: &str, pause: &Pause, by: &PausedBy) -> Result<()> {
        let mut tx = self.begin_roomy_write().await?;
        sqlx::query(
            "INSERT INTO service_pauses (service, since_ms, until_ms, reason, author) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (service) DO UPDATE SET since_ms = $2, until_ms = $3, reason = $4, author = $5",
        )
        .bind(service)
        .bind(by.since_ms)
        .bind(pause.until_ms)
        .bind(&pause.reason)
        .bind(&by.author)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    pub async fn pause_delete(&self, service: &str) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("DELETE FROM service_pauses WHERE service = $1")
            .bind(service)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Removes the pauses that are over at a moment, each with its line in the audit log.
    pub async fn pause_end(&self, actor: &str, now_ms: UnixMillis) -> Result<Vec<String>> {
        let mut tx = self.begin_write().await?;
        let ended: Vec<String> =
            sqlx::query_scalar("DELETE FROM service_pauses WHERE until_ms <= $1 RETURNING service")
                .bind(now_ms)
                .fetch_all(&mut *tx)
                .await?;
        for service in &ended {
            let detail = serde_json::json!({"reason": "the pause is over"});
            audit::append(&mut *tx, now_ms, actor, "service.resume", service, &detail).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }
}

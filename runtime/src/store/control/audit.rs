//! Who changed what. Appended to, never changed.

use serde_json::Value;
use sqlx::Row;

use super::{ControlStore, Result, page};
use crate::domain::{UnixMillis, now_ms};

#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub id: i64,
    pub ts_ms: UnixMillis,
    pub actor: String,
    /// E.g. `service.update`.
    pub action: String,
    pub subject: String,
    pub detail: Value,
}

impl ControlStore {
    /// The detail must hold no secret: it is stored as it is.
    pub async fn audit_append(&self, actor: &str, action: &str, subject: &str, detail: &Value) -> Result<()> {
        sqlx::query("INSERT INTO audit_log (ts_ms, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)")
            .bind(now_ms())
            .bind(actor)
            .bind(action)
            .bind(subject)
            .bind(detail.to_string())
            .execute(&self.writer)
            .await?;
        Ok(())
    }

    /// Newest first.
    pub async fn audit_list(&self, before: Option<i64>, limit: u32) -> Result<Vec<AuditEntry>> {
        let rows = sqlx::query(
            "SELECT id, ts_ms, actor, action, subject, detail FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(page(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let detail: String = row.try_get("detail")?;
                Ok(AuditEntry {
                    id: row.try_get("id")?,
                    ts_ms: row.try_get("ts_ms")?,
                    actor: row.try_get("actor")?,
                    action: row.try_get("action")?,
                    subject: row.try_get("subject")?,
                    detail: serde_json::from_str(&detail).unwrap_or(Value::String(detail)),
                })
            })
            .collect()
    }
}

//! The audit log: changes with the people who made them. Rows are appended, never changed.

use serde_json::Value;
use sqlx::{Executor, Row, Sqlite};

use super::{ControlStore, Result, page};
use crate::domain::{UnixMillis, now_ms};

#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub id: i64,
    pub ts_ms: UnixMillis,
    pub actor: String,
    /// Subject and kind of the change, e.g. `service.update`.
    pub action: String,
    pub subject: String,
    pub detail: Value,
    /// Address of the client, if the change came over a connection.
    pub address: Option<String>,
}

/// Filter of entries; all by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Kind of the subject: the first word of the action, e.g. `plugin`.
    pub kind: Option<String>,
    pub subject: Option<String>,
    pub actor: Option<String>,
    /// Only those before this id.
    pub before: Option<i64>,
}

/// Appends an entry within a transaction.
pub(super) async fn append(
    executor: impl Executor<'_, Database = Sqlite>,
    ts_ms: UnixMillis,
    actor: &str,
    action: &str,
    subject: &str,
    detail: &Value,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO audit_log (ts_ms, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(ts_ms)
    .bind(actor)
    .bind(action)
    .bind(subject)
    .bind(detail.to_string())
    .execute(executor)
    .await?;
    Ok(())
}

impl ControlStore {
    /// The detail must hold no secret: it is stored as it is.
    pub async fn audit_append(
        &self,
        actor: &str,
        action: &str,
        subject: &str,
        detail: &Value,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        append(&mut *tx, now_ms(), actor, action, subject, detail).await?;
        tx.commit().await
    }

    /// Appends entries of one request, each with action, subject and detail, together.
    pub async fn audit_append_all(
        &self,
        address: Option<&str>,
        actor: &str,
        entries: &[(&str, &str, &Value)],
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        for (action, subject, detail) in entries {
            sqlx::query(
                "INSERT INTO audit_log (ts_ms, actor, action, subject, detail, address) VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(now_ms())
            .bind(actor)
            .bind(action)
            .bind(subject)
            .bind(detail.to_string())
            .bind(address)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    /// Newest first.
    pub async fn audit_list(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditEntry>> {
        // The most telling column leads, by its index; the others sort out what it finds.
        let query = match filter {
            AuditFilter { subject: Some(_), .. } => {
                "SELECT id, ts_ms, actor, action, subject, detail, address FROM audit_log
                 WHERE subject = $3 AND id < $1 AND ($2 IS NULL OR +kind = $2) AND ($4 IS NULL OR +actor = $4)
                 ORDER BY id DESC LIMIT $5"
            }
            AuditFilter { actor: Some(_), .. } => {
                "SELECT id, ts_ms, actor, action, subject, detail, address FROM audit_log
                 WHERE actor = $4 AND id < $1 AND ($2 IS NULL OR +kind = $2) AND $3 IS NULL
                 ORDER BY id DESC LIMIT $5"
            }
            AuditFilter { kind: Some(_), .. } => {
                "SELECT id, ts_ms, actor, action, subject, detail, address FROM audit_log
                 WHERE kind = $2 AND id < $1 AND $3 IS NULL AND $4 IS NULL ORDER BY id DESC LIMIT $5"
            }
            _ => {
                "SELECT id, ts_ms, actor, action, subject, detail, address FROM audit_log
                 WHERE id < $1 AND $2 IS NULL AND $3 IS NULL AND $4 IS NULL ORDER BY id DESC LIMIT $5"
            }
        };
        let rows = sqlx::query(query)
            .bind(filter.before.unwrap_or(i64::MAX))
            .bind(&filter.kind)
            .bind(&filter.subject)
            .bind(&filter.actor)
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
                    address: row.try_get("address")?,
                })
            })
            .collect()
    }
}

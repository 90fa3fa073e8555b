//! Policies of plugins that were set over the API.

use serde_json::Value;
use sqlx::Row;

use super::{ControlError, ControlStore, Result};
use crate::domain::{UnixMillis, now_ms};

#[derive(Debug, Clone, PartialEq)]
pub struct StoredPolicy {
    /// Name of the plugin.
    pub name: String,
    /// The policy as it was written.
    pub policy: Value,
    pub updated_ms: UnixMillis,
    pub updated_by: String,
}

impl ControlStore {
    /// Replaces a policy. It must hold no secret: it is stored as it is.
    pub async fn plugin_policy_put(&self, name: &str, policy: &Value, by: &str) -> Result<()> {
        let mut tx = self.begin_roomy_write().await?;
        sqlx::query(
            "INSERT INTO plugin_policies (name, policy, updated_ms, updated_by) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET policy = excluded.policy, updated_ms = excluded.updated_ms,
             updated_by = excluded.updated_by",
        )
        .bind(name)
        .bind(policy.to_string())
        .bind(now_ms())
        .bind(by)
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// False: there was none.
    pub async fn plugin_policy_delete(&self, name: &str) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let deleted = sqlx::query("DELETE FROM plugin_policies WHERE name = $1")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(deleted.rows_affected() > 0)
    }

    /// Returns all policies, by name.
    pub async fn plugin_policy_list(&self) -> Result<Vec<StoredPolicy>> {
        let rows = sqlx::query(
            "SELECT name, policy, updated_ms, updated_by FROM plugin_policies ORDER BY name",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let (name, policy): (String, String) =
                    (row.try_get("name")?, row.try_get("policy")?);
                let Ok(value) = serde_json::from_str(&policy) else {
                    return Err(ControlError::Unreadable {
                        what: "policy of plugin",
                        name,
                        column: "policy",
                        found: policy,
                    });
                };
                let (updated_ms, updated_by) =
                    (row.try_get("updated_ms")?, row.try_get("updated_by")?);
                Ok(StoredPolicy {
                    name,
                    policy: value,
                    updated_ms,
                    updated_by,
                })
            })
            .collect()
    }
}

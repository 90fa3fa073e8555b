//! Memories of rules from one judgement to the next, for after a restart.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{ControlStore, MemoryChange, Result};
use crate::domain::RuleMemory;

impl ControlStore {
    /// Keys of rules with their services, of one service or of all.
    pub async fn rule_memory_list(
        &self,
        service: Option<&str>,
    ) -> Result<Vec<(String, String, RuleMemory)>> {
        let query = match service {
            Some(_) => "SELECT * FROM rule_memory WHERE service = $1 ORDER BY rule",
            None => "SELECT * FROM rule_memory WHERE $1 IS NULL ORDER BY rule",
        };
        let rows = sqlx::query(query)
            .bind(service)
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.try_get("rule")?,
                    row.try_get("service")?,
                    memory_from(row)?,
                ))
            })
            .collect()
    }

    pub async fn rule_memory_put(
        &self,
        rule: &str,
        service: &str,
        change: MemoryChange,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        put(&mut tx, rule, service, change).await?;
        tx.commit().await
    }
}

pub(super) async fn put(
    tx: &mut SqliteConnection,
    rule: &str,
    service: &str,
    change: MemoryChange,
) -> Result<()> {
    let (memory, is_released) = match change {
        MemoryChange::Judged {
            memory,
            is_released,
        } => (memory, is_released),
        MemoryChange::Held => {
            sqlx::query(
                "INSERT INTO rule_memory (rule, service, breaches, changes, is_flapping, was_breached, is_held)
                 VALUES ($1, $2, 0, 0, FALSE, FALSE, TRUE)
                 ON CONFLICT (rule) DO UPDATE SET is_held = TRUE, clear_since_ms = NULL",
            )
            .bind(rule)
            .bind(service)
            .execute(tx)
            .await?;
            return Ok(());
        }
        MemoryChange::Forgotten => {
            sqlx::query("DELETE FROM rule_memory WHERE rule = $1")
                .bind(rule)
                .execute(tx)
                .await?;
            return Ok(());
        }
    };
    sqlx::query(
        "INSERT INTO rule_memory (rule, service, breaches, changes, is_flapping, was_breached, clear_since_ms, is_held)
         VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE)
         ON CONFLICT (rule) DO UPDATE SET breaches = $3, changes = $4, is_flapping = $5, was_breached = $6,
             clear_since_ms = $7, is_held = rule_memory.is_held AND NOT $8",
    )
    .bind(rule)
    .bind(service)
    .bind(memory.breaches.cast_signed())
    .bind(i64::from(memory.changes))
    .bind(memory.is_flapping)
    .bind(memory.was_breached)
    .bind(memory.clear_since_ms)
    .bind(is_released)
    .execute(tx)
    .await?;
    Ok(())
}

fn memory_from(row: &SqliteRow) -> Result<RuleMemory> {
    Ok(RuleMemory {
        breaches: row.try_get::<i64, _>("breaches")?.cast_unsigned(),
        changes: u32::try_from(row.try_get::<i64, _>("changes")?).unwrap_or_default(),
        is_flapping: row.try_get("is_flapping")?,
        was_breached: row.try_get("was_breached")?,
        clear_since_ms: row.try_get("clear_since_ms")?,
        is_held: row.try_get("is_held")?,
    })
}

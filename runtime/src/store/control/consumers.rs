//! Consumers of the gateway, and what they used of their quotas. Only hashes of tokens are kept: a
//! token is 256 random bits, so one sha256 is enough.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result, TokenHash};
use crate::domain::{Consumer, QuotaWindow, UnixMillis, now_ms};

/// A consumer to be made.
#[derive(Debug, Clone)]
pub struct ConsumerDraft<'a> {
    pub name: &'a str,
    pub hash: &'a TokenHash,
    pub services: &'a [String],
    pub created_by: &'a str,
}

/// Calls counted in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaUse {
    /// Slug.
    pub service: String,
    /// 0: all consumers together.
    pub consumer_id: i64,
    pub window: QuotaWindow,
    pub start_ms: UnixMillis,
    pub calls: u64,
}

impl ControlStore {
    /// Most consumers: all are held in memory.
    pub const MAX_CONSUMERS: u32 = 10_000;

    /// None: there are as many as there may be.
    pub async fn consumer_insert(&self, draft: ConsumerDraft<'_>) -> Result<Option<Consumer>> {
        let mut tx = self.begin_write().await?;
        let row = sqlx::query(
            "INSERT INTO consumers (name, hash, services, created_ms, created_by)
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM consumers) < $6 RETURNING *",
        )
        .bind(draft.name)
        .bind(draft.hash.as_slice())
        .bind(draft.services.join(" "))
        .bind(now_ms())
        .bind(draft.created_by)
        .bind(Self::MAX_CONSUMERS)
        .fetch_optional(&mut *tx)
        .await
        .map_err(|source| super::exists(source, "consumer", draft.name))?;
        let consumer = row.as_ref().map(read).transpose()?;
        tx.commit().await?;
        Ok(consumer)
    }

    /// Oldest first; only those after the id.
    pub async fn consumer_page(&self, after: i64, limit: u32) -> Result<Vec<Consumer>> {
        let rows = sqlx::query("SELECT * FROM consumers WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after)
            .bind(super::page(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read).collect()
    }

    /// All, with the hashes of their tokens.
    pub async fn consumer_all(&self) -> Result<Vec<(TokenHash, Consumer)>> {
        let rows = sqlx::query("SELECT * FROM consumers ORDER BY id LIMIT $1")
            .bind(Self::MAX_CONSUMERS)
            .fetch_all(&self.reader)
            .await?;
        Ok(self.readable("consumer", &rows, |row| Ok((hash(row)?, read(row)?))))
    }

    /// Returns the name of the one that was deleted, with all that it used.
    pub async fn consumer_delete(&self, id: i64) -> Result<Option<String>> {
        let mut tx = self.begin_write().await?;
        let name = sqlx::query_scalar("DELETE FROM consumers WHERE id = $1 RETURNING name")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM quota_use WHERE consumer_id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(name)
    }

    pub async fn quota_use_all(&self) -> Result<Vec<QuotaUse>> {
        let rows = sqlx::query("SELECT * FROM quota_use")
            .fetch_all(&self.reader)
            .await?;
        Ok(self.readable("quota use", &rows, |row| {
            let service: String = row.try_get("service")?;
            Ok(QuotaUse {
                window: super::word(
                    row,
                    "quota_window",
                    "quota use",
                    &service,
                    QuotaWindow::parse,
                )?,
                consumer_id: row.try_get("consumer_id")?,
                start_ms: row.try_get("start_ms")?,
                calls: row.try_get::<i64, _>("calls")?.unsigned_abs(),
                service,
            })
        }))
    }

    /// Notes what was used, and forgets windows that are over.
    pub async fn quota_use_store(&self, uses: &[QuotaUse], now_ms: UnixMillis) -> Result<()> {
        /// The longest window is a month.
        const OLDEST_MS: i64 = 32 * 86_400_000;
        let mut tx = self.begin_write().await?;
        for usage in uses {
            sqlx::query(
                "INSERT INTO quota_use (service, consumer_id, quota_window, start_ms, calls) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (service, consumer_id, quota_window)
                 DO UPDATE SET start_ms = excluded.start_ms, calls = excluded.calls",
            )
            .bind(&usage.service)
            .bind(usage.consumer_id)
            .bind(usage.window.as_str())
            .bind(usage.start_ms)
            .bind(i64::try_from(usage.calls).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query("DELETE FROM quota_use WHERE start_ms < $1")
            .bind(now_ms.saturating_sub(OLDEST_MS))
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

fn hash(row: &SqliteRow) -> Result<TokenHash> {
    let name: String = row.try_get("name")?;
    TokenHash::try_from(row.try_get::<&[u8], _>("hash")?).map_err(|_| ControlError::Unreadable {
        what: "consumer",
        name,
        column: "hash",
        found: "not 32 bytes".to_owned(),
    })
}

fn read(row: &SqliteRow) -> Result<Consumer> {
    let services: String = row.try_get("services")?;
    Ok(Consumer {
        id: row.try_get("id")?,
        name: row.try_get::<String, _>("name")?.into(),
        services: services.split_whitespace().map(str::to_owned).collect(),
        created_ms: row.try_get("created_ms")?,
        created_by: row.try_get("created_by")?,
    })
}

//! Silences. One that ended is kept as a record of who muted what, and why.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result, page, word};
use crate::domain::{Matcher, Silence, UnixMillis};

/// Silences that have not ended: each is compared with every alert. More is a mistake, and is
/// refused, so that none is left aside when alerts are muted.
const MAX_SILENCES: i64 = 10_000;

#[derive(Debug, Clone)]
pub struct SilenceDraft {
    pub matchers: Vec<Matcher>,
    pub starts_ms: UnixMillis,
    pub ends_ms: UnixMillis,
    pub author: String,
    pub comment: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StoredSilence {
    pub silence: Silence,
    pub created_ms: UnixMillis,
    /// Moment of the notice that it ends soon although it still mutes something.
    pub noticed_ms: Option<UnixMillis>,
}

impl ControlStore {
    /// `Full` when too many have not ended.
    pub async fn silence_insert(
        &self,
        draft: SilenceDraft,
        now_ms: UnixMillis,
    ) -> Result<StoredSilence> {
        let mut tx = self.begin_write().await?;
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM silences WHERE ends_ms > $1")
            .bind(now_ms)
            .fetch_one(&mut *tx)
            .await?;
        if open >= MAX_SILENCES {
            tx.rollback().await?;
            return Err(ControlError::Full {
                what: "silences",
                limit: MAX_SILENCES,
            });
        }
        let matchers: Vec<String> = draft.matchers.iter().map(Matcher::to_string).collect();
        let row = sqlx::query(
            "INSERT INTO silences (matchers, starts_ms, ends_ms, author, comment, created_ms)
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING *",
        )
        .bind(serde_json::to_string(&matchers).expect("a list of texts"))
        .bind(draft.starts_ms)
        .bind(draft.ends_ms)
        .bind(&draft.author)
        .bind(&draft.comment)
        .bind(now_ms)
        .fetch_one(&mut *tx)
        .await?;
        let stored = silence_from(&row)?;
        tx.commit().await?;
        Ok(stored)
    }

    /// A page of those before an id, newest first: with those that have ended, or without.
    pub async fn silence_page(
        &self,
        ended_too: bool,
        now_ms: UnixMillis,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<StoredSilence>> {
        let query = if ended_too {
            "SELECT * FROM silences WHERE id < $1 AND $2 IS NOT NULL ORDER BY id DESC LIMIT $3"
        } else {
            "SELECT * FROM silences WHERE ends_ms > $2 AND id < $1 ORDER BY id DESC LIMIT $3"
        };
        let rows = sqlx::query(query)
            .bind(before.unwrap_or(i64::MAX))
            .bind(now_ms)
            .bind(page(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(silence_from).collect()
    }

    /// Every silence that holds at some time after a moment, the first to end first. There are at
    /// most [`MAX_SILENCES`] that have not ended.
    pub async fn silence_ending_after(&self, moment_ms: UnixMillis) -> Result<Vec<StoredSilence>> {
        let rows = sqlx::query("SELECT * FROM silences WHERE ends_ms > $1 ORDER BY ends_ms, id")
            .bind(moment_ms)
            .fetch_all(&self.reader)
            .await?;
        Ok(self.readable("silence", &rows, silence_from))
    }

    pub async fn silence_get(&self, id: i64) -> Result<Option<StoredSilence>> {
        let row = sqlx::query("SELECT * FROM silences WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(silence_from).transpose()
    }

    /// Ends it now; fine if it has ended already. One that has not begun never will.
    pub async fn silence_expire(&self, id: i64, now_ms: UnixMillis) -> Result<StoredSilence> {
        let mut tx = self.begin_write().await?;
        let row = sqlx::query(
            "UPDATE silences SET ends_ms = CASE WHEN ends_ms > $1 THEN $1 ELSE ends_ms END,
                 starts_ms = CASE WHEN starts_ms > $1 THEN $1 ELSE starts_ms END
             WHERE id = $2 RETURNING *",
        )
        .bind(now_ms)
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
        let row = row.ok_or_else(|| ControlError::NotFound {
            what: "silence",
            name: id.to_string(),
        })?;
        let stored = silence_from(&row)?;
        tx.commit().await?;
        Ok(stored)
    }
}

fn silence_from(row: &SqliteRow) -> Result<StoredSilence> {
    let id: i64 = row.try_get("id")?;
    Ok(StoredSilence {
        silence: Silence {
            id,
            matchers: word(row, "matchers", "silence", id, matchers)?,
            starts_ms: row.try_get("starts_ms")?,
            ends_ms: row.try_get("ends_ms")?,
            author: row.try_get("author")?,
            comment: row.try_get("comment")?,
        },
        created_ms: row.try_get("created_ms")?,
        noticed_ms: row.try_get("noticed_ms")?,
    })
}

pub(super) fn matchers(text: &str) -> Option<Vec<Matcher>> {
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    texts.iter().map(|text| Matcher::parse(text).ok()).collect()
}

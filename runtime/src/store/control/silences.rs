//! Silences. One that ended stays: it says who muted what, and why.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result, page, word};
use crate::domain::{Matcher, Silence, UnixMillis};

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
    /// When people were told that it ends soon although it still mutes something.
    pub noticed_ms: Option<UnixMillis>,
}

impl ControlStore {
    pub async fn silence_insert(&self, draft: SilenceDraft, now_ms: UnixMillis) -> Result<StoredSilence> {
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
        .fetch_one(&self.writer)
        .await?;
        silence_from(&row)
    }

    /// Those that have not ended, and of a page the newest that have; newest first.
    pub async fn silence_list(&self, ended_too: bool, now_ms: UnixMillis, limit: u32) -> Result<Vec<StoredSilence>> {
        let rows = sqlx::query("SELECT * FROM silences WHERE ends_ms > $1 OR $2 ORDER BY id DESC LIMIT $3")
            .bind(now_ms)
            .bind(ended_too)
            .bind(page(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(silence_from).collect()
    }

    /// The same, only those before the id.
    pub async fn silence_page(
        &self,
        ended_too: bool,
        now_ms: UnixMillis,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<StoredSilence>> {
        let rows =
            sqlx::query("SELECT * FROM silences WHERE (ends_ms > $1 OR $2) AND id < $3 ORDER BY id DESC LIMIT $4")
                .bind(now_ms)
                .bind(ended_too)
                .bind(before.unwrap_or(i64::MAX))
                .bind(page(limit))
                .fetch_all(&self.reader)
                .await?;
        rows.iter().map(silence_from).collect()
    }

    pub async fn silence_get(&self, id: i64) -> Result<Option<StoredSilence>> {
        let row = sqlx::query("SELECT * FROM silences WHERE id = $1").bind(id).fetch_optional(&self.reader).await?;
        row.as_ref().map(silence_from).transpose()
    }

    /// Ends it now; fine if it has ended already. One that has not begun never will.
    pub async fn silence_expire(&self, id: i64, now_ms: UnixMillis) -> Result<StoredSilence> {
        let row = sqlx::query(
            "UPDATE silences SET ends_ms = CASE WHEN ends_ms > $1 THEN $1 ELSE ends_ms END,
                 starts_ms = CASE WHEN starts_ms > $1 THEN $1 ELSE starts_ms END
             WHERE id = $2 RETURNING *",
        )
        .bind(now_ms)
        .bind(id)
        .fetch_optional(&self.writer)
        .await?;
        let row = row.ok_or_else(|| ControlError::NotFound { what: "silence", name: id.to_string() })?;
        silence_from(&row)
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

//! API tokens and the dashboard's sessions. Only hashes are kept: a token is 256 random bits, so
//! one sha256 is enough.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result};
use crate::domain::{UnixMillis, now_ms};

/// sha256 of a token or a session cookie.
pub type TokenHash = [u8; 32];

/// Where a token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenOrigin {
    Api,
    /// `EXTRACK_ADMIN_TOKEN`; goes with the variable.
    Environment,
    /// Made at the first start.
    Start,
}

impl TokenOrigin {
    pub fn as_str(self) -> &'static str {
        match self {
            TokenOrigin::Api => "api",
            TokenOrigin::Environment => "environment",
            TokenOrigin::Start => "start",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            TokenOrigin::Api,
            TokenOrigin::Environment,
            TokenOrigin::Start,
        ]
        .into_iter()
        .find(|origin| origin.as_str() == text)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: i64,
    /// Unique; the actor of the audit log.
    pub name: String,
    pub hash: TokenHash,
    /// Scopes in the order in which they were given.
    pub scopes: Vec<String>,
    pub created_ms: UnixMillis,
    /// Name of the token it was made with; empty where the program made it.
    pub created_by: String,
    /// Moment from which the token is unknown; none: never.
    pub expires_ms: Option<UnixMillis>,
    /// Written now and then. None: not yet.
    pub last_used_ms: Option<UnixMillis>,
    pub origin: TokenOrigin,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct TokenDraft<'a> {
    pub name: &'a str,
    pub hash: &'a TokenHash,
    pub scopes: &'a [String],
    pub expires_ms: Option<UnixMillis>,
    pub origin: TokenOrigin,
    pub created_by: &'a str,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The token that the session was opened with, and whose scopes it has.
    pub token: Token,
    pub expires_ms: UnixMillis,
}

impl ControlStore {
    pub async fn token_insert(&self, draft: TokenDraft<'_>) -> Result<Token> {
        let TokenDraft {
            name,
            hash,
            scopes,
            expires_ms,
            origin,
            created_by,
        } = draft;
        let mut tx = self.begin_write().await?;
        let row = sqlx::query(
            "INSERT INTO tokens (name, hash, scopes, created_ms, expires_ms, origin, created_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING *",
        )
        .bind(name)
        .bind(hash.as_slice())
        .bind(scopes.join(" "))
        .bind(now_ms())
        .bind(expires_ms)
        .bind(origin.as_str())
        .bind(created_by)
        .fetch_one(&mut *tx)
        .await
        .map_err(|source| super::exists(source, "token", name))?;
        let token = read(&row)?;
        tx.commit().await?;
        Ok(token)
    }

    /// Not one that has expired.
    pub async fn token_find(&self, hash: &TokenHash, now_ms: UnixMillis) -> Result<Option<Token>> {
        sqlx::query(
            "SELECT * FROM tokens WHERE hash = $1 AND (expires_ms IS NULL OR expires_ms > $2)",
        )
        .bind(hash.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.reader)
        .await?
        .map(|row| read(&row))
        .transpose()
    }

    pub async fn token_get(&self, id: i64) -> Result<Option<Token>> {
        let row = sqlx::query("SELECT * FROM tokens WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| read(&row)).transpose()
    }

    /// Oldest first, those that have expired too; only those after the id.
    pub async fn token_page(&self, after: i64, limit: u32) -> Result<Vec<Token>> {
        let rows = sqlx::query("SELECT * FROM tokens WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after)
            .bind(super::page(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Removes the tokens of that origin but the one with the hash, and their sessions. Returns
    /// their names.
    pub async fn token_delete_others(
        &self,
        origin: TokenOrigin,
        kept: Option<&TokenHash>,
    ) -> Result<Vec<String>> {
        // A start on a full disk writes nothing that need not be written.
        let is_needed: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM tokens WHERE origin = $1 AND hash IS NOT $2)",
        )
        .bind(origin.as_str())
        .bind(kept.map(TokenHash::as_slice))
        .fetch_one(&self.reader)
        .await?;
        if !is_needed {
            return Ok(Vec::new());
        }
        let mut tx = self.begin_write().await?;
        let names = sqlx::query_scalar(
            "DELETE FROM tokens WHERE origin = $1 AND hash IS NOT $2 RETURNING name",
        )
        .bind(origin.as_str())
        .bind(kept.map(TokenHash::as_slice))
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(names)
    }

    /// Notes when tokens were last used.
    pub async fn token_used(&self, uses: &HashMap<i64, UnixMillis>) -> Result<()> {
        let mut tx = self.begin_write().await?;
        for (id, used_ms) in uses {
            sqlx::query("UPDATE tokens SET last_used_ms = $1 WHERE id = $2")
                .bind(used_ms)
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub async fn token_count(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens")
            .fetch_one(&self.reader)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Deletes a token with its sessions. False, and nothing is deleted, if it is the last one that
    /// has the scope and never expires.
    pub async fn token_delete_unless_last(&self, id: i64, scope: &str) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let done = sqlx::query(
            "DELETE FROM tokens WHERE id = $1 AND EXISTS (
                 SELECT 1 FROM tokens WHERE id <> $1 AND expires_ms IS NULL AND ' ' || scopes || ' ' LIKE '% ' || $2 || ' %'
             )",
        )
        .bind(id)
        .bind(scope)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes the sessions that ended on the way.
    pub async fn session_insert(
        &self,
        hash: &TokenHash,
        token: i64,
        expires_ms: UnixMillis,
    ) -> Result<()> {
        let now = now_ms();
        let mut tx = self.begin_write().await?;
        sqlx::query("DELETE FROM sessions WHERE expires_ms <= $1")
            .bind(now)
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO sessions (hash, token_id, created_ms, expires_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(hash.as_slice())
        .bind(token)
        .bind(now)
        .bind(expires_ms)
        .execute(&mut *tx)
        .await
        .map_err(|source| super::exists(source, "session of token", token))?;
        tx.commit().await?;
        Ok(())
    }

    /// Not one that ended.
    pub async fn session_find(
        &self,
        hash: &TokenHash,
        now_ms: UnixMillis,
    ) -> Result<Option<Session>> {
        sqlx::query(
            "SELECT t.*, s.expires_ms AS session_expires_ms FROM sessions s JOIN tokens t ON t.id = s.token_id
             WHERE s.hash = $1 AND s.expires_ms > $2 AND (t.expires_ms IS NULL OR t.expires_ms > $2)",
        )
        .bind(hash.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.reader)
        .await?
        .map(|row| Ok(Session { token: read(&row)?, expires_ms: row.try_get("session_expires_ms")? }))
        .transpose()
    }

    pub async fn session_delete(&self, hash: &TokenHash) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("DELETE FROM sessions WHERE hash = $1")
            .bind(hash.as_slice())
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

fn read(row: &SqliteRow) -> Result<Token> {
    let scopes: String = row.try_get("scopes")?;
    let name: String = row.try_get("name")?;
    let hash = TokenHash::try_from(row.try_get::<&[u8], _>("hash")?).map_err(|_| {
        ControlError::Unreadable {
            what: "token",
            name: name.clone(),
            column: "hash",
            found: "not 32 bytes".to_owned(),
        }
    })?;
    Ok(Token {
        id: row.try_get("id")?,
        origin: super::word(row, "origin", "token", &name, TokenOrigin::parse)?,
        name,
        hash,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        created_ms: row.try_get("created_ms")?,
        created_by: row.try_get("created_by")?,
        expires_ms: row.try_get("expires_ms")?,
        last_used_ms: row.try_get("last_used_ms")?,
    })
}

//! API tokens and the dashboard's sessions. Only hashes are kept: a token is 256 random bits, so one sha256 is enough.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlError, ControlStore, Result};
use crate::domain::{UnixMillis, now_ms};

/// sha256 of a token or a session cookie.
pub type TokenHash = [u8; 32];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: i64,
    pub name: String,
    pub hash: TokenHash,
    /// In the order they were given.
    pub scopes: Vec<String>,
    pub created_ms: UnixMillis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The token that the session was opened with, and whose scopes it has.
    pub token: Token,
    pub expires_ms: UnixMillis,
}

impl ControlStore {
    pub async fn token_insert(&self, name: &str, hash: &TokenHash, scopes: &[String]) -> Result<Token> {
        let now = now_ms();
        let mut tx = self.begin_write().await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO tokens (name, hash, scopes, created_ms) VALUES ($1, $2, $3, $4) RETURNING id",
        )
        .bind(name)
        .bind(hash.as_slice())
        .bind(scopes.join(" "))
        .bind(now)
        .fetch_one(&mut *tx)
        .await
        .map_err(|source| super::exists(source, "token", name))?;
        tx.commit().await?;
        Ok(Token { id, name: name.to_owned(), hash: *hash, scopes: scopes.to_vec(), created_ms: now })
    }

    pub async fn token_find(&self, hash: &TokenHash) -> Result<Option<Token>> {
        sqlx::query("SELECT id, name, hash, scopes, created_ms FROM tokens WHERE hash = $1")
            .bind(hash.as_slice())
            .fetch_optional(&self.reader)
            .await?
            .map(|row| read(&row))
            .transpose()
    }

    /// Oldest first.
    pub async fn token_list(&self) -> Result<Vec<Token>> {
        let rows = sqlx::query("SELECT id, name, hash, scopes, created_ms FROM tokens ORDER BY id")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read).collect()
    }

    pub async fn token_count(&self) -> Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens").fetch_one(&self.reader).await?;
        Ok(count.unsigned_abs())
    }

    /// Its sessions go with it. False if there was none.
    pub async fn token_delete(&self, id: i64) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let done = sqlx::query("DELETE FROM tokens WHERE id = $1").bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Removes the sessions that ended on the way.
    pub async fn session_insert(&self, hash: &TokenHash, token: i64, expires_ms: UnixMillis) -> Result<()> {
        let now = now_ms();
        let mut tx = self.begin_write().await?;
        sqlx::query("DELETE FROM sessions WHERE expires_ms <= $1").bind(now).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO sessions (hash, token_id, created_ms, expires_ms) VALUES ($1, $2, $3, $4)")
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
    pub async fn session_find(&self, hash: &TokenHash, now_ms: UnixMillis) -> Result<Option<Session>> {
        sqlx::query(
            "SELECT t.id, t.name, t.hash, t.scopes, t.created_ms, s.expires_ms
             FROM sessions s JOIN tokens t ON t.id = s.token_id WHERE s.hash = $1 AND s.expires_ms > $2",
        )
        .bind(hash.as_slice())
        .bind(now_ms)
        .fetch_optional(&self.reader)
        .await?
        .map(|row| Ok(Session { token: read(&row)?, expires_ms: row.try_get("expires_ms")? }))
        .transpose()
    }

    pub async fn session_delete(&self, hash: &TokenHash) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("DELETE FROM sessions WHERE hash = $1").bind(hash.as_slice()).execute(&mut *tx).await?;
        tx.commit().await
    }
}

fn read(row: &SqliteRow) -> Result<Token> {
    let scopes: String = row.try_get("scopes")?;
    let name: String = row.try_get("name")?;
    let hash = TokenHash::try_from(row.try_get::<&[u8], _>("hash")?).map_err(|_| ControlError::Unreadable {
        what: "token",
        name: name.clone(),
        column: "hash",
        found: "not 32 bytes".to_owned(),
    })?;
    Ok(Token {
        id: row.try_get("id")?,
        name,
        hash,
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        created_ms: row.try_get("created_ms")?,
    })
}

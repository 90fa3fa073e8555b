//! Queries in SQL that people keep. They hold no secret.

use serde_json::{Map, Value};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Row, Sqlite};

use super::{ControlError, ControlStore, Result, exists, word};
use crate::domain::UnixMillis;

/// More than people find their way in.
const MAX_QUERIES: i64 = 1_000;
const WHAT: &str = "saved query";

#[derive(Debug, Clone, PartialEq)]
pub struct SavedQueryDraft {
    pub name: String,
    pub query: String,
    pub description: String,
    /// Names of the parameters in the statement.
    pub parameters: Vec<String>,
    /// Values of parameters that are not given.
    pub defaults: Map<String, Value>,
    /// Name of the token that wrote it last.
    pub author: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SavedQuery {
    pub draft: SavedQueryDraft,
    pub created_ms: UnixMillis,
    pub updated_ms: UnixMillis,
}

impl ControlStore {
    /// `Exists` when there is one of that name, `Full` when there are too many.
    pub async fn saved_query_insert(
        &self,
        draft: &SavedQueryDraft,
        now_ms: UnixMillis,
    ) -> Result<SavedQuery> {
        let mut tx = self.begin_roomy_write().await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM saved_queries")
            .fetch_one(&mut *tx)
            .await?;
        if count >= MAX_QUERIES {
            tx.rollback().await?;
            return Err(ControlError::Full {
                what: "saved queries",
                limit: MAX_QUERIES,
            });
        }
        let insert = "INSERT INTO saved_queries
                 (name, query, description, parameters, defaults, author, created_ms, updated_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7) RETURNING *";
        let row = with_values(insert, draft, now_ms)
            .fetch_one(&mut *tx)
            .await
            .map_err(|source| exists(source, WHAT, &draft.name))?;
        let saved = saved_from(&row)?;
        tx.commit().await?;
        Ok(saved)
    }

    /// `NotFound` when there is none of that name.
    pub async fn saved_query_replace(
        &self,
        draft: &SavedQueryDraft,
        now_ms: UnixMillis,
    ) -> Result<SavedQuery> {
        let mut tx = self.begin_roomy_write().await?;
        let update = "UPDATE saved_queries SET
                 query = $2, description = $3, parameters = $4, defaults = $5, author = $6, updated_ms = $7
             WHERE name = $1 RETURNING *";
        let row = with_values(update, draft, now_ms)
            .fetch_optional(&mut *tx)
            .await?;
        let row = row.ok_or_else(|| not_found(&draft.name))?;
        let saved = saved_from(&row)?;
        tx.commit().await?;
        Ok(saved)
    }

    /// `NotFound` when there is none of that name.
    pub async fn saved_query_delete(&self, name: &str) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let deleted = sqlx::query("DELETE FROM saved_queries WHERE name = $1")
            .bind(name)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        match deleted.rows_affected() {
            0 => Err(not_found(name)),
            _ => Ok(()),
        }
    }

    pub async fn saved_query_get(&self, name: &str) -> Result<Option<SavedQuery>> {
        let row = sqlx::query("SELECT * FROM saved_queries WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(saved_from).transpose()
    }

    /// All of them, by name; one that can't be read is left out. There are at most
    /// [`MAX_QUERIES`].
    pub async fn saved_query_list(&self) -> Result<Vec<SavedQuery>> {
        let rows = sqlx::query("SELECT * FROM saved_queries ORDER BY name")
            .fetch_all(&self.reader)
            .await?;
        Ok(self.readable(WHAT, &rows, saved_from))
    }
}

/// Returns a statement with the values of a query, `$1` to `$7` in this order.
fn with_values<'a>(
    sql: &'static str,
    draft: &'a SavedQueryDraft,
    now_ms: UnixMillis,
) -> Query<'a, Sqlite, SqliteArguments> {
    sqlx::query(sql)
        .bind(&draft.name)
        .bind(&draft.query)
        .bind(&draft.description)
        .bind(Value::from(draft.parameters.clone()).to_string())
        .bind(Value::from(draft.defaults.clone()).to_string())
        .bind(&draft.author)
        .bind(now_ms)
}

fn not_found(name: &str) -> ControlError {
    ControlError::NotFound {
        what: WHAT,
        name: name.to_owned(),
    }
}

fn saved_from(row: &SqliteRow) -> Result<SavedQuery> {
    let name: String = row.try_get("name")?;
    Ok(SavedQuery {
        draft: SavedQueryDraft {
            query: row.try_get("query")?,
            description: row.try_get("description")?,
            parameters: word(row, "parameters", WHAT, &name, |text| {
                serde_json::from_str(text).ok()
            })?,
            defaults: word(row, "defaults", WHAT, &name, |text| {
                serde_json::from_str(text).ok()
            })?,
            author: row.try_get("author")?,
            name,
        },
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::Keyring;

    #[tokio::test]
    async fn a_query_is_kept_changed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = Keyring::load(None, dir.path()).unwrap();
        let path = dir.path().join("control.sqlite");
        let store = ControlStore::open(&path, keyring).await.unwrap();
        let draft = SavedQueryDraft {
            name: "slow".to_owned(),
            query: "SELECT $n".to_owned(),
            description: "what is slow".to_owned(),
            parameters: vec!["n".to_owned()],
            defaults: json!({"n": 5}).as_object().unwrap().clone(),
            author: "ci".to_owned(),
        };
        let saved = store.saved_query_insert(&draft, 1).await.unwrap();
        assert_eq!((&saved.draft, saved.updated_ms), (&draft, 1));
        let again = store.saved_query_insert(&draft, 2).await;
        assert!(
            matches!(again, Err(ControlError::Exists { .. })),
            "{again:?}"
        );
        let other = SavedQueryDraft {
            query: "SELECT 1".to_owned(),
            parameters: Vec::new(),
            ..draft.clone()
        };
        let changed = store.saved_query_replace(&other, 3).await.unwrap();
        assert_eq!((changed.created_ms, changed.updated_ms), (1, 3));
        assert_eq!(
            store.saved_query_get("slow").await.unwrap(),
            Some(changed.clone())
        );
        assert_eq!(store.saved_query_list().await.unwrap(), [changed]);
        store.saved_query_delete("slow").await.unwrap();
        let gone = store.saved_query_delete("slow").await;
        assert!(
            matches!(gone, Err(ControlError::NotFound { .. })),
            "{gone:?}"
        );
        let gone = store.saved_query_replace(&other, 4).await;
        assert!(
            matches!(gone, Err(ControlError::NotFound { .. })),
            "{gone:?}"
        );
    }
}

//! What becomes of credentials as they are used: refresh tokens that replaced others, sealed, and
//! when each credential was used last.

use sqlx::{Row, SqliteConnection};

use super::keyring::Place;
use super::{ControlStore, Result};
use crate::domain::{UnixMillis, now_ms};

const TABLE: &str = "credential_tokens";

/// Last use of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUse {
    /// Slug.
    pub service: String,
    pub name: String,
    pub used_ms: UnixMillis,
}

impl ControlStore {
    /// Returns what was kept of a credential's tokens.
    pub async fn credential_token(&self, service: &str, name: &str) -> Result<Option<Vec<u8>>> {
        let row = sqlx::query(
            "SELECT sealed, revision FROM credential_tokens WHERE service = $1 AND name = $2",
        )
        .bind(service)
        .bind(name)
        .fetch_optional(&self.reader)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let identity = identity(service, name);
        let place = place(&identity, row.try_get("revision")?);
        Ok(Some(self.keyring.open(place, row.try_get("sealed")?)?))
    }

    /// Keeps a credential's tokens in the place of those of before.
    pub async fn credential_token_put(&self, service: &str, name: &str, text: &[u8]) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT revision FROM credential_tokens WHERE service = $1 AND name = $2",
        )
        .bind(service)
        .bind(name)
        .fetch_optional(&mut *tx)
        .await?;
        let revision = found.unwrap_or_default() + 1;
        let identity = identity(service, name);
        let sealed = self.keyring.seal(place(&identity, revision), text)?;
        sqlx::query(
            "INSERT INTO credential_tokens (service, name, sealed, revision, updated_ms) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (service, name) DO UPDATE SET sealed = excluded.sealed, revision = excluded.revision,
                 updated_ms = excluded.updated_ms",
        )
        .bind(service)
        .bind(name)
        .bind(sealed)
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        tx.commit().await
    }

    /// Returns the last uses of all credentials.
    pub async fn credential_uses(&self) -> Result<Vec<CredentialUse>> {
        let rows = sqlx::query("SELECT service, name, used_ms FROM credential_uses")
            .fetch_all(&self.reader)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(CredentialUse {
                    service: row.try_get("service")?,
                    name: row.try_get("name")?,
                    used_ms: row.try_get("used_ms")?,
                })
            })
            .collect()
    }

    /// Notes last uses, of which the later one counts.
    pub async fn credential_uses_note(&self, uses: &[CredentialUse]) -> Result<()> {
        let mut tx = self.begin_write().await?;
        for used in uses {
            sqlx::query(
                "INSERT INTO credential_uses (service, name, used_ms) VALUES ($1, $2, $3)
                 ON CONFLICT (service, name) DO UPDATE SET used_ms = max(used_ms, excluded.used_ms)",
            )
            .bind(&used.service)
            .bind(&used.name)
            .bind(used.used_ms)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }
}

/// Forgets the credentials of a service that is deleted.
pub(super) async fn forget(tx: &mut SqliteConnection, service: &str) -> Result<()> {
    for statement in [
        "DELETE FROM credential_tokens WHERE service = $1",
        "DELETE FROM credential_uses WHERE service = $1",
    ] {
        sqlx::query(statement)
            .bind(service)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

/// Neither a slug nor the name of a credential has a slash.
pub(super) fn identity(service: &str, name: &str) -> String {
    format!("{service}/{name}")
}

pub(super) fn place(identity: &str, revision: i64) -> Place<'_> {
    Place {
        table: TABLE,
        identity,
        revision,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Keyring;

    async fn open(folder: &std::path::Path) -> ControlStore {
        let keyring = Keyring::load(None, folder).unwrap();
        ControlStore::open(&folder.join("control.sqlite"), keyring)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_token_is_kept_sealed_until_the_next_one_or_the_end_of_its_service() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        assert_eq!(
            store.credential_token("shop", "default").await.unwrap(),
            None
        );
        store
            .service_insert("shop", &serde_json::json!({}))
            .await
            .unwrap();
        for text in ["f1rst-refresh-token", "s3cond-refresh-token"] {
            store
                .credential_token_put("shop", "default", text.as_bytes())
                .await
                .unwrap();
        }
        store.close().await;
        drop(store);
        for file in ["control.sqlite", "control.sqlite-wal"] {
            let bytes = std::fs::read(folder.path().join(file)).unwrap_or_default();
            let found = bytes.windows(13).any(|window| window == b"refresh-token");
            assert!(!found, "{file}");
        }
        let store = open(folder.path()).await;
        let kept = store.credential_token("shop", "default").await.unwrap();
        assert_eq!(kept.unwrap(), b"s3cond-refresh-token");
        assert_eq!(store.credential_token("shop", "other").await.unwrap(), None);
        store.service_delete("shop").await.unwrap();
        assert_eq!(
            store.credential_token("shop", "default").await.unwrap(),
            None
        );
    }

    #[tokio::test]
    async fn the_later_of_two_uses_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let used = |used_ms| CredentialUse {
            service: "shop".to_owned(),
            name: "default".to_owned(),
            used_ms,
        };
        for used_ms in [5, 9, 7] {
            store.credential_uses_note(&[used(used_ms)]).await.unwrap();
        }
        assert_eq!(store.credential_uses().await.unwrap(), [used(9)]);
    }
}

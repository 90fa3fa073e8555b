//! Services that the API made. The whole specification is sealed: it holds credentials.

use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::keyring::Place;
use super::{ControlError, ControlStore, KeyError, Keyring, Result, exists};
use crate::domain::{UnixMillis, now_ms};

const WHAT: &str = "service";

#[derive(Clone, PartialEq)]
pub struct StoredService {
    pub slug: String,
    /// The service as it was given; may hold credentials.
    pub spec: Value,
    /// 1 at first, one more with each change.
    pub revision: i64,
    pub created_ms: UnixMillis,
    pub updated_ms: UnixMillis,
}

impl std::fmt::Debug for StoredService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredService")
            .field("slug", &self.slug)
            .field("revision", &self.revision)
            .finish()
    }
}

/// One change of one service.
#[derive(Clone, Copy)]
pub enum ServiceWrite<'a> {
    Insert {
        slug: &'a str,
        spec: &'a Value,
    },
    /// With an expected revision only if the service is at that one.
    Update {
        slug: &'a str,
        spec: &'a Value,
        expected_revision: Option<i64>,
    },
    /// With its pause, its tokens, its deliveries and the memories of its rules, unless a service of a file goes on
    /// under the slug, whose they are.
    Delete {
        slug: &'a str,
        is_hidden: bool,
    },
}

impl ControlStore {
    /// Returns all services, by slug.
    pub async fn service_list(&self) -> Result<Vec<StoredService>> {
        let rows = sqlx::query(
            "SELECT slug, sealed, revision, created_ms, updated_ms FROM services ORDER BY slug",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| read(&self.keyring, row)).collect()
    }

    pub async fn service_insert(&self, slug: &str, spec: &Value) -> Result<StoredService> {
        let write = ServiceWrite::Insert { slug, spec };
        self.service_write_one(write).await
    }

    /// Updates a service; with an expected revision, only if it is still at that one.
    pub async fn service_update(
        &self,
        slug: &str,
        spec: &Value,
        expected_revision: Option<i64>,
    ) -> Result<StoredService> {
        let write = ServiceWrite::Update {
            slug,
            spec,
            expected_revision,
        };
        self.service_write_one(write).await
    }

    /// Deletes a service with its pause and the memories of its rules: one made again under the same
    /// slug begins anew.
    pub async fn service_delete(&self, slug: &str) -> Result<()> {
        let is_hidden = false;
        self.service_write(&[ServiceWrite::Delete { slug, is_hidden }])
            .await
            .map(drop)
    }

    async fn service_write_one(&self, write: ServiceWrite<'_>) -> Result<StoredService> {
        let written = self.service_write(&[write]).await?.pop();
        Ok(written.expect("what is written is returned"))
    }

    /// Makes all changes in one transaction, or none. Returns what is stored by then, in the order of
    /// the changes, without what was deleted.
    pub async fn service_write(&self, writes: &[ServiceWrite<'_>]) -> Result<Vec<StoredService>> {
        let is_delete = |write: &ServiceWrite<'_>| matches!(write, ServiceWrite::Delete { .. });
        // What makes room needs none.
        let mut tx = if writes.iter().all(is_delete) {
            self.begin_write().await?
        } else {
            self.begin_roomy_write().await?
        };
        let now = now_ms();
        let mut stored = Vec::new();
        for write in writes {
            match *write {
                ServiceWrite::Insert { slug, spec } => {
                    stored.push(self.insert(&mut tx, slug, spec, now).await?);
                }
                ServiceWrite::Update {
                    slug,
                    spec,
                    expected_revision,
                } => {
                    let updated = self.update(&mut tx, slug, spec, expected_revision, now);
                    stored.push(updated.await?);
                }
                ServiceWrite::Delete { slug, is_hidden } => {
                    delete(&mut tx, slug).await?;
                    if !is_hidden {
                        forget(&mut tx, slug).await?;
                    }
                }
            }
        }
        tx.commit().await?;
        for write in writes {
            if let ServiceWrite::Delete {
                slug,
                is_hidden: false,
            } = *write
                && let Err(error) = self.delivery_forget(slug).await
            {
                let reason = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(
                    service = slug,
                    reason,
                    "deliveries of a service that is deleted stay until they are old"
                );
            }
        }
        Ok(stored)
    }

    async fn insert(
        &self,
        tx: &mut SqliteConnection,
        slug: &str,
        spec: &Value,
        now: UnixMillis,
    ) -> Result<StoredService> {
        let sealed = self
            .keyring
            .seal(place(slug, 1), spec.to_string().as_bytes())?;
        sqlx::query("INSERT INTO services (slug, sealed, revision, created_ms, updated_ms) VALUES ($1, $2, 1, $3, $3)")
            .bind(slug)
            .bind(sealed)
            .bind(now)
            .execute(tx)
            .await
            .map_err(|source| exists(source, WHAT, slug))?;
        Ok(StoredService {
            slug: slug.to_owned(),
            spec: spec.clone(),
            revision: 1,
            created_ms: now,
            updated_ms: now,
        })
    }

    async fn update(
        &self,
        tx: &mut SqliteConnection,
        slug: &str,
        spec: &Value,
        expected_revision: Option<i64>,
        now: UnixMillis,
    ) -> Result<StoredService> {
        let row = sqlx::query("SELECT revision, created_ms FROM services WHERE slug = $1")
            .bind(slug)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| not_found(slug))?;
        let found: i64 = row.try_get("revision")?;
        if let Some(expected) = expected_revision.filter(|expected| *expected != found) {
            return Err(ControlError::Conflict {
                what: WHAT,
                name: slug.to_owned(),
                expected: format!("revision {expected}"),
                found: format!("revision {found}"),
            });
        }
        let revision = found + 1;
        let sealed = self
            .keyring
            .seal(place(slug, revision), spec.to_string().as_bytes())?;
        sqlx::query(
            "UPDATE services SET sealed = $1, revision = $2, updated_ms = $3 WHERE slug = $4",
        )
        .bind(sealed)
        .bind(revision)
        .bind(now)
        .bind(slug)
        .execute(tx)
        .await?;
        Ok(StoredService {
            slug: slug.to_owned(),
            spec: spec.clone(),
            revision,
            created_ms: row.try_get("created_ms")?,
            updated_ms: now,
        })
    }
}

async fn delete(tx: &mut SqliteConnection, slug: &str) -> Result<()> {
    let done = sqlx::query("DELETE FROM services WHERE slug = $1")
        .bind(slug)
        .execute(&mut *tx)
        .await?;
    if done.rows_affected() == 0 {
        return Err(not_found(slug));
    }
    Ok(())
}

/// Forgets what is kept beside a service.
async fn forget(tx: &mut SqliteConnection, slug: &str) -> Result<()> {
    for statement in [
        "DELETE FROM rule_memory WHERE service = $1",
        "DELETE FROM service_pauses WHERE service = $1",
    ] {
        sqlx::query(statement).bind(slug).execute(&mut *tx).await?;
    }
    super::credentials::forget(tx, slug).await
}

pub(super) fn place(slug: &str, revision: i64) -> Place<'_> {
    Place {
        table: "services",
        identity: slug,
        revision,
    }
}

fn not_found(slug: &str) -> ControlError {
    ControlError::NotFound {
        what: WHAT,
        name: slug.to_owned(),
    }
}

fn read(keyring: &Keyring, row: &SqliteRow) -> Result<StoredService> {
    let slug: String = row.try_get("slug")?;
    let revision: i64 = row.try_get("revision")?;
    let plain = keyring.open(place(&slug, revision), row.try_get("sealed")?)?;
    let spec = serde_json::from_slice(&plain).map_err(|_| KeyError::Damaged {
        table: "services",
        identity: slug.clone(),
    })?;
    Ok(StoredService {
        spec,
        revision,
        created_ms: row.try_get("created_ms")?,
        updated_ms: row.try_get("updated_ms")?,
        slug,
    })
}

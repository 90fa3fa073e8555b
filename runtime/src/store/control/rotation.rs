//! Another master key: made and on the disk first, then every sealed row under it in one
//! transaction, then in the place of the one before. Cut off anywhere, the next opening finds which
//! of the two keys opens the data, and ends the rotation or forgets it.

use std::path::Path;

use secrecy::SecretString;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row, SqliteConnection};

use super::keyring::Place;
use super::{CHECK, CHECKED, ControlStore, Keyring, Result};
use super::{accepted_configuration, channels, credentials, services};
use crate::domain::ChannelId;

/// Where the new key comes from.
pub enum NewKey {
    /// Made, in the place of the key file.
    Made,
    /// The text that `ENCRYPTION_KEY` holds from then on.
    Given(SecretString),
}

/// A rotation that is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Fingerprints.
    pub from: String,
    pub to: String,
    /// Rows that were sealed anew.
    pub rows: u64,
}

impl ControlStore {
    /// Seals everything under a new key, after which this store has to be closed. None: the key does
    /// not come from a file, and none was given. With `former` the key of before is written there, for
    /// backups.
    pub async fn key_rotate(&self, new: NewKey, former: Option<&Path>) -> Result<Option<Rotated>> {
        if let Some(path) = former {
            self.keyring.write_copy(path)?;
        }
        let next = match new {
            NewKey::Made => match self.keyring.make_next()? {
                Some(next) => next,
                None => return Ok(None),
            },
            NewKey::Given(text) => Keyring::load(Some(text), Path::new(""))?,
        };
        let rows = self.reseal(&next).await?;
        if let Some(folder) = next.folder() {
            Keyring::place_next(folder)?;
        }
        Ok(Some(Rotated {
            from: self.keyring.id(),
            to: next.id(),
            rows,
        }))
    }

    /// Seals every row under another key, all or none. What was there before is overwritten, not
    /// only freed.
    async fn reseal(&self, next: &Keyring) -> Result<u64> {
        let mut tx = self.begin_write().await?;
        let rows = self.reseal_in(&mut tx, next).await?;
        tx.commit().await?;
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)").await;
        Ok(rows)
    }

    async fn reseal_in(&self, tx: &mut SqliteConnection, next: &Keyring) -> Result<u64> {
        sqlx::raw_sql("PRAGMA secure_delete = ON")
            .execute(&mut *tx)
            .await?;
        let keys = Keys {
            former: &self.keyring,
            next,
        };
        let rows = keys.services(tx).await?
            + keys.channels(tx).await?
            + keys.tokens(tx).await?
            + keys.configuration(tx).await?;
        sqlx::query("UPDATE sealed_check SET sealed = $1, key_id = $2 WHERE id = 1")
            .bind(next.seal(CHECK, CHECKED)?)
            .bind(next.id())
            .execute(&mut *tx)
            .await?;
        Ok(rows)
    }
}

/// The keys of a rotation. Each method seals the rows of one table anew, and returns their number.
struct Keys<'a> {
    former: &'a Keyring,
    next: &'a Keyring,
}

impl Keys<'_> {
    fn reseal(&self, place: Place<'_>, row: &SqliteRow) -> Result<Vec<u8>> {
        let plain = self.former.open(place, row.try_get("sealed")?)?;
        Ok(self.next.seal(place, &plain)?)
    }

    async fn services(&self, tx: &mut SqliteConnection) -> Result<u64> {
        let rows = sqlx::query("SELECT slug, sealed, revision FROM services")
            .fetch_all(&mut *tx)
            .await?;
        for row in &rows {
            let slug: String = row.try_get("slug")?;
            let place = services::place(&slug, row.try_get("revision")?);
            sqlx::query("UPDATE services SET sealed = $1 WHERE slug = $2")
                .bind(self.reseal(place, row)?)
                .bind(&slug)
                .execute(&mut *tx)
                .await?;
        }
        Ok(rows.len() as u64)
    }

    async fn channels(&self, tx: &mut SqliteConnection) -> Result<u64> {
        let rows = sqlx::query("SELECT id, sealed, revision FROM channels")
            .fetch_all(&mut *tx)
            .await?;
        for row in &rows {
            let id = ChannelId(row.try_get("id")?);
            let place = channels::place(&id, row.try_get("revision")?);
            sqlx::query("UPDATE channels SET sealed = $1 WHERE id = $2")
                .bind(self.reseal(place, row)?)
                .bind(&id.0)
                .execute(&mut *tx)
                .await?;
        }
        Ok(rows.len() as u64)
    }

    async fn tokens(&self, tx: &mut SqliteConnection) -> Result<u64> {
        let rows = sqlx::query("SELECT service, name, sealed, revision FROM credential_tokens")
            .fetch_all(&mut *tx)
            .await?;
        for row in &rows {
            let (service, name): (String, String) = (row.try_get("service")?, row.try_get("name")?);
            let identity = credentials::identity(&service, &name);
            let place = credentials::place(&identity, row.try_get("revision")?);
            sqlx::query(
                "UPDATE credential_tokens SET sealed = $1 WHERE service = $2 AND name = $3",
            )
            .bind(self.reseal(place, row)?)
            .bind(&service)
            .bind(&name)
            .execute(&mut *tx)
            .await?;
        }
        Ok(rows.len() as u64)
    }

    async fn configuration(&self, tx: &mut SqliteConnection) -> Result<u64> {
        let row = sqlx::query("SELECT sealed, revision FROM accepted_configuration WHERE id = 1")
            .fetch_optional(&mut *tx)
            .await?;
        let Some(row) = row else { return Ok(0) };
        let place = accepted_configuration::place(row.try_get("revision")?);
        sqlx::query("UPDATE accepted_configuration SET sealed = $1 WHERE id = 1")
            .bind(self.reseal(place, &row)?)
            .execute(&mut *tx)
            .await?;
        Ok(1)
    }
}

/// Ends a rotation that was cut off, by the key that opens the data.
pub(super) async fn settle(keyring: Keyring, reader: &SqlitePool) -> Result<Keyring> {
    let found: Option<Vec<u8>> = sqlx::query_scalar("SELECT sealed FROM sealed_check WHERE id = 1")
        .fetch_optional(reader)
        .await?;
    match found {
        Some(sealed) => Ok(keyring.settle(CHECK, &sealed)?),
        None => Ok(keyring),
    }
}

#[cfg(test)]
mod tests;

//! Channels, kept so that a notification can be delivered after its channel left the configuration.

use sqlx::Row;

use super::keyring::Place;
use super::{ControlError, ControlStore, KeyError, Result, word};
use crate::domain::{Channel, ChannelId, ChannelOptions, Origin, now_ms};

impl ControlStore {
    /// Inserts or replaces; writes nothing when nothing changed.
    pub async fn channel_put(&self, channel: &Channel) -> Result<()> {
        let mut tx = self.begin_write().await?;
        let found = sqlx::query("SELECT name, plugin, origin, sealed, revision FROM channels WHERE id = $1")
            .bind(&channel.id.0)
            .fetch_optional(&mut *tx)
            .await?;
        let mut revision = 1;
        if let Some(row) = &found {
            let old = self.channel_from(row, &channel.id);
            if old.as_ref().is_ok_and(|old| same(old, channel)) {
                return tx.rollback().await;
            }
            revision = row.try_get::<i64, _>("revision")? + 1;
        }
        let sealed = self.keyring.seal(place(&channel.id, revision), channel.settings.to_string().as_bytes())?;
        sqlx::query(
            "INSERT INTO channels (id, name, plugin, origin, sealed, revision, updated_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (id) DO UPDATE SET name = excluded.name, plugin = excluded.plugin, origin = excluded.origin,
                 sealed = excluded.sealed, revision = excluded.revision, updated_ms = excluded.updated_ms",
        )
        .bind(&channel.id.0)
        .bind(&channel.name)
        .bind(&channel.plugin)
        .bind(origin_word(channel.origin))
        .bind(sealed)
        .bind(revision)
        .bind(now_ms())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    pub async fn channel_get(&self, id: &ChannelId) -> Result<Option<Channel>> {
        sqlx::query("SELECT name, plugin, origin, sealed, revision FROM channels WHERE id = $1")
            .bind(&id.0)
            .fetch_optional(&self.reader)
            .await?
            .map(|row| self.channel_from(&row, id))
            .transpose()
    }

    fn channel_from(&self, row: &sqlx::sqlite::SqliteRow, id: &ChannelId) -> Result<Channel> {
        let plain = self.keyring.open(place(id, row.try_get("revision")?), row.try_get("sealed")?)?;
        let settings = serde_json::from_slice(&plain)
            .map_err(|_| ControlError::Key(KeyError::Damaged { table: "channels", identity: id.0.clone() }))?;
        Ok(Channel {
            id: id.clone(),
            name: row.try_get("name")?,
            plugin: row.try_get("plugin")?,
            settings,
            origin: word(row, "origin", "channel", &id.0, origin_parse)?,
            options: ChannelOptions::default(),
        })
    }
}

fn place(id: &ChannelId, revision: i64) -> Place<'_> {
    Place { table: "channels", identity: &id.0, revision }
}

fn same(a: &Channel, b: &Channel) -> bool {
    a.name == b.name && a.plugin == b.plugin && a.origin == b.origin && a.settings == b.settings
}

fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "file",
        Origin::Api => "api",
    }
}

fn origin_parse(text: &str) -> Option<Origin> {
    [Origin::File, Origin::Api].into_iter().find(|origin| origin_word(*origin) == text)
}

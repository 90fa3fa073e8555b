//! Channels, kept so that a notification can be delivered after its channel left the configuration.
//! What is in the configuration is sent with the settings there; the copies here follow them.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{Row, SqliteConnection};

use super::keyring::Place;
use super::{ControlError, ControlStore, KeyError, Result, word};
use crate::domain::{Channel, ChannelId, ChannelOptions, Origin, UnixMillis, now_ms};

/// Changes that a new configuration made to the stored channels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelsFollowed {
    /// Have other settings than before.
    pub changed: Vec<ChannelId>,
    /// Are known by another id from now on: from, to.
    pub moved: Vec<(ChannelId, ChannelId)>,
    /// Waiting messages that are due at once because of it.
    pub hastened: u64,
}

impl ControlStore {
    /// Inserts or replaces; writes nothing when nothing changed.
    pub async fn channel_put(&self, channel: &Channel) -> Result<()> {
        self.with_ballast(|| self.try_channel_put(channel)).await
    }

    async fn try_channel_put(&self, channel: &Channel) -> Result<()> {
        let mut tx = self.begin_write().await?;
        if self.put(&mut tx, channel).await? {
            tx.commit().await?;
        }
        Ok(())
    }

    /// Brings the kept channels in line with the configuration: new settings replace the old, and
    /// what waits for them is due at once. A channel that is not in the configuration under its
    /// id, while one with the same notifier and settings is, is that one: its messages and
    /// groups are handed over. One transaction for each channel.
    pub async fn channel_follow(
        &self,
        current: &BTreeMap<ChannelId, Arc<Channel>>,
        now_ms: UnixMillis,
    ) -> Result<ChannelsFollowed> {
        let rows = sqlx::query(
            "SELECT id, name, plugin, origin, sealed, revision FROM channels ORDER BY id",
        )
        .fetch_all(&self.reader)
        .await?;
        let mut followed = ChannelsFollowed::default();
        for row in &rows {
            let id = ChannelId(row.try_get("id")?);
            let kept = self.channel_from(row, &id);
            match (kept, current.get(&id)) {
                (Ok(kept), Some(channel)) if same(&kept, channel) => {}
                (kept, Some(channel)) => {
                    let is_mended = !kept.is_ok_and(|kept| is_same_receiver(&kept, channel));
                    let mut tx = self.begin_write().await?;
                    self.put(&mut tx, channel).await?;
                    if is_mended {
                        followed.hastened += hasten(&mut tx, &id, now_ms).await?;
                        followed.changed.push(id);
                    }
                    tx.commit().await?;
                }
                (Ok(kept), None) => {
                    if let Some(heir) = current
                        .values()
                        .find(|channel| is_same_receiver(&kept, channel))
                    {
                        let mut tx = self.begin_write().await?;
                        self.put(&mut tx, heir).await?;
                        hand_over(&mut tx, &id, &heir.id).await?;
                        tx.commit().await?;
                        followed.moved.push((id, heir.id.clone()));
                    }
                }
                // Found out where it is needed: a message for it is answered with this fault.
                (Err(error), None) => {
                    tracing::warn!(channel = id.0, %error, "the kept settings of a channel can't be read");
                }
            }
        }
        Ok(followed)
    }

    /// False: nothing changed.
    async fn put(&self, tx: &mut SqliteConnection, channel: &Channel) -> Result<bool> {
        let found = sqlx::query(
            "SELECT name, plugin, origin, sealed, revision FROM channels WHERE id = $1",
        )
        .bind(&channel.id.0)
        .fetch_optional(&mut *tx)
        .await?;
        let mut revision = 1;
        if let Some(row) = &found {
            let old = self.channel_from(row, &channel.id);
            if old.as_ref().is_ok_and(|old| same(old, channel)) {
                return Ok(false);
            }
            revision = row.try_get::<i64, _>("revision")? + 1;
        }
        let sealed = self.keyring.seal(
            place(&channel.id, revision),
            channel.settings.to_string().as_bytes(),
        )?;
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
        .execute(tx)
        .await?;
        Ok(true)
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
        let plain = self
            .keyring
            .open(place(id, row.try_get("revision")?), row.try_get("sealed")?)?;
        let settings = serde_json::from_slice(&plain).map_err(|_| {
            ControlError::Key(KeyError::Damaged {
                table: "channels",
                identity: id.0.clone(),
            })
        })?;
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

async fn hasten(tx: &mut SqliteConnection, id: &ChannelId, now_ms: UnixMillis) -> Result<u64> {
    let hastened = sqlx::query(
        "UPDATE notifications SET next_attempt_ms = $1 WHERE state = 'waiting' AND channel = $2 AND next_attempt_ms > $1",
    )
    .bind(now_ms)
    .bind(&id.0)
    .execute(tx)
    .await?;
    Ok(hastened.rows_affected())
}

/// Moves what may still be sent, open groups, and their messages, which later ones refer to. A
/// group that both have stays where it is, and so does the copy of its channel.
async fn hand_over(tx: &mut SqliteConnection, from: &ChannelId, to: &ChannelId) -> Result<()> {
    for query in [
        "UPDATE OR IGNORE alert_groups SET channel = $2 WHERE channel = $1",
        "UPDATE notifications SET channel = $2
         WHERE channel = $1 AND NOT EXISTS (SELECT 1 FROM alert_groups g WHERE g.channel = $1 AND g.group_key = notifications.group_key)
             AND (state IN ('waiting', 'dead') OR group_key IN (SELECT group_key FROM alert_groups WHERE channel = $2))",
        "DELETE FROM channels WHERE id = $1 AND $2 <> $1
             AND NOT EXISTS (SELECT 1 FROM alert_groups WHERE channel = $1)",
    ] {
        sqlx::query(query).bind(&from.0).bind(&to.0).execute(&mut *tx).await?;
    }
    Ok(())
}

pub(super) fn place(id: &ChannelId, revision: i64) -> Place<'_> {
    Place {
        table: "channels",
        identity: &id.0,
        revision,
    }
}

fn same(a: &Channel, b: &Channel) -> bool {
    a.name == b.name && a.plugin == b.plugin && a.origin == b.origin && a.settings == b.settings
}

/// Whether two channels have the same notifier and settings, whatever their names.
fn is_same_receiver(a: &Channel, b: &Channel) -> bool {
    a.plugin == b.plugin && a.settings == b.settings
}

fn origin_word(origin: Origin) -> &'static str {
    match origin {
        Origin::File => "file",
        Origin::Api => "api",
    }
}

fn origin_parse(text: &str) -> Option<Origin> {
    [Origin::File, Origin::Api]
        .into_iter()
        .find(|origin| origin_word(*origin) == text)
}

//! Groups of alerts and what their channels know. Transitions put alerts in, the dispatcher decides
//! what is told.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::alerts::alert_from;
use super::row_faults::skip_unreadable;
use super::transition::EventDraft;
use super::{ControlStore, Result, notifications, page, word};
use crate::domain::{
    Alert, AlertGroup, AlertId, AlertState, ChannelId, GroupDraft, GroupFlush, GroupMember,
    Notification, Timing, Told, UnixMillis,
};

impl ControlStore {
    /// Groups whose moment has come, longest due first, with all their alerts.
    pub async fn group_due(&self, now_ms: UnixMillis, limit: u32) -> Result<Vec<AlertGroup>> {
        // One moment for groups and members.
        let mut tx = self.reader.begin().await?;
        let rows = sqlx::query(
            "SELECT * FROM alert_groups WHERE flush_at_ms <= $1 ORDER BY flush_at_ms, id LIMIT $2",
        )
        .bind(now_ms)
        .bind(page(limit))
        .fetch_all(&mut *tx)
        .await?;
        let mut groups = self.readable("alert group", &rows, group_from);
        for group in &mut groups {
            group.members = members(&mut tx, group.id).await?;
        }
        Ok(groups)
    }

    /// When the next group is due that was not at a moment.
    pub async fn group_next_due(&self, after_ms: UnixMillis) -> Result<Option<UnixMillis>> {
        Ok(
            sqlx::query_scalar("SELECT min(flush_at_ms) FROM alert_groups WHERE flush_at_ms > $1")
                .bind(after_ms)
                .fetch_one(&self.reader)
                .await?,
        )
    }

    /// Takes over what was decided, all in one transaction: the messages and what is left of the
    /// groups. Groups to which something happened meanwhile stay as they are and stay due.
    /// Answers how many messages wait now that did not before.
    pub async fn group_flush(&self, flushes: &[GroupFlush], now_ms: UnixMillis) -> Result<usize> {
        self.with_ballast(|| self.try_group_flush(flushes, now_ms))
            .await
    }

    async fn try_group_flush(&self, flushes: &[GroupFlush], now_ms: UnixMillis) -> Result<usize> {
        let mut tx = self.begin_write().await?;
        let mut queued = 0;
        for flush in flushes {
            let taken = sqlx::query(
                "UPDATE alert_groups SET flush_at_ms = $1, told_ms = $2, revision = revision + 1
                 WHERE id = $3 AND revision = $4",
            )
            .bind(flush.flush_at_ms)
            .bind(flush.told_ms)
            .bind(flush.group)
            .bind(flush.revision)
            .execute(&mut *tx)
            .await?;
            if taken.rows_affected() == 0 {
                continue;
            }
            for (alert, told) in &flush.told {
                sqlx::query("UPDATE alert_group_members SET told = $1 WHERE group_id = $2 AND alert_id = $3")
                    .bind(told.as_str())
                    .bind(flush.group)
                    .bind(alert.0)
                    .execute(&mut *tx)
                    .await?;
            }
            for alert in &flush.leave {
                sqlx::query(
                    "DELETE FROM alert_group_members WHERE group_id = $1 AND alert_id = $2",
                )
                .bind(flush.group)
                .bind(alert.0)
                .execute(&mut *tx)
                .await?;
            }
            sqlx::query(
                "DELETE FROM alert_groups
                 WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM alert_group_members WHERE group_id = $1)",
            )
            .bind(flush.group)
            .execute(&mut *tx)
            .await?;
            for draft in &flush.notifications {
                notifications::queue(&mut tx, now_ms, draft.clone()).await?;
                queued += 1;
            }
        }
        tx.commit().await?;
        Ok(queued)
    }

    /// Channels that were notified that the alert fires, and have yet to be notified of its end.
    pub async fn alert_told(&self, alert: AlertId) -> Result<Vec<ChannelId>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT g.channel, m.told FROM alert_group_members m JOIN alert_groups g ON g.id = m.group_id
             WHERE m.alert_id = $1",
        )
        .bind(alert.0)
        .fetch_all(&self.reader)
        .await?;
        let told = rows
            .into_iter()
            .filter(|(_, told)| Told::parse(told).is_some_and(Told::knows));
        Ok(told.map(|(channel, _)| ChannelId(channel)).collect())
    }

    /// All groups, oldest first.
    pub async fn group_list(&self, limit: u32) -> Result<Vec<AlertGroup>> {
        let mut tx = self.reader.begin().await?;
        let rows = sqlx::query("SELECT * FROM alert_groups ORDER BY id LIMIT $1")
            .bind(page(limit))
            .fetch_all(&mut *tx)
            .await?;
        let mut groups = Vec::with_capacity(rows.len());
        for mut group in skip_unreadable(&rows, group_from) {
            group.members = members(&mut tx, group.id).await?;
            groups.push(group);
        }
        Ok(groups)
    }
}

/// Those that are told of the alert.
pub(super) async fn channels_of(
    tx: &mut SqliteConnection,
    alert: AlertId,
) -> Result<Vec<ChannelId>> {
    let channels: Vec<String> = sqlx::query_scalar(
        "SELECT g.channel FROM alert_group_members m JOIN alert_groups g ON g.id = m.group_id WHERE m.alert_id = $1",
    )
    .bind(alert.0)
    .fetch_all(tx)
    .await?;
    Ok(channels.into_iter().map(ChannelId).collect())
}

/// The alert fires for this channel too.
pub(super) async fn join(
    tx: &mut SqliteConnection,
    draft: &GroupDraft,
    alert: &Alert,
) -> Result<()> {
    let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let group: i64 = sqlx::query_scalar(
        "INSERT INTO alert_groups (group_key, channel, labels, wait_ms, interval_ms, repeat_ms, flush_at_ms, mute_times,
             revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1)
         ON CONFLICT (group_key, channel) DO UPDATE SET labels = excluded.labels, wait_ms = excluded.wait_ms,
             interval_ms = excluded.interval_ms, repeat_ms = excluded.repeat_ms,
             mute_times = excluded.mute_times, revision = alert_groups.revision + 1,
             flush_at_ms = CASE
                 WHEN alert_groups.flush_at_ms IS NULL THEN excluded.flush_at_ms
                 WHEN excluded.interval_ms = 0 AND excluded.flush_at_ms < alert_groups.flush_at_ms
                     THEN excluded.flush_at_ms
                 ELSE alert_groups.flush_at_ms END
         RETURNING id",
    )
    .bind(&draft.key)
    .bind(&draft.channel.0)
    .bind(json(&draft.labels))
    .bind(ms(draft.timing.wait))
    .bind(ms(draft.timing.interval))
    .bind(ms(draft.timing.repeat))
    .bind(draft.flush_at_ms)
    .bind(json(&draft.mute_times))
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO alert_group_members (group_id, alert_id, told, fired) VALUES ($1, $2, $3, $4)
         ON CONFLICT (group_id, alert_id) DO NOTHING",
    )
    .bind(group)
    .bind(alert.id.0)
    .bind(Told::Nothing.as_str())
    .bind(json(alert))
    .execute(tx)
    .await?;
    Ok(())
}

/// Something happened to an alert: its groups are read again, those that tell each transition at
/// once.
pub(super) async fn note_change(
    tx: &mut SqliteConnection,
    alert: AlertId,
    event: &EventDraft,
    is_news: bool,
) -> Result<()> {
    let was_muted = matches!(
        event.from,
        Some(AlertState::Suppressed | AlertState::Acknowledged)
    );
    let told = [
        (is_news, Told::Firing, Told::Again),
        (
            was_muted && event.to == AlertState::Resolved,
            Told::Nothing,
            Told::Held,
        ),
    ];
    for (_, from, to) in told.into_iter().filter(|(holds, ..)| *holds) {
        sqlx::query("UPDATE alert_group_members SET told = $1 WHERE alert_id = $2 AND told = $3")
            .bind(to.as_str())
            .bind(alert.0)
            .bind(from.as_str())
            .execute(&mut *tx)
            .await?;
    }
    sqlx::query(
        "UPDATE alert_groups SET revision = revision + 1,
             flush_at_ms = CASE
                 WHEN interval_ms = 0 AND (flush_at_ms IS NULL OR flush_at_ms > $1) THEN $1 ELSE flush_at_ms END
         WHERE id IN (SELECT group_id FROM alert_group_members WHERE alert_id = $2)",
    )
    .bind(event.ts_ms)
    .bind(alert.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// What a channel knows of these alerts changes from one to the other: a message about them was
/// refused for good before anyone read it, or was put back.
pub(super) async fn told_change(
    tx: &mut SqliteConnection,
    notification: &Notification,
    from: Told,
    to: Told,
) -> Result<()> {
    let (group_key, channel) = (&notification.group_key, &notification.channel.0);
    for alert in &notification.alerts {
        sqlx::query(
            "UPDATE alert_group_members SET told = $1
             WHERE alert_id = $2 AND told = $3
                 AND group_id = (SELECT id FROM alert_groups WHERE group_key = $4 AND channel = $5)",
        )
        .bind(to.as_str())
        .bind(alert.id.0)
        .bind(from.as_str())
        .bind(group_key)
        .bind(channel)
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query(
        "UPDATE alert_groups SET revision = revision + 1 WHERE group_key = $1 AND channel = $2",
    )
    .bind(group_key)
    .bind(channel)
    .execute(tx)
    .await?;
    Ok(())
}

async fn members(tx: &mut SqliteConnection, group: i64) -> Result<Vec<GroupMember>> {
    let rows = sqlx::query(
        "SELECT a.*, m.told, m.fired FROM alert_group_members m JOIN alerts a ON a.id = m.alert_id
         WHERE m.group_id = $1 ORDER BY m.alert_id",
    )
    .bind(group)
    .fetch_all(tx)
    .await?;
    let member = |row: &SqliteRow| {
        let alert = alert_from(row)?;
        // What can't be read of these two is no reason to notify of nothing: rather once too often.
        Ok(GroupMember {
            told: word(row, "told", "member of alert group", group, Told::parse)
                .unwrap_or(Told::Nothing),
            fired: word(row, "fired", "member of alert group", group, |text| {
                serde_json::from_str(text).ok()
            })
            .unwrap_or_else(|_| alert.clone()),
            alert,
        })
    };
    // An alert that can't be read is known as such from the list of all open ones.
    Ok(skip_unreadable(&rows, member))
}

fn group_from(row: &SqliteRow) -> Result<AlertGroup> {
    let id: i64 = row.try_get("id")?;
    let duration = |column: &str| -> Result<Duration> {
        Ok(Duration::from_millis(
            row.try_get::<i64, _>(column)?.max(0).unsigned_abs(),
        ))
    };
    Ok(AlertGroup {
        id,
        key: row.try_get("group_key")?,
        channel: ChannelId(row.try_get("channel")?),
        labels: word(row, "labels", "alert group", id, |text| {
            serde_json::from_str(text).ok()
        })?,
        timing: Timing {
            wait: duration("wait_ms")?,
            interval: duration("interval_ms")?,
            repeat: duration("repeat_ms")?,
        },
        mute_times: word(row, "mute_times", "alert group", id, |text| {
            serde_json::from_str(text).ok()
        })?,
        flush_at_ms: row.try_get("flush_at_ms")?,
        told_ms: row.try_get("told_ms")?,
        revision: row.try_get("revision")?,
        members: Vec::new(),
    })
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain fields only")
}

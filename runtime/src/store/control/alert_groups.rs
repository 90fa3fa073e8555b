//! Rows of [`AlertGroup`]s. What happens to them is decided by the group itself: it is read,
//! changed and written back in the transaction of the transition, the message or the look that
//! changes it.

use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::alerts::alert_from;
use super::row_faults::skip_unreadable;
use super::{ControlStore, Result, notifications, page, word};
use crate::domain::{
    Alert, AlertGroup, AlertId, AlertStep, ChannelId, GroupDraft, GroupFlush, GroupMember,
    Notification, NotifyState, Timing, UnixMillis,
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
            let row = sqlx::query("SELECT * FROM alert_groups WHERE id = $1")
                .bind(flush.group)
                .fetch_optional(&mut *tx)
                .await?;
            let Some(mut group) = row.as_ref().map(group_from).transpose()? else {
                continue;
            };
            if !group.apply_flush(flush) {
                continue;
            }
            update_head(&mut tx, &group).await?;
            for (alert, state) in &flush.notify_states {
                update_member(&mut tx, group.id, *alert, *state).await?;
            }
            for alert in &flush.leave {
                sqlx::query(
                    "DELETE FROM alert_group_members WHERE group_id = $1 AND alert_id = $2",
                )
                .bind(group.id)
                .bind(alert.0)
                .execute(&mut *tx)
                .await?;
            }
            delete_empty(&mut tx, group.id).await?;
            for draft in &flush.notifications {
                notifications::queue(&mut tx, now_ms, draft.clone()).await?;
                queued += 1;
            }
        }
        tx.commit().await?;
        Ok(queued)
    }

    /// Channels that were notified that the alert fires, and have yet to be notified of its end.
    pub async fn alert_channels_notified(&self, alert: AlertId) -> Result<Vec<ChannelId>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT g.channel, m.notify_state FROM alert_group_members m JOIN alert_groups g ON g.id = m.group_id
             WHERE m.alert_id = $1",
        )
        .bind(alert.0)
        .fetch_all(&self.reader)
        .await?;
        let notified = rows
            .into_iter()
            .filter(|(_, state)| NotifyState::parse(state).is_some_and(NotifyState::was_notified));
        Ok(notified.map(|(channel, _)| ChannelId(channel)).collect())
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

/// Groups of the alert, oldest first, each with that member alone.
pub(super) async fn groups_of(tx: &mut SqliteConnection, alert: &Alert) -> Result<Vec<AlertGroup>> {
    let rows = sqlx::query(
        "SELECT g.*, m.notify_state, m.fired FROM alert_group_members m JOIN alert_groups g ON g.id = m.group_id
         WHERE m.alert_id = $1 ORDER BY g.id",
    )
    .bind(alert.id.0)
    .fetch_all(tx)
    .await?;
    let group = |row: &SqliteRow| {
        let mut group = group_from(row)?;
        group.members = vec![member_from(row, group.id, alert.clone())?];
        Ok(group)
    };
    Ok(skip_unreadable(&rows, group))
}

/// Has an alert that fires join the groups of these drafts. A channel that is notified of it in
/// another group already is left out.
pub(super) async fn join(
    tx: &mut SqliteConnection,
    drafts: Vec<GroupDraft>,
    alert: &Alert,
) -> Result<()> {
    if drafts.is_empty() {
        return Ok(());
    }
    let channels: Vec<ChannelId> = groups_of(tx, alert)
        .await?
        .into_iter()
        .map(|group| group.channel)
        .collect();
    for draft in drafts
        .into_iter()
        .filter(|draft| !channels.contains(&draft.channel))
    {
        let mut group = find(tx, &draft.key, &draft.channel)
            .await?
            .unwrap_or_else(|| AlertGroup::new(draft.clone()));
        group.join(draft, alert);
        save(tx, &mut group).await?;
    }
    Ok(())
}

/// Takes a transition of an alert into its groups.
pub(super) async fn note_step(
    tx: &mut SqliteConnection,
    alert: &Alert,
    step: &AlertStep,
) -> Result<()> {
    for mut group in groups_of(tx, alert).await? {
        group.on_step(alert, step);
        save(tx, &mut group).await?;
    }
    Ok(())
}

/// Takes into the message's group that it was rejected for good before it was read.
pub(super) async fn note_rejected(tx: &mut SqliteConnection, message: &Notification) -> Result<()> {
    if let Some(mut group) = group_of_message(tx, message).await? {
        group.on_rejected(&message.alerts);
        save(tx, &mut group).await?;
    }
    Ok(())
}

/// Takes into the message's group that it was put back into the outbox.
pub(super) async fn note_resent(tx: &mut SqliteConnection, message: &Notification) -> Result<()> {
    if let Some(mut group) = group_of_message(tx, message).await? {
        group.on_resent(&message.alerts);
        save(tx, &mut group).await?;
    }
    Ok(())
}

async fn group_of_message(
    tx: &mut SqliteConnection,
    message: &Notification,
) -> Result<Option<AlertGroup>> {
    let Some(mut group) = find(tx, &message.group_key, &message.channel).await? else {
        return Ok(None);
    };
    group.members = members(tx, group.id).await?;
    Ok(Some(group))
}

/// The group of a key and a channel, without its members.
async fn find(
    tx: &mut SqliteConnection,
    key: &str,
    channel: &ChannelId,
) -> Result<Option<AlertGroup>> {
    let row = sqlx::query("SELECT * FROM alert_groups WHERE group_key = $1 AND channel = $2")
        .bind(key)
        .bind(&channel.0)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(group_from).transpose()
}

/// Writes a group and the members that it holds; those that it does not hold stay as they are.
pub(super) async fn save(tx: &mut SqliteConnection, group: &mut AlertGroup) -> Result<()> {
    match group.id {
        0 => group.id = insert_head(tx, group).await?,
        _ => update_head(tx, group).await?,
    }
    for member in &group.members {
        sqlx::query(
            "INSERT INTO alert_group_members (group_id, alert_id, notify_state, fired) VALUES ($1, $2, $3, $4)
             ON CONFLICT (group_id, alert_id) DO UPDATE SET notify_state = excluded.notify_state",
        )
        .bind(group.id)
        .bind(member.alert.id.0)
        .bind(member.notify_state.as_str())
        .bind(json(&member.fired))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn insert_head(tx: &mut SqliteConnection, group: &AlertGroup) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "INSERT INTO alert_groups (group_key, channel, labels, wait_ms, interval_ms, repeat_ms, mute_times, flush_at_ms,
             last_notified_ms, revision)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id",
    )
    .bind(&group.key)
    .bind(&group.channel.0)
    .bind(json(&group.labels))
    .bind(ms(group.timing.wait))
    .bind(ms(group.timing.interval))
    .bind(ms(group.timing.repeat))
    .bind(json(&group.mute_times))
    .bind(group.flush_at_ms)
    .bind(group.last_notified_ms)
    .bind(group.revision)
    .fetch_one(tx)
    .await?)
}

async fn update_head(tx: &mut SqliteConnection, group: &AlertGroup) -> Result<()> {
    sqlx::query(
        "UPDATE alert_groups SET labels = $1, wait_ms = $2, interval_ms = $3, repeat_ms = $4, mute_times = $5,
             flush_at_ms = $6, last_notified_ms = $7, revision = $8
         WHERE id = $9",
    )
    .bind(json(&group.labels))
    .bind(ms(group.timing.wait))
    .bind(ms(group.timing.interval))
    .bind(ms(group.timing.repeat))
    .bind(json(&group.mute_times))
    .bind(group.flush_at_ms)
    .bind(group.last_notified_ms)
    .bind(group.revision)
    .bind(group.id)
    .execute(tx)
    .await?;
    Ok(())
}

async fn update_member(
    tx: &mut SqliteConnection,
    group: i64,
    alert: AlertId,
    state: NotifyState,
) -> Result<()> {
    sqlx::query(
        "UPDATE alert_group_members SET notify_state = $1 WHERE group_id = $2 AND alert_id = $3",
    )
    .bind(state.as_str())
    .bind(group)
    .bind(alert.0)
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a group that no alert is left in.
async fn delete_empty(tx: &mut SqliteConnection, group: i64) -> Result<()> {
    sqlx::query(
        "DELETE FROM alert_groups
         WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM alert_group_members WHERE group_id = $1)",
    )
    .bind(group)
    .execute(tx)
    .await?;
    Ok(())
}

async fn members(tx: &mut SqliteConnection, group: i64) -> Result<Vec<GroupMember>> {
    let rows = sqlx::query(
        "SELECT a.*, m.notify_state, m.fired FROM alert_group_members m JOIN alerts a ON a.id = m.alert_id
         WHERE m.group_id = $1 ORDER BY m.alert_id",
    )
    .bind(group)
    .fetch_all(tx)
    .await?;
    // An alert that can't be read is reported with the list of all open ones.
    Ok(skip_unreadable(&rows, |row| {
        member_from(row, group, alert_from(row)?)
    }))
}

/// Reads a member. One that can't be read in part is sent once more rather than not at all.
fn member_from(row: &SqliteRow, group: i64, alert: Alert) -> Result<GroupMember> {
    let what = "member of alert group";
    let state = word(row, "notify_state", what, group, NotifyState::parse);
    let fired = word(row, "fired", what, group, |text| {
        serde_json::from_str(text).ok()
    });
    Ok(GroupMember {
        notify_state: state.unwrap_or(NotifyState::Pending),
        fired: fired.unwrap_or_else(|_| alert.clone()),
        alert,
    })
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
        last_notified_ms: row.try_get("last_notified_ms")?,
        revision: row.try_get("revision")?,
        members: Vec::new(),
    })
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain fields only")
}

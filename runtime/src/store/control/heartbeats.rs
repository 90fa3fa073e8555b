//! Heartbeats: the id in the address of each, and what is known of its pings.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{ControlStore, Result, word};
use crate::domain::{DownCause, HeartbeatRecord, HeartbeatState, UnixMillis};

/// A heartbeat as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredHeartbeat {
    /// Slug.
    pub service: String,
    /// Secret part of the address.
    pub uuid: String,
    pub record: HeartbeatRecord,
}

impl ControlStore {
    /// All of them, also those whose services are gone for now.
    pub async fn heartbeat_all(&self) -> Result<Vec<StoredHeartbeat>> {
        let rows = sqlx::query("SELECT * FROM heartbeats ORDER BY service")
            .fetch_all(&self.reader)
            .await?;
        Ok(self.readable("heartbeat", &rows, read))
    }

    /// Keeps new ones, each under the id it has.
    pub async fn heartbeat_insert(
        &self,
        heartbeats: &[StoredHeartbeat],
        now_ms: UnixMillis,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        for StoredHeartbeat {
            service,
            uuid,
            record,
        } in heartbeats
        {
            // A row that can't be read gives way to one that can.
            sqlx::query(
                "INSERT INTO heartbeats (service, uuid, created_ms, state, since_ms, pings) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (service) DO UPDATE SET uuid = excluded.uuid, created_ms = excluded.created_ms, gone_ms = NULL,
                     state = excluded.state, since_ms = excluded.since_ms, cause = NULL, pings = excluded.pings",
            )
            .bind(service)
            .bind(uuid)
            .bind(now_ms)
            .bind(record.state.as_str())
            .bind(record.since_ms)
            .bind(i64::try_from(record.pings).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    /// Keeps what became of some heartbeats, in the room of the ballast if need be: alerts follow
    /// from it.
    pub async fn heartbeat_update(&self, records: &[(String, HeartbeatRecord)]) -> Result<()> {
        self.with_ballast(|| self.update_records(records)).await
    }

    async fn update_records(&self, records: &[(String, HeartbeatRecord)]) -> Result<()> {
        let mut tx = self.begin_write().await?;
        for (service, record) in records {
            sqlx::query(
                "UPDATE heartbeats SET state = $2, since_ms = $3, cause = $4, reason = $5, last_ms = $6, last_success_ms = $7,
                     started_ms = $8, duration_ms = $9, exit_status = $10, message = $11, pings = $12 WHERE service = $1",
            )
            .bind(service)
            .bind(record.state.as_str())
            .bind(record.since_ms)
            .bind(record.cause.map(DownCause::as_str))
            .bind(&record.reason)
            .bind(record.last_ms)
            .bind(record.last_success_ms)
            .bind(record.started_ms)
            .bind(record.duration_ms)
            .bind(record.exit_status.map(i64::from))
            .bind(&record.message)
            .bind(i64::try_from(record.pings).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    /// Gives a heartbeat another id. False: there is none of that service.
    pub async fn heartbeat_set_uuid(&self, service: &str, uuid: &str) -> Result<bool> {
        let mut tx = self.begin_write().await?;
        let changed = sqlx::query("UPDATE heartbeats SET uuid = $2 WHERE service = $1")
            .bind(service)
            .bind(uuid)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(changed.rows_affected() > 0)
    }

    /// Notes which heartbeats no service has any more, and which are in use again, and forgets those
    /// that have been gone since before a moment.
    pub async fn heartbeat_note_gone(
        &self,
        gone: &[String],
        in_use: &[String],
        now_ms: UnixMillis,
        forget_before_ms: UnixMillis,
    ) -> Result<()> {
        let mut tx = self.begin_write().await?;
        for service in gone {
            sqlx::query(
                "UPDATE heartbeats SET gone_ms = $2 WHERE service = $1 AND gone_ms IS NULL",
            )
            .bind(service)
            .bind(now_ms)
            .execute(&mut *tx)
            .await?;
        }
        for service in in_use {
            sqlx::query(
                "UPDATE heartbeats SET gone_ms = NULL WHERE service = $1 AND gone_ms IS NOT NULL",
            )
            .bind(service)
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query("DELETE FROM heartbeats WHERE gone_ms < $1")
            .bind(forget_before_ms)
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }
}

fn read(row: &SqliteRow) -> Result<StoredHeartbeat> {
    let service: String = row.try_get("service")?;
    let state = word(row, "state", "heartbeat", &service, HeartbeatState::parse)?;
    let cause: Option<String> = row.try_get("cause")?;
    let exit_status: Option<i64> = row.try_get("exit_status")?;
    Ok(StoredHeartbeat {
        uuid: row.try_get("uuid")?,
        record: HeartbeatRecord {
            state,
            since_ms: row.try_get("since_ms")?,
            cause: cause.as_deref().and_then(DownCause::parse),
            reason: row.try_get("reason")?,
            last_ms: row.try_get("last_ms")?,
            last_success_ms: row.try_get("last_success_ms")?,
            started_ms: row.try_get("started_ms")?,
            duration_ms: row.try_get("duration_ms")?,
            exit_status: exit_status.and_then(|status| u8::try_from(status).ok()),
            message: row.try_get("message")?,
            pings: row.try_get::<i64, _>("pings")?.unsigned_abs(),
        },
        service,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Ping, Signal};
    use crate::store::Keyring;

    async fn open(folder: &std::path::Path) -> ControlStore {
        let keyring = Keyring::load(None, folder).unwrap();
        ControlStore::open(&folder.join("control.sqlite"), keyring)
            .await
            .unwrap()
    }

    fn new(service: &str, uuid: &str) -> StoredHeartbeat {
        StoredHeartbeat {
            service: service.to_owned(),
            uuid: uuid.to_owned(),
            record: HeartbeatRecord::new(5),
        }
    }

    async fn ids(store: &ControlStore) -> Vec<(String, String)> {
        let all = store.heartbeat_all().await.unwrap();
        all.into_iter()
            .map(|stored| (stored.service, stored.uuid))
            .collect()
    }

    fn pair(service: &str, uuid: &str) -> (String, String) {
        (service.to_owned(), uuid.to_owned())
    }

    #[tokio::test]
    async fn what_a_ping_made_of_a_heartbeat_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        store
            .heartbeat_insert(&[new("backup", "u-1"), new("mail", "u-2")], 5)
            .await
            .unwrap();
        let mut record = HeartbeatRecord::new(5);
        for signal in [
            Signal::Success,
            Signal::Start,
            Signal::Fail {
                exit_status: Some(200),
            },
        ] {
            let ping = Ping {
                signal,
                message: Some("no space left".to_owned()),
            };
            record = record.pinged(&ping, record.pings as i64 * 1_000 + 10);
        }
        let changed = [("backup".to_owned(), record.clone())];
        store.heartbeat_update(&changed).await.unwrap();
        store.close().await;
        drop(store);
        let store = open(folder.path()).await;
        let all = store.heartbeat_all().await.unwrap();
        assert_eq!(all[0].record, record);
        assert_eq!(all[1], new("mail", "u-2"));
    }

    #[tokio::test]
    async fn the_id_stays_while_the_service_is_away_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        store
            .heartbeat_insert(&[new("backup", "u-1"), new("mail", "u-2")], 5)
            .await
            .unwrap();
        let (backup, mail) = (["backup".to_owned()], ["mail".to_owned()]);
        store
            .heartbeat_note_gone(&backup, &mail, 100, 0)
            .await
            .unwrap();
        store
            .heartbeat_note_gone(&backup, &mail, 200, 100)
            .await
            .unwrap();
        assert_eq!(ids(&store).await.len(), 2, "since 100, and not since 200");
        store
            .heartbeat_note_gone(&[], &backup, 300, 101)
            .await
            .unwrap();
        assert_eq!(ids(&store).await.len(), 2, "it is back");
        store
            .heartbeat_note_gone(&backup, &mail, 400, 401)
            .await
            .unwrap();
        assert_eq!(ids(&store).await, [pair("mail", "u-2")]);
        assert!(store.heartbeat_set_uuid("mail", "u-3").await.unwrap());
        assert!(!store.heartbeat_set_uuid("backup", "u-4").await.unwrap());
        assert_eq!(ids(&store).await, [pair("mail", "u-3")]);
    }
}

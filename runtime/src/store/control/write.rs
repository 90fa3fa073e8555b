//! The one way in which the control store is written. A connection that did not end its transaction
//! in order is closed and opened anew: SQLite rolls back by itself when a disk is full or fails,
//! and what counts transactions beside it would from then on take each commit for the end of a
//! savepoint, so that nothing is committed any more.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Sqlite, SqliteConnection};

use super::ballast::BallastState;
use super::write_health::WriteHealth;
use super::{ControlError, ControlStore, Result};

/// Statements that are committed together or not at all. Dropped without
/// [`WriteTransaction::commit`], none of them happened, and the connection is closed;
/// [`WriteTransaction::rollback`] keeps it.
pub(super) struct WriteTransaction {
    connection: PoolConnection<Sqlite>,
    health: Arc<WriteHealth>,
    is_ended: bool,
}

impl WriteTransaction {
    /// Returns when the transaction is on the disk. After an error nothing of it is certain to be
    /// there.
    pub(super) async fn commit(mut self) -> Result<()> {
        match self.try_commit().await {
            Ok(number) => {
                self.health.note_commit(number);
                Ok(())
            }
            Err(source) => Err(self.failed("commit to", source)),
        }
    }

    async fn try_commit(&mut self) -> sqlx::Result<i64> {
        let number = sqlx::query_scalar(
            "UPDATE store_identity SET commits = commits + 1 WHERE id = 1 RETURNING commits",
        )
        .fetch_one(&mut *self.connection)
        .await?;
        run(&mut self.connection, "COMMIT").await?;
        self.is_ended = true;
        Ok(number)
    }

    /// Ends what has nothing to write after all.
    pub(super) async fn rollback(mut self) -> Result<()> {
        match run(&mut self.connection, "ROLLBACK").await {
            Ok(()) => {
                self.is_ended = true;
                Ok(())
            }
            Err(source) => Err(self.failed("roll back in", source)),
        }
    }

    fn failed(&self, doing: &'static str, source: sqlx::Error) -> ControlError {
        let error = ControlError::Database { doing, source };
        self.health.note_error(&error);
        error
    }
}

impl Deref for WriteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.connection
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        if !self.is_ended {
            self.connection.close_on_drop();
        }
    }
}

impl ControlStore {
    /// Begins a write transaction when the writer is free. The statements are plain SQL on purpose:
    /// SQLite itself refuses a `BEGIN` inside of a transaction and a `COMMIT` outside of one, so
    /// that no savepoint is ever taken for a transaction.
    pub(super) async fn begin_write(&self) -> Result<WriteTransaction> {
        let failed = |source| {
            let error = ControlError::Database {
                doing: "begin to write to",
                source,
            };
            self.health.note_error(&error);
            error
        };
        // A connection that is made anew passes no hook of the pool.
        #[cfg(test)]
        self.hooks.note_use();
        let connection = self.writer.acquire().await.map_err(failed)?;
        let mut transaction = WriteTransaction {
            connection,
            health: Arc::clone(&self.health),
            is_ended: false,
        };
        run(&mut transaction.connection, "BEGIN IMMEDIATE")
            .await
            .map_err(failed)?;
        Ok(transaction)
    }

    /// Begins a transaction for what people add over the API: rejected while the room that the
    /// ballast left is kept for alerts.
    pub(super) async fn begin_roomy_write(&self) -> Result<WriteTransaction> {
        match self.health.ballast.state() {
            BallastState::GivenUp => Err(ControlError::NoRoom),
            BallastState::Held | BallastState::Off => self.begin_write().await,
        }
    }

    /// Runs a write that alerts need. If the disk is full, it is repeated once in the room that the
    /// ballast leaves, so it has to be done whole or not at all.
    pub(crate) async fn with_ballast<T, F>(&self, write: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let was_held = self.health.ballast.state() == BallastState::Held;
        let mut written = write().await;
        if was_held && written.as_ref().is_err_and(ControlError::is_full) {
            self.health.ballast.give_up();
            written = write().await;
        }
        if let Err(error) = &written {
            self.health.note_error(error);
        }
        written
    }
}

/// A statement without arguments and without rows.
async fn run(connection: &mut SqliteConnection, statement: &'static str) -> sqlx::Result<()> {
    sqlx::raw_sql(statement)
        .execute(connection)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::{AlertState, UnixMillis};
    use crate::store::Keyring;
    use crate::store::control::{AlertDraft, EventDraft, SilenceDraft, Transition};

    async fn open(folder: &std::path::Path) -> ControlStore {
        let keyring = Keyring::load(None, folder).unwrap();
        ControlStore::open(&folder.join("control.sqlite"), keyring)
            .await
            .unwrap()
    }

    /// Lets the file grow no further, as a full disk does, or lets it grow again. SQLite answers
    /// with the same error.
    async fn fill_disk(store: &ControlStore, is_full: bool) {
        let mut connection = store.writer.acquire().await.unwrap();
        let statement = if is_full {
            "PRAGMA max_page_count = 1"
        } else {
            "PRAGMA max_page_count = 1000000"
        };
        sqlx::raw_sql(statement)
            .execute(&mut *connection)
            .await
            .unwrap();
    }

    fn firing(service: &str, now_ms: UnixMillis) -> Transition {
        let alert = AlertDraft {
            id: None,
            name: "Down".to_owned(),
            rule: format!("{service}/Down"),
            service: service.to_owned(),
            severity: crate::domain::Severity::Critical,
            state: AlertState::Firing,
            summary: "x".repeat(20_000),
            value: None,
            wanted: None,
            started_ms: now_ms,
            fired_ms: Some(now_ms),
            resolved_ms: None,
            updated_ms: now_ms,
            flags: Default::default(),
            labels: Default::default(),
        };
        let event = EventDraft {
            ts_ms: now_ms,
            from: None,
            to: AlertState::Firing,
            actor: "engine".to_owned(),
            reason: "down".to_owned(),
        };
        Transition {
            alert,
            event,
            groups: Vec::new(),
            is_news: false,
            memory: None,
            escalation: None,
        }
    }

    fn silence() -> SilenceDraft {
        SilenceDraft {
            matchers: Vec::new(),
            starts_ms: 0,
            ends_ms: 1,
            author: "me".to_owned(),
            comment: "y".repeat(20_000),
        }
    }

    #[tokio::test]
    async fn after_a_full_disk_what_is_answered_as_done_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        for round in 0..4 {
            fill_disk(&store, true).await;
            let error = store
                .transition_commit(firing("full", round))
                .await
                .unwrap_err();
            assert!(format!("{error:?}").contains("full"), "{error:?}");
            fill_disk(&store, true).await;
            assert!(store.silence_insert(silence(), 0).await.is_err());
            fill_disk(&store, true).await;
            assert!(
                store
                    .service_insert("full", &json!({ "text": "z".repeat(20_000) }))
                    .await
                    .is_err()
            );
            // What fails for another reason ends its transaction as well.
            assert!(
                store
                    .service_update("absent", &json!({}), None)
                    .await
                    .is_err()
            );
        }
        fill_disk(&store, false).await;
        let (alert, _) = store.transition_commit(firing("free", 9)).await.unwrap();
        let kept = store.silence_insert(silence(), 0).await.unwrap();
        store.service_insert("free", &json!({})).await.unwrap();
        // As after kill -9: only what is on the disk counts.
        let copy = tempfile::tempdir().unwrap();
        for file in ["control.sqlite", "control.sqlite-wal", "secret.key"] {
            std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
        }
        let again = open(copy.path()).await;
        let open_alerts = again.alert_open_list().await.unwrap();
        assert_eq!(
            open_alerts.iter().map(|alert| alert.id).collect::<Vec<_>>(),
            [alert.id]
        );
        let silences = again.silence_ending_after(0).await.unwrap();
        let ids: Vec<i64> = silences.iter().map(|stored| stored.silence.id).collect();
        assert_eq!(ids, [kept.silence.id]);
        let services = again.service_list().await.unwrap();
        assert_eq!(
            services
                .iter()
                .map(|service| service.slug.as_str())
                .collect::<Vec<_>>(),
            ["free"]
        );
    }

    #[tokio::test]
    async fn a_connection_that_is_inside_a_transaction_is_not_used_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await;
        let mut connection = store.writer.acquire().await.unwrap();
        sqlx::raw_sql("BEGIN")
            .execute(&mut *connection)
            .await
            .unwrap();
        drop(connection);
        assert!(
            store.service_insert("a", &json!({})).await.is_err(),
            "nothing is begun inside a transaction"
        );
        store.service_insert("a", &json!({})).await.unwrap();
        let mut transaction = store.begin_write().await.unwrap();
        sqlx::raw_sql("ROLLBACK")
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert!(
            transaction.commit().await.is_err(),
            "nothing is committed outside of a transaction"
        );
        store.service_insert("b", &json!({})).await.unwrap();
        // A task that was cancelled in the middle.
        drop(store.begin_write().await.unwrap());
        assert_eq!(
            store
                .service_insert("c", &json!({}))
                .await
                .unwrap()
                .revision,
            1
        );
        store.close().await;
        drop(store);
        let services = open(folder.path()).await.service_list().await.unwrap();
        assert_eq!(
            services
                .iter()
                .map(|service| service.slug.as_str())
                .collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
    }
}

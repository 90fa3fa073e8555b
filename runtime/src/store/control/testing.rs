//! The real store in tests of those who use it: faults that are injected, time that stands still
//! while the store works, and rows put in as they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use tokio::sync::Notify;

use super::alert_groups;
use super::{ControlError, ControlStore, Result};
use crate::domain::{Alert, AlertGroup};

/// Waited between two looks whether the store is still at work: as long as SQLite takes for little.
const LOOK: Duration = Duration::from_micros(20);

/// Shared by all clones of a store.
#[derive(Debug, Default)]
pub(crate) struct TestHooks {
    faults: Faults,
    /// Notified when a connection is taken out of its pool.
    used: Arc<Notify>,
}

/// Calls that fail from now on; `usize::MAX` are all of them.
#[derive(Debug, Default)]
struct Faults {
    commits: AtomicUsize,
    /// Transitions that are committed and yet answer with an error.
    doubtful_commits: AtomicUsize,
    reads: AtomicUsize,
    attempts: AtomicUsize,
}

/// Counts one call down. An error while there is one left.
fn take(left: &AtomicUsize) -> Result<()> {
    let counted = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| match left {
        0 => None,
        usize::MAX => Some(usize::MAX),
        left => Some(left - 1),
    });
    match counted {
        Err(_) => Ok(()),
        Ok(_) => Err(ControlError::Database {
            doing: "reach",
            source: sqlx::Error::Io(std::io::Error::other("the disk is full")),
        }),
    }
}

impl TestHooks {
    pub(super) fn before_commit(&self) -> Result<()> {
        take(&self.faults.commits)
    }

    pub(super) fn after_commit(&self) -> Result<()> {
        take(&self.faults.doubtful_commits)
    }

    pub(super) fn before_read(&self) -> Result<()> {
        take(&self.faults.reads)
    }

    pub(super) fn before_attempt(&self) -> Result<()> {
        take(&self.faults.attempts)
    }

    pub(super) fn note_use(&self) {
        self.used.notify_one();
    }

    /// Pools whose connections are noted when they are used.
    pub(super) fn watch(self: &Arc<Self>, pool: SqlitePoolOptions) -> SqlitePoolOptions {
        let hooks = Arc::clone(self);
        // Without the test of a connection, which would begin before the hook.
        pool.test_before_acquire(false).before_acquire(move |_, _| {
            hooks.note_use();
            Box::pin(async { Ok(true) })
        })
    }
}

impl ControlStore {
    pub(crate) fn fail_commits(&self, count: usize) {
        self.hooks.faults.commits.store(count, Ordering::Relaxed);
    }

    pub(crate) fn fail_commits_afterwards(&self, count: usize) {
        self.hooks
            .faults
            .doubtful_commits
            .store(count, Ordering::Relaxed);
    }

    pub(crate) fn fail_reads(&self, count: usize) {
        self.hooks.faults.reads.store(count, Ordering::Relaxed);
    }

    pub(crate) fn fail_attempts(&self, count: usize) {
        self.hooks.faults.attempts.store(count, Ordering::Relaxed);
    }

    /// Opens every connection that the pool of readers may have. One that is opened later passes no
    /// hook, so time would go on while it opens.
    pub(crate) async fn open_all_readers(&self) {
        let open = (0..super::opening::READERS).map(|_| self.reader.acquire());
        drop(futures::future::try_join_all(open).await.unwrap());
        // They are given back by tasks of this runtime.
        while [&self.writer, &self.reader]
            .iter()
            .any(|pool| pool.size() as usize > pool.num_idle())
        {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Keeps the runtime awake while the store works, for ever. A paused clock moves on as soon as
    /// every task waits; SQLite works on threads of its own, of which the clock knows nothing.
    pub(crate) async fn hold_time_while_at_work(self) {
        let is_at_work = |store: &Self| {
            [&store.writer, &store.reader]
                .iter()
                .any(|pool| pool.size() as usize > pool.num_idle())
        };
        loop {
            while is_at_work(&self) {
                std::thread::sleep(LOOK);
                tokio::task::yield_now().await;
            }
            self.hooks.used.notified().await;
        }
    }

    /// The same store, read through a connection of its own, which holds no time.
    pub(crate) async fn observed(&self, file: &std::path::Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .pragma("query_only", "on");
        let reader = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options)
            .await
            .unwrap();
        Self {
            reader,
            hooks: Arc::default(),
            ..self.clone()
        }
    }

    /// Returns a number that changes with each commit of another connection.
    pub(crate) async fn data_version(&self) -> i64 {
        sqlx::query_scalar("PRAGMA data_version")
            .fetch_one(&self.reader)
            .await
            .unwrap()
    }

    /// Id of the notification of each attempt, in the order in which they were recorded.
    pub(crate) async fn attempt_order(&self) -> Vec<i64> {
        let rows = sqlx::query("SELECT notification_id FROM notification_attempts ORDER BY id")
            .fetch_all(&self.reader)
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Puts an alert in with its id, unless it is there.
    pub(crate) async fn alert_put(&self, alert: &Alert) {
        let mut tx = self.begin_write().await.unwrap();
        sqlx::query(
            "INSERT INTO alerts (id, name, rule, service, severity, state, summary, started_ms, fired_ms, updated_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING",
        )
        .bind(alert.id.0)
        .bind(&alert.name)
        .bind(&alert.rule)
        .bind(&alert.service)
        .bind(alert.severity.as_str())
        .bind(alert.state.as_str())
        .bind(&alert.summary)
        .bind(alert.started_ms)
        .bind(alert.fired_ms)
        .bind(alert.updated_ms)
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    /// Puts a group in with its members.
    pub(crate) async fn group_put(&self, group: &AlertGroup) {
        for member in &group.members {
            self.alert_put(&member.alert).await;
        }
        let mut tx = self.begin_write().await.unwrap();
        let mut group = AlertGroup {
            id: 0,
            ..group.clone()
        };
        alert_groups::save(&mut tx, &mut group).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Damages the tokens that are kept of all credentials.
    pub(crate) async fn credential_tokens_damage(&self) -> Result<()> {
        let mut tx = self.begin_write().await?;
        sqlx::query("UPDATE credential_tokens SET sealed = zeroblob(length(sealed))")
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    }

    /// Sets how often a message was attempted.
    pub(crate) async fn notification_set_attempts(&self, id: i64, attempts: u32) {
        let mut tx = self.begin_write().await.unwrap();
        sqlx::query("UPDATE notifications SET attempts = $1 WHERE id = $2")
            .bind(i64::from(attempts))
            .bind(id)
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    /// Makes every commit of a transition fail from now on, or none.
    pub(crate) async fn refuse_transitions(&self, refuse: bool) -> Result<()> {
        let sql = if refuse {
            "CREATE TRIGGER refuse_transitions BEFORE INSERT ON alert_events
             BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        } else {
            "DROP TRIGGER refuse_transitions"
        };
        sqlx::query(sql).execute(&self.writer).await?;
        Ok(())
    }
}

//! The thread that seals: a little for those who ask, and everything every few minutes. It may hang
//! with its disk; only those who ask for files wait for it, and not for long.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::files::Folder;
use super::ledger::{self, Change};
use super::step::{Purpose, Taken, take};
use super::{Failure, Manifest, RETRY_ASKED, SealSettings, Sealed, State, Status};
use crate::domain::{UnixMillis, error_chain, now_ms};
use crate::store::results::ResultError;
use crate::store::results::changes;
use crate::store::results::chore::Chore;
use crate::store::results::database::{Database, Interrupt, ReaderKind};
use crate::store::results::progress::Progress;
use crate::store::results::queue::Queue;

/// Rows that those who ask let be written; beyond, they are sealed in steps first.
const FRESH_ROWS: u64 = 1_000_000;
/// Rows that one step of a seal writes, about: half a second.
const STEP_ROWS: u64 = 500_000;
/// Each piece of work is followed by a pause of so many times its length: a third of one thread.
const PAUSES: u32 = 2;
/// Pause after a failure: a full disk does not get better by being asked more often.
const RETRY: Duration = Duration::from_secs(60);
/// Work of the committer that takes longer is given up; what became of it is looked up next time.
const CHORE_PATIENCE: Duration = Duration::from_secs(10);
/// The thread gets so long to end after it was interrupted.
const END_PATIENCE: Duration = Duration::from_secs(5);
const INTERRUPT_EVERY: Duration = Duration::from_millis(10);

/// Decides what is sealed when.
pub(in crate::store::results) struct Sealer {
    database: Arc<Database>,
    queue: Arc<Queue>,
    progress: Arc<Progress>,
    sealed: Arc<Sealed>,
    folder: Folder,
    settings: SealSettings,
    /// The next seal.
    due_at: Instant,
    /// Moment until which those who ask wait.
    may_refresh_at: Instant,
    is_failing: bool,
    reading: Reading,
    closing: CancellationToken,
}

/// The connection that the thread reads with at the moment.
type Reading = Arc<Mutex<Option<Interrupt>>>;

impl Sealer {
    pub(in crate::store::results) fn new(
        database: Arc<Database>,
        queue: Arc<Queue>,
        progress: Arc<Progress>,
        sealed: Arc<Sealed>,
        settings: SealSettings,
    ) -> Self {
        let folder = Folder::new(database.segments());
        let now = Instant::now();
        Self {
            database,
            queue,
            progress,
            sealed,
            folder,
            settings,
            due_at: now + settings.delay,
            may_refresh_at: now,
            is_failing: false,
            reading: Reading::default(),
            closing: CancellationToken::new(),
        }
    }

    async fn run(mut self) {
        let mut is_wanted = false;
        loop {
            is_wanted |= self.sealed.take_wanted();
            let now = Instant::now();
            if now >= self.due_at {
                self.seal().await;
                continue;
            }
            if is_wanted && now >= self.may_refresh_at {
                is_wanted = false;
                self.refresh().await;
                continue;
            }
            let until = if is_wanted {
                self.due_at.min(self.may_refresh_at)
            } else {
                self.due_at
            };
            tokio::select! {
                () = self.sealed.asked.notified() => {}
                () = sleep_until(until.into()) => {}
            }
        }
    }

    /// Writes what changed since the last seal, for those who ask, in files that the store does not
    /// name.
    async fn refresh(&mut self) {
        let begun = Instant::now();
        let outcome = self
            .take(Purpose::Fresh {
                most_rows: FRESH_ROWS,
            })
            .await;
        self.may_refresh_at = Instant::now() + begun.elapsed() * PAUSES;
        match outcome {
            (
                Ok(Taken {
                    manifest: None,
                    rows_left,
                    ..
                }),
                _,
            ) => {
                // So much that it is sealed first, in steps.
                self.due_at = self.due_at.min(self.may_refresh_at);
                self.note_left(rows_left);
            }
            (
                Ok(Taken {
                    manifest: Some(manifest),
                    ..
                }),
                seen,
            ) => self.hand_out(manifest, seen),
            (Err(error), _) => {
                self.may_refresh_at = Instant::now() + RETRY_ASKED;
                self.failed(&error);
            }
        }
    }

    /// One step of a seal.
    async fn seal(&mut self) {
        let begun = Instant::now();
        let outcome = self.seal_step().await;
        let now = Instant::now();
        match outcome {
            Ok(rows_left) => {
                self.is_failing = false;
                let pause = begun.elapsed() * PAUSES;
                self.due_at = match rows_left {
                    0 => now + self.settings.interval,
                    _ => now + pause,
                };
                self.may_refresh_at = now + pause;
            }
            Err(error) => {
                self.due_at = now + RETRY;
                self.failed(&error);
            }
        }
    }

    /// Returns the rows that are left, about.
    async fn seal_step(&self) -> Result<u64, ResultError> {
        let rotated = self.chore("prepare to seal", |connection| changes::rotate(connection));
        rotated.await?;
        let purpose = Purpose::Seal {
            most_rows: STEP_ROWS,
        };
        let (taken, seen) = self.take(purpose).await;
        let Taken {
            manifest,
            change,
            added,
            removed,
            rows_left,
        } = taken?;
        let published = self.publish(change).await;
        // Also if that failed: the store may name them by now.
        added.iter().for_each(|file| file.keep());
        published?;
        removed.iter().for_each(|file| file.retire());
        match manifest {
            Some(manifest) => self.hand_out(manifest, seen),
            None => self.note_left(rows_left),
        }
        Ok(rows_left)
    }

    async fn publish(&self, change: Change) -> Result<(), ResultError> {
        self.chore("name the sealed files of", move |connection| {
            ledger::publish(connection, &change)
        })
        .await
    }

    /// Has the committer change something, and waits for it for a while.
    async fn chore(
        &self,
        doing: &'static str,
        work: impl FnOnce(&mut duckdb::Connection) -> duckdb::Result<()> + Send + 'static,
    ) -> Result<(), ResultError> {
        let done = self.queue.chore(Chore::new(doing, work));
        match timeout(CHORE_PATIENCE, done).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(ResultError::Closed),
            Err(_) => Err(ResultError::NotCommitted(format!(
                "the store is busy or does not answer for {} s",
                CHORE_PATIENCE.as_secs()
            ))),
        }
    }

    async fn take(&self, purpose: Purpose) -> (Result<Taken, ResultError>, Seen) {
        // In this order, and before the transaction begins: it finds all that was committed by
        // then.
        let data_to_ms = self.progress.data_to_ms(&self.queue);
        let changes = self.database.changes();
        let seen = Seen {
            changes,
            data_to_ms,
        };
        (self.read(purpose).await, seen)
    }

    async fn read(&self, purpose: Purpose) -> Result<Taken, ResultError> {
        self.folder.create().map_err(|source| ResultError::Seal {
            path: self.folder.path().to_owned(),
            source,
        })?;
        let reader = self.database.reader(ReaderKind::Shared).await?;
        self.set_reading(Some(reader.interrupt()));
        let now = now_ms().saturating_mul(1_000);
        let work = || take(&reader.connection, &self.folder, purpose, now);
        // Bindings of the database panic on some errors.
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        self.set_reading(None);
        taken.unwrap_or(Err(ResultError::Reader))
    }

    fn set_reading(&self, interrupt: Option<Interrupt>) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = interrupt;
    }

    /// Notes how far it is until there is something to hand out, without waking those who wait.
    fn note_left(&self, rows_left: u64) {
        self.sealed.status.send_if_modified(|status| {
            status.rows_left = rows_left;
            false
        });
    }

    fn hand_out(&self, manifest: Manifest, seen: Seen) {
        let files = || manifest.files.values().flatten();
        metrics::gauge!("extrack_sealed_files").set(files().count() as f64);
        let bytes: u64 = files().map(|file| file.bytes).sum();
        metrics::gauge!("extrack_sealed_bytes").set(bytes as f64);
        let state = State {
            manifest,
            changes: seen.changes,
            data_to_ms: seen.data_to_ms,
        };
        self.sealed.status.send_modify(|status| {
            *status = Status {
                current: Some(Arc::new(state)),
                ..Status::default()
            };
        });
    }

    fn failed(&mut self, error: &ResultError) {
        if self.closing.is_cancelled() {
            return;
        }
        let reason = error_chain(error);
        metrics::counter!("extrack_seal_failures_total").increment(1);
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(
                error = reason,
                folder = %self.folder.path().display(),
                "what is recorded could not be sealed for SQL; queries read what was sealed before, and it is tried again every minute"
            );
        }
        let failure = Failure {
            at: Instant::now(),
            reason,
        };
        let status = &self.sealed.status;
        status.send_modify(|status| status.failed = Some(failure));
    }
}

/// The state of the store before a look at it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    changes: u64,
    data_to_ms: UnixMillis,
}

/// The thread of a sealer.
pub(in crate::store::results) struct SealerThread {
    closing: CancellationToken,
    reading: Reading,
    thread: JoinHandle<()>,
}

impl SealerThread {
    pub(in crate::store::results) fn start(sealer: Sealer) -> Result<Self, ResultError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(ResultError::Thread)?;
        let closing = sealer.closing.clone();
        let reading = Arc::clone(&sealer.reading);
        let until = closing.clone();
        let thread = std::thread::Builder::new()
            .name("results-seal".to_owned())
            .spawn(move || {
                runtime.block_on(until.run_until_cancelled_owned(sealer.run()));
            })
            .map_err(ResultError::Thread)?;
        Ok(Self {
            closing,
            reading,
            thread,
        })
    }

    /// Interrupts what it does, and waits until it lets go of the database. One that hangs with its
    /// disk ends with the program.
    pub(in crate::store::results) fn end(self) {
        self.closing.cancel();
        let begun = Instant::now();
        while !self.thread.is_finished() {
            if begun.elapsed() > END_PATIENCE {
                tracing::warn!("the thread that seals results does not end; its disk hangs");
                return;
            }
            if let Some(interrupt) = self
                .reading
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
            {
                interrupt.interrupt();
            }
            std::thread::sleep(INTERRUPT_EVERY);
        }
        if self.thread.join().is_err() {
            tracing::error!("the thread that seals results panicked");
        }
    }
}

//! The thread that writes to the database. It may hang with its disk, so nothing waits for it but
//! the writer, which stops waiting after a while.

use std::sync::Arc;
use std::thread::JoinHandle;

use duckdb::Connection;
use tokio::sync::{mpsc, oneshot};

use super::ResultError;
use super::chore::Chore;
use super::damage::log_of;
use super::database::Database;
use super::months::{self, MonthCheck};
use super::part::{self, Work};
use super::table_retention::{self, Keep, TableCheck};
use super::tiers::{self, Stepped};
use super::usage_merge::{self, MergeCheck};
use crate::domain::{error_chain, now_ms};

/// How a transaction ended, and what a step of the tiers did; the text of an error is whole.
pub(super) type Outcome = Result<Option<Stepped>, String>;

/// Transactions after which the database is checkpointed. A start after a crash replays the log, and
/// that takes time by the transaction (about 10 ms, measured with a row a second of 3 services), whatever is in it; DuckDB
/// itself waits for 16 MB, which are 6 s of small ones.
const CHECKPOINT_COMMITS: u32 = 256;
/// A log this large was left by a crash, and is not replayed a second time.
const LEFT_LOG_BYTES: u64 = 1 << 20;

enum Task {
    Commit(Arc<Work>),
    Checkpoint,
    /// The next step of the tiers, of the months, or of what is no longer kept.
    Step(Keep),
    Chore(Chore),
}

/// Where the steps are that look at all months and tables.
struct Checks {
    months: MonthCheck,
    tables: TableCheck,
    merge: MergeCheck,
}

struct Job {
    task: Task,
    /// Sent once the task is dropped, so that the receiver owns its work alone.
    answer: oneshot::Sender<Outcome>,
}

pub(super) struct Committer {
    /// One job at a time: the writer waits for its end. None once it was ended.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    pub(super) fn start(database: Arc<Database>) -> Result<Self, ResultError> {
        let (jobs, inbox) = mpsc::channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(ResultError::Thread)?;
        let thread = std::thread::Builder::new()
            .name("results-commit".to_owned())
            .spawn(move || runtime.block_on(serve(inbox, &database)))
            .map_err(ResultError::Thread)?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    pub(super) fn commit(&self, work: Arc<Work>) -> oneshot::Receiver<Outcome> {
        self.send(Task::Commit(work))
    }

    pub(super) fn step(&self, keep: Keep) -> oneshot::Receiver<Outcome> {
        self.send(Task::Step(keep))
    }

    pub(super) fn chore(&self, chore: Chore) -> oneshot::Receiver<Outcome> {
        self.send(Task::Chore(chore))
    }

    pub(super) fn checkpoint(&self) -> oneshot::Receiver<Outcome> {
        self.send(Task::Checkpoint)
    }

    /// The answer of a thread that is gone is an error as well.
    fn send(&self, task: Task) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        if let Some(jobs) = &self.jobs {
            let _ = jobs.try_send(Job { task, answer });
        }
        outcome
    }

    /// Waits for the thread, which lets go of the database; nothing may be under way.
    pub(super) fn end(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that commits results panicked");
        }
    }
}

async fn serve(mut inbox: mpsc::Receiver<Job>, database: &Database) {
    let mut connection = None;
    let mut checks = Checks {
        months: MonthCheck::default(),
        tables: TableCheck::starting(now_ms()),
        merge: MergeCheck::starting(now_ms()),
    };
    let mut since_checkpoint = SinceCheckpoint::starting(database);
    while let Some(Job { task, answer }) = inbox.recv().await {
        let outcome = match task {
            Task::Commit(work) => {
                let committed = commit(&mut connection, database, &work).await;
                committed.map(|()| None)
            }
            Task::Checkpoint => checkpoint(&mut connection, database).map(|()| None),
            Task::Step(keep) => step(&mut connection, database, &keep, &mut checks).map(Some),
            Task::Chore(chore) => do_chore(&mut connection, database, chore).map(|()| None),
        };
        let is_nothing = matches!(&outcome, Ok(Some(stepped)) if !stepped.has_worked);
        if !is_nothing {
            database.note_change();
        }
        let is_written = !is_nothing && outcome.is_ok();
        let _ = answer.send(outcome.map_err(|error| error_chain(&error)));
        if is_written && since_checkpoint.is_due() {
            let done = checkpoint(&mut connection, database);
            since_checkpoint.tried(&done);
        }
    }
}

/// Transactions that a start after a crash would have to replay.
struct SinceCheckpoint(u32);

impl SinceCheckpoint {
    fn starting(database: &Database) -> Self {
        let log = std::fs::metadata(log_of(database.path()));
        let was_left = log.is_ok_and(|log| log.len() >= LEFT_LOG_BYTES);
        Self(if was_left { CHECKPOINT_COMMITS } else { 0 })
    }

    /// Counts a transaction.
    fn is_due(&mut self) -> bool {
        self.0 += 1;
        self.0 >= CHECKPOINT_COMMITS
    }

    /// One that fails, as on a full disk or beside another transaction, is tried again after some
    /// more.
    fn tried(&mut self, done: &Result<(), ResultError>) {
        self.0 = 0;
        if let Err(error) = done {
            self.0 = CHECKPOINT_COMMITS - CHECKPOINT_COMMITS / 8;
            let error = error_chain(error);
            tracing::debug!(error, "the results store could not be checkpointed");
        }
    }
}

/// One try.
async fn commit(
    connection: &mut Option<Connection>,
    database: &Database,
    work: &Work,
) -> Result<(), ResultError> {
    if connection.is_none() {
        let connected = match database.connect() {
            Ok(connected) => connected,
            Err(_) => {
                database.reopen().await?;
                database.connect()?
            }
        };
        *connection = Some(connected);
    }
    write(connection, database, "commit to", |open| {
        part::write(open, work)
    })
}

/// One step of the tiers; where none is due, one of the months or of the tables. While the store
/// can't be opened there is none.
fn step(
    connection: &mut Option<Connection>,
    database: &Database,
    keep: &Keep,
    checks: &mut Checks,
) -> Result<Stepped, ResultError> {
    if connection.is_none() {
        *connection = Some(database.connect()?);
    }
    write(connection, database, "count the history of", |open| {
        let now_ms = now_ms();
        checks.tables.follow(&keep.tables, now_ms);
        let mut stepped = tiers::step(open, now_ms, &keep.tiers)?;
        checks.months.notice(&stepped.marks);
        stepped.has_worked = stepped.has_worked
            || months::step(open, now_ms, &stepped.marks, &mut checks.months)?
            || table_retention::step(open, now_ms, &keep.tables, &mut checks.tables)?
            || usage_merge::step(open, now_ms, &mut checks.merge)?;
        Ok(stepped)
    })
}

/// While the store can't be opened nothing is done.
fn do_chore(
    connection: &mut Option<Connection>,
    database: &Database,
    chore: Chore,
) -> Result<(), ResultError> {
    if connection.is_none() {
        *connection = Some(database.connect()?);
    }
    let doing = chore.doing;
    write(connection, database, doing, |open| chore.run(open))
}

/// Writes with a connection that is there. It is gone afterwards if DuckDB has to be opened anew.
fn write<T>(
    connection: &mut Option<Connection>,
    database: &Database,
    doing: &'static str,
    work: impl FnOnce(&mut Connection) -> duckdb::Result<T>,
) -> Result<T, ResultError> {
    let Some(open) = connection else {
        return Err(ResultError::Unavailable);
    };
    let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(open)));
    let Ok(written) = written else {
        *connection = None;
        return Err(ResultError::NotCommitted("writing panicked".to_owned()));
    };
    written.map_err(|source| {
        if super::error::is_fatal(&source) {
            *connection = None;
            database.invalidate();
        }
        ResultError::Database { doing, source }
    })
}

/// While the store is closed there is nothing to do.
fn checkpoint(connection: &mut Option<Connection>, database: &Database) -> Result<(), ResultError> {
    if connection.is_none() {
        return Ok(());
    }
    write(connection, database, "checkpoint", |open| {
        open.execute_batch("CHECKPOINT")
    })
}

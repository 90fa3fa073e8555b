//! The thread that writes to the database. It may hang with its disk, so nothing waits for it but
//! the writer, which stops waiting after a while.

use std::sync::Arc;
use std::thread::JoinHandle;

use duckdb::Connection;
use tokio::sync::{mpsc, oneshot};

use super::ResultError;
use super::database::Database;
use super::part::{self, Work};

/// How a transaction ended; the text of an error is whole.
pub(super) type Outcome = Result<(), String>;

struct Job {
    /// None: a checkpoint.
    work: Option<Arc<Work>>,
    /// Dropped after `work`, so that the receiver owns it alone.
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
        self.send(Some(work))
    }

    pub(super) fn checkpoint(&self) -> oneshot::Receiver<Outcome> {
        self.send(None)
    }

    /// The answer of a thread that is gone is an error as well.
    fn send(&self, work: Option<Arc<Work>>) -> oneshot::Receiver<Outcome> {
        let (answer, outcome) = oneshot::channel();
        if let Some(jobs) = &self.jobs {
            let _ = jobs.try_send(Job { work, answer });
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
    while let Some(Job { work, answer }) = inbox.recv().await {
        let outcome = match &work {
            Some(work) => commit(&mut connection, database, work).await,
            None => checkpoint(connection.as_ref()),
        };
        drop(work);
        let _ = answer.send(outcome.map_err(|error| super::error::chain(&error)));
    }
}

/// One try. The connection is gone afterwards if DuckDB has to be opened anew.
async fn commit(
    connection: &mut Option<Connection>,
    database: &Database,
    work: &Work,
) -> Result<(), ResultError> {
    let open = match connection {
        Some(open) => open,
        None => {
            let connected = match database.connect() {
                Ok(connected) => connected,
                Err(_) => {
                    database.reopen().await?;
                    database.connect()?
                }
            };
            connection.insert(connected)
        }
    };
    let written =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| part::write(open, work)));
    let Ok(written) = written else {
        *connection = None;
        return Err(ResultError::NotCommitted("writing panicked".to_owned()));
    };
    written.map_err(|source| {
        // A fatal error invalidates the whole instance; only opening the file again helps.
        let text = source.to_string();
        if text.contains("FATAL") || text.contains("invalidated") {
            *connection = None;
            database.invalidate();
        }
        ResultError::Database {
            doing: "commit to",
            source,
        }
    })
}

fn checkpoint(connection: Option<&Connection>) -> Result<(), ResultError> {
    match connection {
        Some(connection) => {
            connection
                .execute_batch("CHECKPOINT")
                .map_err(|source| ResultError::Database {
                    doing: "checkpoint",
                    source,
                })
        }
        None => Ok(()),
    }
}

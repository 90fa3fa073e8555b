//! How the process of a statement is started, and what it may take.

use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::process::{Kept, Statement};
use super::protocol::{Files, Task};
use super::worker::SQL_SUBCOMMAND;
use super::{QueryLimits, QueryRequest};
use crate::child::{Limits, Program, Sandbox, Stopped};
use crate::store::results::ResultError;
use crate::store::results::error::QueryError;
use crate::store::results::gate::{Admitted, VIEWS};
use crate::store::results::snapshot::Snapshot;

/// Memory of a process on top of what the program itself takes: the database's limit, and half a
/// gigabyte for what that does not count.
const MEMORY_BYTES: u64 = 1_536 << 20;
/// The largest file for a sort.
const FILE_BYTES: u64 = 1 << 30;
/// Descriptors of a process; files of results are opened a few at a time.
const OPEN_FILES: u64 = 1_024;
/// More than a few threads take memory, and leave nothing to others.
const THREADS: usize = 4;
/// A third of the time of others while all cores are busy.
const NICE: u8 = 5;

/// How statements of users are run.
#[derive(Debug, Clone, Default)]
pub struct SqlSettings {
    /// How a process is started. None: this very program with [`SQL_SUBCOMMAND`].
    pub program: Option<Program>,
    pub sandbox: Sandbox,
}

impl SqlSettings {
    /// Returns the settings with the sandbox of this name.
    pub fn with_sandbox(name: &str) -> Option<Self> {
        let sandbox = Sandbox::named(name)?;
        Some(Self {
            sandbox,
            ..Self::default()
        })
    }

    /// Returns why no statement runs here, and how that is mended.
    pub fn unavailable(&self) -> Option<String> {
        let missing = self.sandbox.missing()?;
        let mut weaker = "`EXTRACK_SQL_SANDBOX=off` runs it in a process that only has limits";
        if self.sandbox == Sandbox::Full && Sandbox::Seccomp.missing().is_none() {
            weaker = "`EXTRACK_SQL_SANDBOX=seccomp` or `off` runs it without that";
        }
        Some(format!(
            "this kernel or container has no {missing}, which keeps statements from files; {weaker}"
        ))
    }

    /// Notes in the log what guards less than it could.
    pub(in crate::store::results) fn report(&self) {
        match (self.unavailable(), self.sandbox) {
            (Some(reason), _) => tracing::warn!(reason, "SQL of users is refused"),
            (None, Sandbox::Full) => {}
            (None, weaker) => tracing::warn!(
                sandbox = ?weaker,
                "SQL of users runs in a weaker sandbox, as `EXTRACK_SQL_SANDBOX` asks"
            ),
        }
    }

    /// Starts the process of a statement. Blocks.
    pub(super) fn start(
        &self,
        request: QueryRequest,
        admitted: Admitted,
        snapshot: Arc<Snapshot>,
        slot: OwnedSemaphorePermit,
        deadline: Instant,
        folder: &Path,
    ) -> Result<Statement, QueryError> {
        let spill = spill_folder(folder)?;
        let task = self.task(&request, &admitted, &snapshot, spill.path());
        let task = task.and_then(|task| task.to_bytes());
        let task = task.map_err(|error| ResultError::Sealed(error.to_string()))?;
        let not_started = |error: std::io::Error| {
            QueryError::Unavailable(format!("its process can't be started: {error}"))
        };
        let program = match &self.program {
            Some(program) => program.clone(),
            None => Program::this(SQL_SUBCOMMAND).map_err(not_started)?,
        };
        // Arenas of an allocator would count as memory that is used.
        let variables = [("MALLOC_ARENA_MAX", "2".to_owned())];
        let child = program.start(&variables).map_err(|stopped| match stopped {
            Stopped::NotStarted(error) => not_started(error),
            _ => QueryError::Unavailable("its process can't be started".to_owned()),
        })?;
        Ok(Statement {
            child,
            task,
            sql: request.sql,
            admitted,
            limits: request.limits,
            deadline,
            cancel: request.cancel,
            progress: request.progress,
            kept: Kept {
                _slot: slot,
                _snapshot: snapshot,
                _spill: spill,
            },
        })
    }

    fn task(
        &self,
        request: &QueryRequest,
        admitted: &Admitted,
        snapshot: &Snapshot,
        spill: &Path,
    ) -> std::io::Result<Task> {
        let mut names: Vec<String> = admitted.names.needed.iter().cloned().collect();
        if admitted.names.has_list {
            names.extend(VIEWS.iter().map(|view| (*view).to_owned()));
        }
        let mut tables = snapshot.tables.clone();
        for path in tables.values_mut().flatten() {
            *path = std::path::absolute(&*path)?;
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = threads.min(THREADS);
        Ok(Task {
            sql: admitted.sql.clone(),
            params: request.params.clone(),
            answer: request.limits,
            names,
            snapshot: Files {
                tables,
                variables: snapshot.variables.clone(),
            },
            spill: std::path::absolute(spill)?,
            threads,
            sandbox: self.sandbox,
            limits: limits(request.limits, threads),
        })
    }
}

fn limits(answer: QueryLimits, threads: usize) -> Limits {
    Limits {
        memory_bytes: MEMORY_BYTES,
        // Its threads can't take more until the deadline.
        cpu: answer.timeout.saturating_mul(threads as u32),
        wall_clock: answer.timeout,
        file_bytes: FILE_BYTES,
        open_files: Some(OPEN_FILES),
        nice: NICE,
    }
}

/// A folder for large sorts, beside the store or, where that is full, where temporary files are.
fn spill_folder(folder: &Path) -> Result<TempDir, ResultError> {
    std::fs::create_dir_all(folder)
        .and_then(|()| TempDir::with_prefix_in("sorting-", folder))
        .or_else(|_| TempDir::with_prefix("extrack-sorting-"))
        .map_err(|source| ResultError::Seal {
            path: folder.to_owned(),
            source,
        })
}

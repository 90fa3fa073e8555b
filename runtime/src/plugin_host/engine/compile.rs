//! Components to machine code. That is the one work on a foreign component which no budget of the
//! sandbox bounds, so it is done by a child process that the kernel holds to its limits; what it
//! made is kept, and loaded from there.

mod task;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::cache::CompiledCache;
use crate::child::{Limits, Program, Stopped};
use crate::domain::duration::format_duration;
use crate::domain::size::format_size;

pub use task::compile_child;

/// The hidden subcommand that is the child.
pub const COMPILE_SUBCOMMAND: &str = "compile-component";

/// Components that wait for their turn; each holds its bytes, up to 64 MiB.
const WAITING: usize = 8;

/// Machine code of one component: a Python plugin of 18 MB becomes 40 MB.
const CODE_BYTES: u64 = 512 << 20;

/// Where components become machine code.
#[derive(Debug, Clone)]
pub enum Compiling {
    /// A child process, under limits.
    Child {
        program: Program,
        limits: CompileLimits,
    },
    /// This process, without any limit: for trusted components, such as a test's own.
    InProcess,
}

impl Compiling {
    /// Compiles in a child that runs this same program, which needs [`COMPILE_SUBCOMMAND`].
    pub fn in_child(limits: CompileLimits) -> std::io::Result<Self> {
        Ok(Self::Child {
            program: Program::this(COMPILE_SUBCOMMAND)?,
            limits,
        })
    }
}

/// Limits of compiling one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// CPU time, in whole seconds.
    pub cpu: Duration,
    pub wall_clock: Duration,
    pub memory_bytes: u64,
    /// Niceness, 0 to 19.
    pub nice: u8,
}

impl Default for CompileLimits {
    /// A Python plugin of 18 MB takes 0.7 GB, and 9 s in a release build, 80 s in a debug build. On a
    /// busy machine one of low priority needs several times its CPU time: a niceness of 10 leaves it
    /// a tenth of what the others get, 19 would leave it a seventieth.
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(240),
            wall_clock: Duration::from_secs(15 * 60),
            memory_bytes: 2 << 30,
            nice: 10,
        }
    }
}

impl CompileLimits {
    /// Limits where somebody waits for the result: the same, at full priority.
    pub fn in_foreground(self) -> Self {
        Self { nice: 0, ..self }
    }

    /// Limits for the parts of the program, which it can't start without: at least the defaults, at
    /// full priority.
    fn of_own_parts(self) -> Self {
        let least = Self::default();
        Self {
            cpu: self.cpu.max(least.cpu),
            wall_clock: self.wall_clock.max(least.wall_clock),
            memory_bytes: self.memory_bytes.max(least.memory_bytes),
            nice: 0,
        }
    }

    fn of_child(self) -> Limits {
        Limits {
            memory_bytes: self.memory_bytes,
            cpu: self.cpu,
            wall_clock: self.wall_clock,
            file_bytes: CODE_BYTES,
            open_files: None,
            nice: self.nice,
        }
    }
}

/// How long others may take before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin_host) enum Urgency {
    /// One at a time.
    InTurn,
    /// As many at once as there are cores: a part of the program, and a start waits for it.
    Now,
}

#[derive(Debug, thiserror::Error)]
pub(in crate::plugin_host) enum CompileError {
    #[error("is not a valid component: {0}")]
    Invalid(String),
    #[error("compiling it takes more than {} of CPU time; `EXTRACK_COMPILE_CPU` allows more", format_duration(*.0))]
    Cpu(Duration),
    #[error("compiling it takes more than {} of memory; `EXTRACK_COMPILE_MEMORY_MB` allows more", format_size(*.0))]
    Memory(u64),
    #[error("its machine code is larger than {}", format_size(*.0))]
    CodeSize(u64),
    #[error("compiling it took longer than {}; is the machine too busy? `EXTRACK_COMPILE_TIMEOUT` allows more", format_duration(*.0))]
    WallClock(Duration),
    #[error("{0} components wait to be compiled already; try again in a minute")]
    Crowded(usize),
    #[error("the compiler gave up on it: {0}")]
    Crashed(String),
    #[error("the compiler can't be started: {0}")]
    NotStarted(String),
}

pub(in crate::plugin_host) struct Compiler {
    engine: Engine,
    cache: Arc<CompiledCache>,
    how: Compiling,
    limits: Limits,
    /// Limits for parts of the program.
    own_limits: Limits,
    places: Semaphore,
    turn: Semaphore,
    cores: Semaphore,
    /// Called with its size when a component is really compiled.
    progress: fn(usize),
}

impl Compiler {
    pub(in crate::plugin_host) fn new(
        engine: Engine,
        cache: CompiledCache,
        how: Compiling,
    ) -> Self {
        let limits = match how {
            Compiling::Child { limits, .. } => limits,
            Compiling::InProcess => CompileLimits::default(),
        };
        Self {
            engine,
            cache: Arc::new(cache),
            how,
            limits: limits.of_child(),
            own_limits: limits.of_own_parts().of_child(),
            places: Semaphore::new(WAITING + 1),
            turn: Semaphore::new(1),
            cores: Semaphore::new(cores()),
            progress: |_| {},
        }
    }

    pub(in crate::plugin_host) fn with_progress(self, progress: fn(usize)) -> Self {
        Self { progress, ..self }
    }

    pub(in crate::plugin_host) fn cache(&self) -> &Arc<CompiledCache> {
        &self.cache
    }

    /// Deletes the code of all others, but for the newest `spare_bytes` of it.
    pub(in crate::plugin_host) async fn sweep(&self, kept: HashSet<String>, spare_bytes: u64) {
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        let swept = tokio::task::spawn_blocking(move || cache.sweep(&engine, &kept, spare_bytes));
        if let Ok(Err(error)) = swept.await {
            tracing::warn!(%error, "compiled plugins that no version needs can't be deleted");
        }
    }

    /// Returns the machine code from the cache, or compiles it. Dropping the future ends the
    /// compiling.
    pub(in crate::plugin_host) async fn component(
        &self,
        bytes: Bytes,
        digest: &str,
        urgency: Urgency,
    ) -> Result<Component, CompileError> {
        if let Some(component) = self.cached(digest).await {
            return Ok(component);
        }
        let place = match urgency {
            Urgency::InTurn => Some(
                self.places
                    .try_acquire()
                    .map_err(|_| CompileError::Crowded(WAITING))?,
            ),
            Urgency::Now => None,
        };
        let turns = if place.is_some() {
            &self.turn
        } else {
            &self.cores
        };
        let _turn = turns
            .acquire()
            .await
            .map_err(|error| CompileError::NotStarted(error.to_string()))?;
        // Somebody else may have waited for the same one.
        if place.is_some()
            && let Some(component) = self.cached(digest).await
        {
            return Ok(component);
        }
        (self.progress)(bytes.len());
        match &self.how {
            Compiling::InProcess => self.here(bytes, digest).await,
            Compiling::Child { program, .. } => {
                self.in_child(program, bytes, digest, urgency).await
            }
        }
    }

    async fn cached(&self, digest: &str) -> Option<Component> {
        let (engine, cache, digest) = (self.engine.clone(), self.cache.clone(), digest.to_owned());
        tokio::task::spawn_blocking(move || cache.load(&engine, &digest))
            .await
            .ok()
            .flatten()
    }

    async fn here(&self, bytes: Bytes, digest: &str) -> Result<Component, CompileError> {
        let (engine, cache, digest) = (self.engine.clone(), self.cache.clone(), digest.to_owned());
        let compiled = tokio::task::spawn_blocking(move || {
            let component = Component::new(&engine, &bytes)?;
            if let Err(error) = component
                .serialize()
                .map(|code| cache.put(&engine, &digest, &code))
            {
                tracing::warn!(%error, "can't keep a compiled plugin; the next start compiles it again");
            }
            wasmtime::Result::<Component>::Ok(component)
        });
        let compiled = compiled
            .await
            .map_err(|error| CompileError::Crashed(error.to_string()))?;
        compiled.map_err(|error| CompileError::Invalid(format!("{error:#}")))
    }

    async fn in_child(
        &self,
        program: &Program,
        bytes: Bytes,
        digest: &str,
        urgency: Urgency,
    ) -> Result<Component, CompileError> {
        let failed = |error: std::io::Error| CompileError::NotStarted(error.to_string());
        let output = self.cache.draft().map_err(failed)?;
        let limits = match urgency {
            Urgency::InTurn => self.limits.clone(),
            Urgency::Now => self.own_limits.clone(),
        };
        let (task, path) = (limits.clone(), output.path().to_owned());
        let input = tokio::task::spawn_blocking(move || task::write(&task, path, &bytes));
        let input = input
            .await
            .map_err(|error| CompileError::NotStarted(error.to_string()))?
            .map_err(failed)?;
        // Those of a start run side by side. Arenas of an allocator would count as memory that is
        // used.
        let threads = if urgency == Urgency::Now { 1 } else { cores() };
        let variables = [
            ("RAYON_NUM_THREADS", threads.to_string()),
            ("MALLOC_ARENA_MAX", "2".to_owned()),
        ];
        program
            .run(&limits, input, &variables)
            .await
            .map_err(|stopped| stopped_at(&limits, stopped))?;
        let (engine, cache, digest) = (self.engine.clone(), self.cache.clone(), digest.to_owned());
        let loaded =
            tokio::task::spawn_blocking(move || cache.take(&engine, &digest, output)).await;
        loaded
            .map_err(|error| CompileError::Crashed(error.to_string()))?
            .map_err(|reason| {
                CompileError::Invalid(format!("does not fit the host's bounds: {reason}"))
            })
    }
}

fn stopped_at(limits: &Limits, stopped: Stopped) -> CompileError {
    match stopped {
        Stopped::Refused(words) => CompileError::Invalid(words),
        Stopped::Cpu => CompileError::Cpu(limits.cpu),
        Stopped::WallClock => CompileError::WallClock(limits.wall_clock),
        Stopped::Memory => CompileError::Memory(limits.memory_bytes),
        Stopped::FileSize => CompileError::CodeSize(limits.file_bytes),
        Stopped::Killed => CompileError::Crashed("it was killed".to_owned()),
        Stopped::Crashed(what) => CompileError::Crashed(what),
        Stopped::NotStarted(error) => CompileError::NotStarted(error.to_string()),
    }
}

/// More than a few gain nothing on one component.
fn cores() -> usize {
    std::thread::available_parallelism()
        .map_or(1, std::num::NonZero::get)
        .min(8)
}

#[cfg(test)]
mod tests;

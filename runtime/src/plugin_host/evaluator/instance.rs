//! One instance of the evaluator: its memory, its functions, and what it may ask the host.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use wasmtime::{
    Caller, Engine, InstancePre, Linker, Memory, ResourceLimiter, Store, Trap, TypedFunc,
};

use super::EvaluationError;
use crate::domain::History;

/// Memory of one evaluation: the JSON of an answer takes ten to twenty times its size as values.
pub(super) const MEMORY_BYTES: usize = 64 << 20;

/// An instance that grew beyond it is made anew: memory never shrinks.
const LEAN_BYTES: usize = 16 << 20;

/// Elements of the table, far above what the module has.
const TABLE_ELEMENTS: usize = 20_000;

/// Steps after which others have their turn: about a millisecond.
const YIELD_STEPS: u64 = 3_000_000;

/// Steps that one look at the history counts as.
const HISTORY_STEPS: u64 = 300_000;

/// A job for the evaluator.
pub(super) struct Job<'a> {
    /// One text after the other.
    pub(super) request: [&'a [u8]; 2],
    pub(super) work: Work,
    pub(super) steps: u64,
    pub(super) history: Option<Arc<dyn History>>,
}

impl Job<'_> {
    pub(super) fn bytes(&self) -> usize {
        self.request.iter().map(|part| part.len()).sum()
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    Check,
    Evaluate,
    Render,
}

/// Why an instance did not return; it is of no use any more.
pub(super) enum End {
    Limit(String),
    /// A trap without a limit: a fault of a parser.
    Broken,
}

/// The data of its store.
#[derive(Default)]
pub(super) struct Guest {
    history: Option<Arc<dyn History>>,
    memory_refused: bool,
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory_refused |= desired > MEMORY_BYTES;
        Ok(desired <= MEMORY_BYTES)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }
}

pub(super) struct Instance {
    store: Store<Guest>,
    memory: Memory,
    request: TypedFunc<u32, u32>,
    check: TypedFunc<u32, u64>,
    evaluate: TypedFunc<(u32, u32, u32), u64>,
    render: TypedFunc<u32, u64>,
    /// Where requests go, and how many bytes find room there.
    room: (usize, usize),
}

impl Instance {
    pub(super) async fn new(pre: &InstancePre<Guest>) -> wasmtime::Result<Self> {
        let mut store = Store::new(pre.module().engine(), Guest::default());
        store.limiter(|guest| guest);
        // To make an instance takes a few steps; evaluations are given theirs.
        store.set_fuel(u64::MAX)?;
        store.fuel_async_yield_interval(Some(YIELD_STEPS))?;
        let instance = pre.instantiate_async(&mut store).await?;
        let memory = instance
            .get_memory(&mut store, "memory")
            .ok_or_else(|| wasmtime::Error::msg("no memory"))?;
        Ok(Self {
            memory,
            request: instance.get_typed_func(&mut store, "request")?,
            check: instance.get_typed_func(&mut store, "check")?,
            evaluate: instance.get_typed_func(&mut store, "evaluate")?,
            render: instance.get_typed_func(&mut store, "render")?,
            room: (0, 0),
            store,
        })
    }

    /// Runs a job. The instance may be used again only if this returned an answer.
    pub(super) async fn run(
        &mut self,
        job: &Job<'_>,
    ) -> Result<Result<String, EvaluationError>, End> {
        self.store.data_mut().history = job.history.clone();
        let ended = giving_way(self.called(job)).await;
        self.store.data_mut().history = None;
        ended.map_err(|error| self.end(&error))
    }

    /// Returns the steps taken of those that were given.
    pub(super) fn steps_taken(&self, given: u64) -> u64 {
        given.saturating_sub(self.store.get_fuel().unwrap_or_default())
    }

    pub(super) fn is_lean(&self) -> bool {
        self.memory.data_size(&self.store) <= LEAN_BYTES
    }

    async fn called(&mut self, job: &Job<'_>) -> wasmtime::Result<Result<String, EvaluationError>> {
        self.store.set_fuel(job.steps)?;
        let bytes = job.bytes();
        if bytes > self.room.1 {
            let room = bytes.next_power_of_two().max(4_096);
            let at = self
                .request
                .call_async(&mut self.store, u32::try_from(room)?)
                .await?;
            self.room = (at as usize, room);
        }
        let mut at = self.room.0;
        for part in job.request {
            self.memory.write(&mut self.store, at, part)?;
            at += part.len();
        }
        let bytes = u32::try_from(bytes)?;
        let reply = match job.work {
            Work::Check => self.check.call_async(&mut self.store, bytes).await?,
            Work::Render => self.render.call_async(&mut self.store, bytes).await?,
            Work::Evaluate => {
                let expression_bytes = u32::try_from(job.request[0].len())?;
                let asked = (bytes, expression_bytes, u32::from(job.history.is_some()));
                self.evaluate.call_async(&mut self.store, asked).await?
            }
        };
        let (at, length) = (
            (reply >> 32) as usize,
            (reply & u64::from(u32::MAX)) as usize,
        );
        let reply = self
            .memory
            .data(&self.store)
            .get(at..)
            .and_then(|rest| rest.get(..length));
        let (kind, text) = reply
            .and_then(|reply| reply.split_first())
            .ok_or_else(|| wasmtime::Error::msg("no reply"))?;
        let text = String::from_utf8_lossy(text).into_owned();
        Ok(match kind {
            0 => Ok(text),
            1 => Err(EvaluationError::Invalid(text)),
            _ => Err(EvaluationError::Failed(text)),
        })
    }

    fn end(&self, error: &wasmtime::Error) -> End {
        let limit = match error.downcast_ref::<Trap>() {
            _ if self.store.data().memory_refused => {
                format!("takes more than {} MiB of memory", MEMORY_BYTES >> 20)
            }
            Some(Trap::OutOfFuel) => "takes more steps than an evaluation may".to_owned(),
            // The second is the stack that lies in its memory, which begins at the address 0.
            Some(Trap::StackOverflow | Trap::MemoryOutOfBounds) => {
                "is put together of too many parts".to_owned()
            }
            _ => {
                tracing::debug!(%error, "the evaluator trapped");
                return End::Broken;
            }
        };
        End::Limit(format!("{limit}; make it simpler"))
    }
}

pub(super) fn link(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "history", history)?;
    Ok(linker)
}

/// The functions of `runtime/evaluator/src/history.rs`; NaN where there is no value.
fn history(
    mut caller: Caller<'_, Guest>,
    function: u32,
    window_ms: u64,
    quantile: f64,
) -> wasmtime::Result<f64> {
    let left = caller
        .get_fuel()?
        .checked_sub(HISTORY_STEPS)
        .ok_or(Trap::OutOfFuel)?;
    caller.set_fuel(left)?;
    let Some(history) = &caller.data().history else {
        return Ok(f64::NAN);
    };
    let window = Duration::from_millis(window_ms);
    let value = match function {
        0 => history.summary(window).availability(),
        1 => history.summary(window).error_rate(),
        2 => history
            .latency(window, quantile)
            .map(|us| us as f64 / 1_000.0),
        3 => Some(history.summary(window).count as f64),
        _ => {
            let summary = history.summary(window);
            Some((summary.unhealthy + summary.errors) as f64)
        }
    };
    Ok(value.unwrap_or(f64::NAN))
}

/// Whenever the work interrupts itself, the timers and sockets of the runtime are looked at before
/// it goes on: work that only wakes itself would go before them.
async fn giving_way<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    loop {
        let polled = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            Poll::Ready(done) => return done,
            Poll::Pending => tokio::task::yield_now().await,
        }
    }
}

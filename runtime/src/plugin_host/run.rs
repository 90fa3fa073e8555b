//! One execution of a plugin: a fresh store and instance, one deadline over everything, and an account of it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::{Instance, InstancePre, ResourceTable};
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use super::capabilities::cel::CelPrograms;
use super::engine::{PluginEngine, TICK};
use super::limits::{self, Exceeded, MemoryLimiter};
use super::recorder::Tape;
use super::recording::RunCost;
use super::replay::ReplayStop;
use super::run_log::RunLog;
use super::state::{Access, Account, RunLabel, RunState};
use crate::domain::{ErrorKind, Failure, RunOutcome};

/// How a run ended, when it did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) outcome: RunOutcome,
    pub(super) reason: String,
}

/// What a run used, whatever its end.
#[derive(Default)]
pub(super) struct Used {
    pub(super) account: Account,
    pub(super) duration: Duration,
    pub(super) memory_peak: usize,
    /// What it asked the host, if that was to be kept.
    pub(super) tape: Option<Tape>,
}

impl Used {
    /// Wall clock less the time spent waiting in host calls.
    pub(super) fn cpu_us(&self) -> u64 {
        self.duration.saturating_sub(self.account.waited).as_micros() as u64
    }

    pub(super) fn cost(&self) -> RunCost {
        RunCost {
            duration_us: self.duration.as_micros() as u64,
            cpu_us: self.cpu_us(),
            memory_bytes: self.memory_peak as u64,
            host_calls: self.account.host_calls,
            log_bytes: self.account.log_bytes,
        }
    }
}

pub(super) struct Runner {
    engine: wasmtime::Engine,
    slots: Arc<Semaphore>,
    cel: Arc<CelPrograms>,
}

impl Runner {
    pub(super) fn new(engine: &PluginEngine) -> Self {
        Self { engine: engine.engine.clone(), slots: engine.slots.clone(), cel: Arc::new(CelPrograms::new()) }
    }

    /// Instantiates and calls, both inside `deadline`, then drops the store: no state survives, and whatever the guest
    /// left half done goes with it.
    pub(super) async fn run<T>(
        &self,
        pre: &InstancePre<RunState>,
        label: RunLabel,
        access: Access,
        deadline: Instant,
        call: impl AsyncFnOnce(&mut Store<RunState>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, Broken>, Used) {
        let _slot = match tokio::time::timeout_at(deadline, self.slots.acquire()).await {
            Ok(Ok(slot)) => slot,
            _ => return (Err(timeout("no free plugin instance before the deadline")), Used::default()),
        };
        let start = Instant::now();
        let mut store = self.store(label, access, deadline);
        let mut busy = Duration::ZERO;
        let work = async {
            let instance = pre.instantiate_async(&mut store).await?;
            call(&mut store, &instance).await
        };
        let ended = tokio::time::timeout_at(deadline, metered(work, &mut busy)).await;
        let duration = start.elapsed();
        let mut state = store.into_data();
        state.finish(duration.saturating_sub(busy));
        let tape = state.access.recorder.take_tape();
        let used = Used { account: state.account, duration, memory_peak: state.memory.peak, tape };
        let result = match ended {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                Err(broken(&error, state.memory.refused, &state.access, state.log.last_error().as_deref()))
            }
            Err(_) => Err(timeout(&format!(
                "no answer within {} ms, of which {} ms in host calls",
                used.duration.as_millis(),
                used.account.waited.as_millis()
            ))),
        };
        (result, used)
    }

    fn store(&self, label: RunLabel, access: Access, deadline: Instant) -> Store<RunState> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::RESOURCES);
        let access = Arc::new(access);
        let state = RunState {
            log: Arc::new(RunLog::new(label.clone(), access.clone(), limits::LOG_BYTES)),
            label,
            access,
            net_deadline: deadline - margin(deadline.saturating_duration_since(Instant::now())),
            account: Account::default(),
            memory: MemoryLimiter::default(),
            table,
            cel: self.cel.clone(),
            wasi: None,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits::TRANSFER_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let account = &mut context.data_mut().account;
            account.cpu_ticks += 1;
            if TICK * account.cpu_ticks > limits::CPU {
                return Err(wasmtime::Error::from(Exceeded::Cpu));
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }
}

/// Adds up the time in which the work is at work: the rest of it, it waits.
async fn metered<T>(work: impl Future<Output = T>, busy: &mut Duration) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let start = Instant::now();
        let polled = work.as_mut().poll(context);
        *busy += start.elapsed();
        polled
    })
    .await
}

/// What is left to a guest after its last network call timed out: a twentieth of the run, 5 to 100 ms.
fn margin(run: Duration) -> Duration {
    (run / 20).clamp(Duration::from_millis(5), Duration::from_millis(100)).min(run / 2)
}

fn timeout(reason: &str) -> Broken {
    Broken { outcome: RunOutcome::Timeout, reason: reason.to_owned() }
}

fn broken(error: &wasmtime::Error, memory_refused: bool, access: &Access, last_error: Option<&str>) -> Broken {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Broken { outcome: RunOutcome::Limit, reason: exceeded.to_string() };
    }
    if let Some(stop) = error.downcast_ref::<ReplayStop>() {
        return Broken { outcome: RunOutcome::Error, reason: stop.to_string() };
    }
    let how = match (error.downcast_ref::<Trap>(), error.downcast_ref::<I32Exit>()) {
        (Some(trap), _) => Some(format!("trapped: {trap}")),
        (None, Some(I32Exit(status))) => Some(format!("ended itself with status {status}")),
        (None, None) => None,
    };
    let reason = match (how, last_error) {
        (Some(_), _) if memory_refused => {
            "asked for more memory than a plugin may have (64 MiB) and gave up".to_owned()
        }
        (Some(how), Some(said)) => format!("{how}; it said: {said}"),
        (Some(how), None) => how,
        (None, _) => format!("{error:#}"),
    };
    let outcome = if memory_refused { RunOutcome::Limit } else { RunOutcome::Trap };
    let reason = Failure::new(ErrorKind::Plugin, access.secrets.redact(&reason)).message;
    Broken { outcome, reason }
}

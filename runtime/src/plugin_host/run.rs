//! One execution of a plugin: a fresh store and instance, one deadline over everything, and an account of it.

mod held;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;
use wasmtime::component::{Instance, InstancePre, ResourceTable};
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use super::capabilities::cel::CostlyExpression;
use super::engine::{PluginEngine, TABLE_ELEMENTS, TICK};
use super::evaluator::Evaluator;
use super::grants::{Allowance, Policies, Policy};
use super::limits::{self, Exceeded, MemoryLimiter};
use super::recorder::Tape;
use super::recording::RunCost;
use super::replay::ReplayStop;
use super::run_log::RunLog;
use super::state::{Access, Account, RunLabel, RunState};
use crate::domain::{BudgetKey, ErrorKind, Failure, RunOutcome};

pub(super) use held::Held;

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
    pub(super) evaluator: Evaluator,
    pub(super) policies: Policies,
}

impl Runner {
    pub(super) fn new(engine: &PluginEngine, evaluator: Evaluator) -> Self {
        let (engine, slots) = (engine.engine.clone(), engine.slots.clone());
        Self { engine, slots, evaluator, policies: Policies::default() }
    }

    /// Instantiates and calls, both inside `deadline`, then drops the store: no state survives, and whatever the guest
    /// left half done goes with it. Held to what the operator allows the plugin of this label.
    pub(super) async fn run<T>(
        &self,
        pre: &InstancePre<RunState>,
        label: RunLabel,
        access: Access,
        deadline: Instant,
        call: impl AsyncFnOnce(&mut Store<RunState>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, Broken>, Used) {
        let policy = self.policies.of(&label.plugin);
        self.run_under(policy, pre, label, access, deadline, call).await
    }

    /// The same, held to this policy.
    pub(super) async fn run_under<T>(
        &self,
        policy: Arc<Policy>,
        pre: &InstancePre<RunState>,
        label: RunLabel,
        mut access: Access,
        deadline: Instant,
        call: impl AsyncFnOnce(&mut Store<RunState>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, Broken>, Used) {
        let allowance = Allowance::new(label.plugin.clone(), label.wants.clone(), policy.clone());
        // The sooner of the two, and which one it is.
        let (deadline, cut_by_budget) = match policy.budget.wall_clock.map(|most| Instant::now() + most) {
            Some(end) if end < deadline => (end, true),
            _ => (deadline, false),
        };
        let turn = async {
            match label.is_candidate {
                true => Ok(None),
                false => policy.turns.acquire().await.map(Some),
            }
        };
        let Ok(Ok(_turn)) = tokio::time::timeout_at(deadline, turn).await else {
            return (Err(exceeded(&allowance, BudgetKey::Concurrency)), Used::default());
        };
        let Ok(Ok(_slot)) = tokio::time::timeout_at(deadline, self.slots.acquire()).await else {
            return (Err(timeout("no free plugin instance before the deadline")), Used::default());
        };
        if let Some(net) = &mut access.net {
            allowance.extend(&mut net.permission);
        }
        access.allowance = allowance;
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
        let result = match ended {
            // Where the guest never heard of it, or went on regardless.
            Ok(Ok(_)) if state.access.exceeded().is_some() => Err(over_budget(&state.access)),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(broken(&error, &state)),
            Err(_) if cut_by_budget => Err(exceeded(&state.access.allowance, BudgetKey::WallClock)),
            Err(_) => Err(timeout(&format!(
                "no answer within {} ms, of which {} ms in host calls",
                duration.as_millis(),
                state.account.waited.as_millis()
            ))),
        };
        let used = Used { account: state.account, duration, memory_peak: state.memory.peak, tape };
        (result, used)
    }

    fn store(&self, label: RunLabel, access: Access, deadline: Instant) -> Store<RunState> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::RESOURCES);
        let memory = MemoryLimiter::new(access.allowance.budget().memory_bytes);
        let access = Arc::new(access);
        let state = RunState {
            log: Arc::new(RunLog::new(label.clone(), access.clone())),
            label,
            access,
            net_deadline: deadline - margin(deadline.saturating_duration_since(Instant::now())),
            account: Account::default(),
            memory,
            table,
            evaluator: self.evaluator.clone(),
            wasi: None,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(limits::TRANSFER_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            state.account.cpu_ticks += 1;
            if TICK * state.account.cpu_ticks > state.access.allowance.budget().cpu {
                return Err(wasmtime::Error::from(state.access.allowance.exceeded(BudgetKey::Cpu)));
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

fn exceeded(allowance: &Allowance, key: BudgetKey) -> Broken {
    Broken { outcome: RunOutcome::Limit, reason: allowance.exceeded(key).to_string() }
}

fn over_budget(access: &Access) -> Broken {
    let reason = access.exceeded().map(|exceeded| exceeded.to_string()).unwrap_or_default();
    Broken { outcome: RunOutcome::Limit, reason }
}

fn broken(error: &wasmtime::Error, state: &RunState) -> Broken {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Broken { outcome: RunOutcome::Limit, reason: exceeded.to_string() };
    }
    if let Some(costly) = error.downcast_ref::<CostlyExpression>() {
        return Broken { outcome: RunOutcome::Limit, reason: state.access.secrets.redact(&costly.to_string()) };
    }
    if let Some(stop) = error.downcast_ref::<ReplayStop>() {
        return Broken { outcome: RunOutcome::Error, reason: stop.to_string() };
    }
    if state.memory.refused {
        return exceeded(&state.access.allowance, BudgetKey::Memory);
    }
    let how = match (error.downcast_ref::<Trap>(), error.downcast_ref::<I32Exit>()) {
        (Some(trap), _) => Some(format!("trapped: {trap}")),
        (None, Some(I32Exit(status))) => Some(format!("ended itself with status {status}")),
        (None, None) => None,
    };
    let (outcome, reason) = match (how, state.log.last_error()) {
        _ if state.memory.table_refused => {
            (RunOutcome::Limit, format!("asked for a table of more than {TABLE_ELEMENTS} elements and gave up"))
        }
        (Some(how), Some(said)) => (RunOutcome::Trap, format!("{how}; it said: {said}")),
        (Some(how), None) => (RunOutcome::Trap, how),
        (None, _) => (RunOutcome::Trap, format!("{error:#}")),
    };
    let reason = Failure::new(ErrorKind::Plugin, state.access.secrets.redact(&reason)).message;
    Broken { outcome, reason }
}

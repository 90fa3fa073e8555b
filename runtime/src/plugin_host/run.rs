//! One execution of a plugin: a fresh store and instance, one deadline over everything, and an
//! account of it.

mod cpu;

pub(super) mod log;
mod warm;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use wasmtime::component::{Instance, InstancePre, ResourceTable};
use wasmtime::{Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

use super::evaluator::Evaluator;
use crate::domain::size::format_size;
use crate::domain::{BudgetKey, ErrorKind, Failure, RunOutcome};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::account::Account;
use crate::plugin_host::capabilities::cel::CostlyExpression;
use crate::plugin_host::capabilities::label::RunLabel;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::engine::limits;
use crate::plugin_host::engine::limits::{Exceeded, Limit};
use crate::plugin_host::engine::memory::{MemoryLimiter, Reservation, RunMemory};
use crate::plugin_host::engine::pool::TABLE_ELEMENTS;
use crate::plugin_host::engine::pool::{PluginEngine, TICK};
use crate::plugin_host::policy::grants::{EffectiveGrants, Policies, Policy, Wants};
use crate::plugin_host::recording::call_replay::ReplayStop;
use crate::plugin_host::recording::format::RunCost;
use crate::plugin_host::recording::recorder::CallLog;
use crate::plugin_host::run::log::RunLog;

pub(super) use cpu::CpuMeter;
pub(super) use warm::WarmInstance;

/// How a run ended, when it did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunError {
    pub(super) outcome: RunOutcome,
    pub(super) reason: String,
}

/// Resources that a run used, whatever its end.
#[derive(Default)]
pub(super) struct RunUsage {
    pub(super) account: Account,
    pub(super) duration: Duration,
    /// CPU time of the guest and of the host for it.
    pub(super) cpu: Duration,
    pub(super) memory_peak: u64,
    /// It was cut off because others had what it needed: no evidence about the plugin.
    pub(super) is_crowded_out: bool,
    /// Host calls, if they were to be kept.
    pub(super) call_log: Option<CallLog>,
}

impl RunUsage {
    /// Usage of a run that never began.
    fn crowded_out() -> Self {
        Self {
            is_crowded_out: true,
            ..Self::default()
        }
    }

    pub(super) fn cpu_us(&self) -> u64 {
        self.cpu.as_micros() as u64
    }

    pub(super) fn cost(&self) -> RunCost {
        RunCost {
            duration_us: self.duration.as_micros() as u64,
            cpu_us: self.cpu_us(),
            waited_us: Some(self.account.waited.as_micros() as u64),
            memory_bytes: self.memory_peak,
            host_calls: self.account.host_calls,
            log_bytes: self.account.log_bytes,
        }
    }
}

/// Claims that a run holds until its end.
struct Admission<'a> {
    reservation: Reservation,
    /// Turn among the runs of its plugin; a candidate needs none.
    _turn: Option<SemaphorePermit<'a>>,
    _slot: SemaphorePermit<'a>,
}

pub(super) struct Runner {
    engine: wasmtime::Engine,
    slots: Arc<Semaphore>,
    pub(super) evaluator: Evaluator,
    pub(super) memory: Arc<RunMemory>,
    pub(super) policies: Policies,
}

impl Runner {
    /// Returns what runs of a plugin may do at the moment.
    pub(super) fn grants_of(&self, plugin: &Arc<str>, wants: &Arc<Wants>) -> EffectiveGrants {
        EffectiveGrants::new(plugin.clone(), wants.clone(), self.policies.of(plugin))
    }

    /// All its runs together have this memory.
    pub(super) fn new(engine: &PluginEngine, memory: RunMemory, evaluator: Evaluator) -> Self {
        let (engine, slots) = (engine.engine.clone(), engine.slots.clone());
        Self {
            engine,
            slots,
            evaluator,
            memory: Arc::new(memory),
            policies: Policies::default(),
        }
    }

    /// Instantiates and calls, both inside `deadline`, then drops the store: no state survives, and
    /// whatever the guest left half done goes with it. Held to what the operator allows the
    /// plugin of this label.
    pub(super) async fn run<T>(
        &self,
        pre: &InstancePre<RunState>,
        label: RunLabel,
        access: Access,
        deadline: Instant,
        call: impl AsyncFnOnce(&mut Store<RunState>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, RunError>, RunUsage) {
        let policy = self.policies.of(&label.plugin);
        self.run_under(policy, pre, label, access, deadline, call)
            .await
    }

    /// Runs as [`Self::run`] does, under this policy.
    pub(super) async fn run_under<T>(
        &self,
        policy: Arc<Policy>,
        pre: &InstancePre<RunState>,
        label: RunLabel,
        mut access: Access,
        deadline: Instant,
        call: impl AsyncFnOnce(&mut Store<RunState>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, RunError>, RunUsage) {
        let grants =
            EffectiveGrants::new(label.plugin.clone(), label.wants.clone(), policy.clone());
        // The sooner of the two, and which one it is.
        let (deadline, cut_by_budget) =
            match policy.budget.wall_clock.map(|most| Instant::now() + most) {
                Some(end) if end < deadline => (end, true),
                _ => (deadline, false),
            };
        let expected = label.expected_memory.clone();
        let admission = match self.admit(&policy, &grants, &label, deadline).await {
            Ok(admission) => admission,
            Err(error) => return (Err(error), RunUsage::crowded_out()),
        };
        if let Some(net) = &mut access.net {
            grants.extend(&mut net.permission);
        }
        access.grants = grants;
        let start = Instant::now();
        let mut store = self.store(label, access, admission.reservation, deadline);
        let cpu = store.data().cpu.clone();
        let work = async {
            let instance = pre.instantiate_async(&mut store).await?;
            call(&mut store, &instance).await
        };
        let ended = tokio::time::timeout_at(deadline, cpu.measure(work)).await;
        let duration = start.elapsed();
        let mut state = store.into_data();
        state.finish(duration.saturating_sub(cpu.at_work()));
        if state.memory.peak > 0 && !state.memory.exhausted {
            expected.note(state.memory.peak);
        }
        let call_log = state.access.recorder.take_log();
        let result = match ended {
            // The guest did not notice, or went on regardless.
            Ok(Ok(_)) if state.access.exceeded().is_some() => Err(over_budget(&state.access)),
            Ok(Ok(_)) if cpu.spent() > policy.budget.cpu => {
                Err(exceeded(&state.access.grants, BudgetKey::Cpu))
            }
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(broken(&error, &state)),
            Err(_) if cut_by_budget => Err(exceeded(&state.access.grants, BudgetKey::WallClock)),
            Err(_) => Err(no_answer(duration, state.account.waited)),
        };
        let used = RunUsage {
            account: state.account,
            duration,
            cpu: cpu.spent(),
            memory_peak: state.memory.peak,
            is_crowded_out: state.memory.exhausted,
            call_log,
        };
        (result, used)
    }

    /// Waits for what a run needs before it begins: its turn among the runs of its plugin, memory and
    /// an instance.
    async fn admit<'a>(
        &'a self,
        policy: &'a Policy,
        grants: &EffectiveGrants,
        label: &RunLabel,
        deadline: Instant,
    ) -> Result<Admission<'a>, RunError> {
        let turn = async {
            if label.is_candidate {
                return Ok(None);
            }
            policy.turns.acquire().await.map(Some)
        };
        let Ok(Ok(turn)) = tokio::time::timeout_at(deadline, turn).await else {
            return Err(exceeded(grants, BudgetKey::Concurrency));
        };
        // Before it takes a place among the instances, which others could use meanwhile.
        let expected_bytes = label
            .expected_memory
            .bytes()
            .min(policy.budget.memory_bytes);
        // One that got its memory at the last moment could only run into its deadline.
        let until = deadline - deadline.saturating_duration_since(Instant::now()) / 4;
        let Ok(reservation) = self.memory.reserve(expected_bytes, until).await else {
            return Err(exceeded(grants, Limit::RunsMemory));
        };
        let Ok(Ok(slot)) = tokio::time::timeout_at(deadline, self.slots.acquire()).await else {
            return Err(timeout("no free plugin instance before the deadline"));
        };
        Ok(Admission {
            reservation,
            _turn: turn,
            _slot: slot,
        })
    }

    fn store(
        &self,
        label: RunLabel,
        mut access: Access,
        reservation: Reservation,
        deadline: Instant,
    ) -> Store<RunState> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits::RESOURCES);
        let net_deadline = deadline - margin(deadline.saturating_duration_since(Instant::now()));
        let memory = MemoryLimiter::new(
            access.grants.budget().memory_bytes,
            reservation,
            net_deadline,
        );
        access.recorder.bound_by(&self.memory);
        access.memory = Some(self.memory.clone());
        let access = Arc::new(access);
        let state = RunState {
            log: Arc::new(RunLog::new(label.clone(), access.clone())),
            label,
            access,
            net_deadline,
            cpu: Arc::default(),
            account: Account::default(),
            memory,
            table,
            evaluator: self.evaluator.clone(),
            wasi: None,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter_async(|state| &mut state.memory);
        store.set_hostcall_fuel(limits::TRANSFER_BYTES);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let state = context.data_mut();
            let (spent, in_poll) = state.cpu.spent_in_poll();
            if spent > state.access.grants.budget().cpu {
                return Err(wasmtime::Error::from(
                    state.access.grants.exceeded(BudgetKey::Cpu),
                ));
            }
            // Ticks that passed while it waited are none of its own.
            if in_poll < TICK {
                return Ok(UpdateDeadline::Continue(1));
            }
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            ))
        });
        store
    }
}

/// Returns the time left to a guest after its last network call timed out: a twentieth of the run,
/// 5 to 100 ms.
fn margin(run: Duration) -> Duration {
    (run / 20)
        .clamp(Duration::from_millis(5), Duration::from_millis(100))
        .min(run / 2)
}

fn no_answer(after: Duration, waited: Duration) -> RunError {
    timeout(&format!(
        "no answer within {} ms, of which {} ms in host calls",
        after.as_millis(),
        waited.as_millis()
    ))
}

fn timeout(reason: &str) -> RunError {
    RunError {
        outcome: RunOutcome::Timeout,
        reason: reason.to_owned(),
    }
}

fn exceeded(grants: &EffectiveGrants, limit: impl Into<Limit>) -> RunError {
    RunError {
        outcome: RunOutcome::Limit,
        reason: grants.exceeded(limit).to_string(),
    }
}

fn over_budget(access: &Access) -> RunError {
    let reason = access
        .exceeded()
        .map(|exceeded| exceeded.to_string())
        .unwrap_or_default();
    RunError {
        outcome: RunOutcome::Limit,
        reason,
    }
}

fn broken(error: &wasmtime::Error, state: &RunState) -> RunError {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return RunError {
            outcome: RunOutcome::Limit,
            reason: exceeded.to_string(),
        };
    }
    if let Some(costly) = error.downcast_ref::<CostlyExpression>() {
        return RunError {
            outcome: RunOutcome::Limit,
            reason: state.access.secrets.redact(&costly.to_string()),
        };
    }
    if let Some(stop) = error.downcast_ref::<ReplayStop>() {
        return RunError {
            outcome: RunOutcome::Error,
            reason: stop.to_string(),
        };
    }
    if state.memory.exhausted {
        return exceeded(&state.access.grants, Limit::RunsMemory);
    }
    if state.memory.refused {
        return exceeded(&state.access.grants, BudgetKey::Memory);
    }
    if is_too_much_at_once(error) {
        let reason = format!(
            "handed over more than {} in one call or answer",
            format_size(limits::TRANSFER_BYTES as u64)
        );
        return RunError {
            outcome: RunOutcome::Limit,
            reason,
        };
    }
    let how = match (
        error.downcast_ref::<Trap>(),
        error.downcast_ref::<I32Exit>(),
    ) {
        // Guests put their stack below their data, so that it runs over the lower end of their
        // memory.
        (Some(trap @ Trap::MemoryOutOfBounds), _) => Some(format!(
            "trapped: {trap}; perhaps its stack was used up by a deep recursion"
        )),
        (Some(trap), _) => Some(format!("trapped: {trap}")),
        (None, Some(I32Exit(status))) => Some(format!("ended itself with status {status}")),
        (None, None) => None,
    };
    let (outcome, reason) = match (how, state.log.last_error()) {
        _ if state.memory.table_refused => (
            RunOutcome::Limit,
            format!("asked for a table of more than {TABLE_ELEMENTS} elements and gave up"),
        ),
        (Some(how), Some(said)) => (RunOutcome::Trap, format!("{how}; it said: {said}")),
        (Some(how), None) => (RunOutcome::Trap, how),
        (None, _) => (RunOutcome::Trap, format!("{error:#}")),
    };
    let reason = Failure::new(ErrorKind::Plugin, state.access.secrets.redact(&reason)).message;
    RunError { outcome, reason }
}

/// `wasmtime` has no public type for it.
fn is_too_much_at_once(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .to_string()
            .contains("fuel allocated for hostcalls has been exhausted")
    })
}

//! State of one run: the data of its wasmtime store.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::ResourceTable;

use super::access::Access;
use super::account::Account;
use super::label::RunLabel;
use super::wasi::context::Wasi;
use crate::domain::{BudgetKey, Capability};
use crate::net::{Net, NetFailure, Permission};
use crate::plugin_host::engine::memory::MemoryLimiter;
use crate::plugin_host::evaluator::Evaluator;
use crate::plugin_host::run::CpuMeter;
use crate::plugin_host::run::log::RunLog;

/// State of one call; nothing of it outlives the call.
pub(in crate::plugin_host) struct RunState {
    pub(in crate::plugin_host) label: RunLabel,
    /// Shared with what happens for the run beside its store: requests of `wasi:http`.
    pub(in crate::plugin_host) access: Arc<Access>,
    pub(in crate::plugin_host) log: Arc<RunLog>,
    /// Deadline of network calls: before the run is cut off, early enough for the guest to report
    /// it.
    pub(in crate::plugin_host) net_deadline: Instant,
    /// CPU time: work of host functions is measured here, work done elsewhere is charged.
    pub(in crate::plugin_host) cpu: Arc<CpuMeter>,
    pub(in crate::plugin_host) account: Account,
    pub(in crate::plugin_host) memory: MemoryLimiter,
    pub(in crate::plugin_host) table: ResourceTable,
    pub(in crate::plugin_host) evaluator: Evaluator,
    /// Made when a guest first asks: most are compiled without WASI.
    pub(in crate::plugin_host) wasi: Option<Wasi>,
}

impl RunState {
    /// Counts a host call; what it waits is not the guest's CPU time.
    pub(in crate::plugin_host) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.account.host_calls += 1;
        if self.account.host_calls > self.access.grants.budget().host_calls {
            return Err(self.access.grants.exceeded(BudgetKey::HostCalls).into());
        }
        self.within_budget()
    }

    /// Counts bytes that the guest hands over.
    pub(in crate::plugin_host) fn hands_over(&self, bytes: usize) -> wasmtime::Result<()> {
        let _ = self.access.hands_over(bytes);
        self.within_budget()
    }

    /// Charges an evaluation by the host: the meter has counted the time, and `counted` in steps is
    /// never less.
    pub(in crate::plugin_host) fn charge_cpu(&self, counted: Duration) -> wasmtime::Result<()> {
        let (spent, _) = self.cpu.spent_in_poll();
        if spent.max(counted) > self.access.grants.budget().cpu {
            return Err(self.access.grants.exceeded(BudgetKey::Cpu).into());
        }
        Ok(())
    }

    /// Counts bytes before they are sent.
    pub(in crate::plugin_host) fn sends(&self, bytes: usize) -> wasmtime::Result<()> {
        let _ = self.access.sends(bytes);
        self.within_budget()
    }

    /// Counts bytes after they were received.
    pub(in crate::plugin_host) fn receives(&self, bytes: usize) -> wasmtime::Result<()> {
        let _ = self.access.receives(bytes);
        self.within_budget()
    }

    /// Ends the run when a line of its budget is used up.
    pub(in crate::plugin_host) fn within_budget(&self) -> wasmtime::Result<()> {
        self.access
            .exceeded()
            .map_or(Ok(()), |exceeded| Err(exceeded.into()))
    }

    /// Notes a denial; the reason is free of secrets.
    pub(in crate::plugin_host) fn denied(&mut self, reason: &str) {
        self.account.denials += 1;
        self.account.denied = Some(reason.to_owned());
    }

    /// The moment a call with its own time-out ends.
    pub(in crate::plugin_host) fn call_deadline(&self, timeout_ms: Option<u64>) -> Instant {
        match timeout_ms {
            Some(timeout_ms) => self
                .net_deadline
                .min(Instant::now() + Duration::from_millis(timeout_ms)),
            None => self.net_deadline,
        }
    }

    pub(in crate::plugin_host) fn waited_since(&mut self, start: Instant) {
        let waited = start.elapsed();
        self.account.waited += waited;
        self.account.call.waited_us += waited.as_micros() as u64;
    }

    /// The network as far as this run may use it, for this capability.
    pub(in crate::plugin_host) fn net(
        &self,
        capability: Capability,
    ) -> Result<(Net, Permission), NetFailure> {
        self.access.net(capability)
    }

    /// Closes the account; `idle` is how long nothing of the run was at work. That is waiting only
    /// for a guest of WASI, which waits without a host call of ours; any other one was waiting for
    /// a processor.
    pub(in crate::plugin_host) fn finish(&mut self, idle: Duration) {
        self.settle();
        if self.wasi.is_some() {
            self.account.waited = self.account.waited.max(idle);
        }
        // Streams of standard output log the rest of their last line when they are dropped.
        self.wasi = None;
        self.table = ResourceTable::new();
        self.log.finish();
        self.account.log_bytes = self.log.bytes();
        self.account.bytes_out = self.access.transfer.sent();
        let mut rate_limits = self
            .access
            .rate_limits
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.account.rate_limits = std::mem::take(&mut rate_limits);
    }

    /// Takes into the account what requests of `wasi:http` came to since the last time.
    pub(in crate::plugin_host) fn settle(&mut self) {
        let Some(wasi) = &mut self.wasi else { return };
        wasi.requests.settle(&mut self.account);
    }
}

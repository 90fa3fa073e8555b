//! What one run carries: the data of its wasmtime store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::capabilities::cel::CelPrograms;
use super::grants::{Allowance, Wants};
use super::limits::MemoryLimiter;
use super::secrets::SealedSettings;
use crate::domain::{BudgetKey, Capability, Credential, History, Phases};
use crate::net::{Net, NetFailure, Permission};

/// Everything a call may see; nothing of it outlives the call.
pub(super) struct RunState {
    pub(super) label: RunLabel,
    pub(super) access: Access,
    /// What it is held to.
    pub(super) allowance: Allowance,
    /// When its network calls end: before the run is cut off, early enough for the guest to say what it found.
    pub(super) net_deadline: Instant,
    pub(super) account: Account,
    pub(super) memory: MemoryLimiter,
    pub(super) table: ResourceTable,
    pub(super) cel: Arc<CelPrograms>,
    /// Made when a guest first asks: most are compiled without WASI.
    pub(super) wasi: Option<WasiCtx>,
}

/// For log lines and refusals.
#[derive(Debug, Clone)]
pub(super) struct RunLabel {
    pub(super) plugin: Arc<str>,
    pub(super) service: Option<String>,
    pub(super) wants: Arc<Wants>,
}

/// What the run may touch. Nothing by default.
#[derive(Default)]
pub(super) struct Access {
    pub(super) net: Option<NetAccess>,
    pub(super) history: Option<Arc<dyn History>>,
    pub(super) secrets: SealedSettings,
    pub(super) credentials: Vec<Credential>,
    /// Credentials go to this host and to no other.
    pub(super) credential_host: Option<String>,
}

pub(super) struct NetAccess {
    pub(super) net: Net,
    pub(super) permission: Permission,
    pub(super) mail: bool,
}

/// What a run used.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) host_calls: u32,
    /// Time spent waiting in host calls.
    pub(super) waited: Duration,
    pub(super) cpu_ticks: u32,
    pub(super) log_bytes: u64,
    /// The last line logged as an error: what a panic said before it trapped.
    pub(super) last_error: Option<String>,
    pub(super) phases: Phases,
    /// Sum of the network calls' durations; none without one.
    pub(super) net_us: Option<u64>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Calls that were refused for want of a grant.
    pub(super) denials: u32,
    /// What the last of them was told.
    pub(super) denied: Option<String>,
}

impl Account {
    pub(super) fn network(&mut self, phases: &Phases, total_us: u64, bytes_in: u64) {
        self.phases.add(phases);
        self.net_us = Some(self.net_us.unwrap_or(0) + total_us);
        self.bytes_in += bytes_in;
    }
}

impl RunState {
    /// Every host call passes here: it is counted, and what it waits is not the guest's CPU time.
    pub(super) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.account.host_calls += 1;
        if self.account.host_calls > self.allowance.budget().host_calls {
            return Err(self.allowance.exceeded(BudgetKey::HostCalls).into());
        }
        Ok(())
    }

    /// Before anything leaves: what is over the budget does not.
    pub(super) fn sends(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.account.bytes_out += bytes as u64;
        if self.account.bytes_out > self.allowance.budget().bytes_out {
            return Err(self.allowance.exceeded(BudgetKey::BytesOut).into());
        }
        Ok(())
    }

    /// The most that the next call may read: one byte more than is left, so that [`Self::received`] can tell.
    pub(super) fn may_receive(&self) -> usize {
        let left = self.allowance.budget().bytes_in.saturating_sub(self.account.bytes_in);
        usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1)
    }

    /// After something was received and accounted.
    pub(super) fn received(&self) -> wasmtime::Result<()> {
        if self.account.bytes_in > self.allowance.budget().bytes_in {
            return Err(self.allowance.exceeded(BudgetKey::BytesIn).into());
        }
        Ok(())
    }

    /// A refusal that the guest is told of, which is without secrets.
    pub(super) fn denied(&mut self, reason: &str) {
        self.account.denials += 1;
        self.account.denied = Some(reason.to_owned());
    }

    /// The moment a call with its own time-out ends.
    pub(super) fn call_deadline(&self, timeout_ms: Option<u64>) -> Instant {
        match timeout_ms {
            Some(timeout_ms) => self.net_deadline.min(Instant::now() + Duration::from_millis(timeout_ms)),
            None => self.net_deadline,
        }
    }

    pub(super) fn waited_since(&mut self, start: Instant) {
        self.account.waited += start.elapsed();
    }

    /// The network as far as this run may use it, for this capability.
    pub(super) fn net(&self, capability: Capability) -> Result<(Net, Permission), NetFailure> {
        self.allowance.capability(capability)?;
        match &self.access.net {
            Some(access) => Ok((access.net.clone(), access.permission.clone())),
            None => Err(NetFailure::denied(format!("plugin `{}` has no network in this call", self.label.plugin))),
        }
    }
}

impl WasiView for RunState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let ctx = self.wasi.get_or_insert_with(|| WasiCtx::builder().build());
        WasiCtxView { ctx, table: &mut self.table }
    }
}

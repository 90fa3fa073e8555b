//! What one run carries: the data of its wasmtime store.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::ResourceTable;

use crate::domain::{
    BudgetKey, Capability, Credential, ErrorKind, Failure, History, Phases, RateLimit, UnixMillis,
    keep_latest, now_ms, read_rate_limits,
};
use crate::net::{HttpResponse, Net, NetFailure, Permission};
use crate::plugin_host::capabilities::wasi::Wasi;
use crate::plugin_host::engine::memory::{ExpectedMemory, MemoryLimiter, RunMemory};
use crate::plugin_host::evaluator::Evaluator;
use crate::plugin_host::policy::credentials::Wallet;
use crate::plugin_host::policy::grants::{Allowance, Traffic, Wants};
use crate::plugin_host::policy::mail_scope::MailScope;
use crate::plugin_host::policy::reach::SecretScope;
use crate::plugin_host::policy::secrets::SealedSettings;
use crate::plugin_host::recording::format::CallCost;
use crate::plugin_host::recording::recorder::Recorder;
use crate::plugin_host::recording::sent::SentSecrets;
use crate::plugin_host::run::CpuMeter;
use crate::plugin_host::run::log::RunLog;

/// Everything a call may see; nothing of it outlives the call.
pub(in crate::plugin_host) struct RunState {
    pub(in crate::plugin_host) label: RunLabel,
    /// Shared with what happens for the run beside its store: requests of `wasi:http`.
    pub(in crate::plugin_host) access: Arc<Access>,
    pub(in crate::plugin_host) log: Arc<RunLog>,
    /// When its network calls end: before the run is cut off, early enough for the guest to say
    /// what it found.
    pub(in crate::plugin_host) net_deadline: Instant,
    /// What a host function does itself is counted; what it has done elsewhere, it charges.
    pub(in crate::plugin_host) cpu: Arc<CpuMeter>,
    pub(in crate::plugin_host) account: Account,
    pub(in crate::plugin_host) memory: MemoryLimiter,
    pub(in crate::plugin_host) table: ResourceTable,
    pub(in crate::plugin_host) evaluator: Evaluator,
    /// Made when a guest first asks: most are compiled without WASI.
    pub(in crate::plugin_host) wasi: Option<Wasi>,
}

/// For log lines and refusals.
#[derive(Debug, Clone)]
pub(in crate::plugin_host) struct RunLabel {
    pub(in crate::plugin_host) plugin: Arc<str>,
    pub(in crate::plugin_host) service: Option<String>,
    pub(in crate::plugin_host) wants: Arc<Wants>,
    /// On trial beside the active version, with permits of its own.
    pub(in crate::plugin_host) is_candidate: bool,
    /// Shared by all runs of the version.
    pub(in crate::plugin_host) expected_memory: Arc<ExpectedMemory>,
}

impl RunLabel {
    /// Of a plugin that wants nothing, for no service.
    pub(in crate::plugin_host) fn of(plugin: &str) -> Self {
        Self {
            plugin: plugin.into(),
            service: None,
            wants: Arc::default(),
            is_candidate: false,
            expected_memory: Arc::default(),
        }
    }
}

/// What the run may touch. Nothing by default.
#[derive(Default)]
pub(in crate::plugin_host) struct Access {
    /// What it is held to; the runner says it.
    pub(in crate::plugin_host) allowance: Allowance,
    pub(in crate::plugin_host) traffic: Traffic,
    /// Of all runs together, for what the host keeps for this one; the runner sets it.
    pub(in crate::plugin_host) memory: Option<Arc<RunMemory>>,
    pub(in crate::plugin_host) net: Option<NetAccess>,
    pub(in crate::plugin_host) history: Option<Arc<dyn History>>,
    pub(in crate::plugin_host) secrets: SealedSettings,
    /// Secrets that a sender sent as they are.
    pub(in crate::plugin_host) sent: SentSecrets,
    pub(in crate::plugin_host) credentials: Vec<Credential>,
    /// Where credentials and the secrets of settings may go.
    pub(in crate::plugin_host) scope: SecretScope,
    pub(in crate::plugin_host) wallet: Arc<Wallet>,
    /// For rules, which have no clock and no chance of their own, and for replays: what WASI's
    /// clocks say and its random numbers start from.
    pub(in crate::plugin_host) frozen_ms: Option<UnixMillis>,
    /// What becomes of its host calls.
    pub(in crate::plugin_host) recorder: Recorder,
    /// What the headers of its answers said of rate limits.
    pub(in crate::plugin_host) rate_limits: Mutex<Vec<RateLimit>>,
}

impl Access {
    /// Reads the rate limits in an answer from `url`. Secrets are out of it already.
    pub(in crate::plugin_host) fn note_rate_limits(&self, url: &str, answer: &HttpResponse) {
        let Ok(url) = url::Url::parse(url) else {
            return;
        };
        let Some(host) = url.host_str() else { return };
        let host = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        // A host can be a secret, too.
        let host = self.secrets.redact(&host);
        let read = read_rate_limits(&host, answer.status, &answer.headers, now_ms());
        if !read.is_empty() {
            keep_latest(
                &mut self
                    .rate_limits
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
                read,
            );
        }
    }
}

pub(in crate::plugin_host) struct NetAccess {
    pub(in crate::plugin_host) net: Net,
    pub(in crate::plugin_host) permission: Permission,
    /// None: no mail server is configured, or none is for this kind of run.
    pub(in crate::plugin_host) mail: Option<MailScope>,
}

/// What a run used.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct Account {
    pub(in crate::plugin_host) host_calls: u32,
    /// Time spent waiting in host calls.
    pub(in crate::plugin_host) waited: Duration,
    pub(in crate::plugin_host) log_bytes: u64,
    pub(in crate::plugin_host) phases: Phases,
    /// Sum of the network calls' durations; none without one.
    pub(in crate::plugin_host) net_us: Option<u64>,
    pub(in crate::plugin_host) bytes_in: u64,
    /// Of the host call under way.
    pub(in crate::plugin_host) call: CallCost,
    /// TCP connections opened.
    pub(in crate::plugin_host) connections: u32,
    /// A function of `signatures` said yes.
    pub(in crate::plugin_host) is_verified: bool,
    pub(in crate::plugin_host) bytes_out: u64,
    /// Calls that the policy refused, for want of a grant or for good.
    pub(in crate::plugin_host) denials: u32,
    /// What the last of them was told.
    pub(in crate::plugin_host) denied: Option<String>,
    /// How the last network call failed, without secrets; for guests whose language hides it.
    pub(in crate::plugin_host) last_failure: Option<Failure>,
    pub(in crate::plugin_host) rate_limits: Vec<RateLimit>,
}

impl Account {
    pub(in crate::plugin_host) fn network(
        &mut self,
        phases: &Phases,
        total_us: u64,
        bytes_in: u64,
    ) {
        self.charge(&CallCost {
            net_us: Some(total_us),
            phases: *phases,
            bytes_in,
            ..CallCost::default()
        });
    }

    pub(in crate::plugin_host) fn charge(&mut self, cost: &CallCost) {
        for (phases, net_us, bytes_in) in [
            (&mut self.phases, &mut self.net_us, &mut self.bytes_in),
            (
                &mut self.call.phases,
                &mut self.call.net_us,
                &mut self.call.bytes_in,
            ),
        ] {
            phases.add(&cost.phases);
            *net_us = cost.net_us.map(|us| us + net_us.unwrap_or(0)).or(*net_us);
            *bytes_in += cost.bytes_in;
        }
        self.waited += Duration::from_micros(cost.waited_us);
        self.call.waited_us += cost.waited_us;
        if let Some(failure) = &cost.failure {
            if failure.kind == ErrorKind::Denied {
                self.denials += 1;
                self.denied = Some(failure.message.clone());
            }
            self.last_failure = Some(failure.clone());
            self.call.failure = Some(failure.clone());
        }
    }
}

impl RunState {
    /// Counts a host call; what it waits is not the guest's CPU time.
    pub(in crate::plugin_host) fn host_call(&mut self) -> wasmtime::Result<()> {
        self.account.host_calls += 1;
        if self.account.host_calls > self.access.allowance.budget().host_calls {
            return Err(self.access.allowance.exceeded(BudgetKey::HostCalls).into());
        }
        self.within_budget()
    }

    /// For everything that the guest hands over.
    pub(in crate::plugin_host) fn hands_over(&self, bytes: usize) -> wasmtime::Result<()> {
        let _ = self.access.hands_over(bytes);
        self.within_budget()
    }

    /// For what the host evaluated for the guest: its meter has counted the time, and `counted` in
    /// steps is never less.
    pub(in crate::plugin_host) fn charge_cpu(&self, counted: Duration) -> wasmtime::Result<()> {
        let (spent, _) = self.cpu.spent_in_poll();
        if spent.max(counted) > self.access.allowance.budget().cpu {
            return Err(self.access.allowance.exceeded(BudgetKey::Cpu).into());
        }
        Ok(())
    }

    /// Before anything leaves.
    pub(in crate::plugin_host) fn sends(&self, bytes: usize) -> wasmtime::Result<()> {
        let _ = self.access.sends(bytes);
        self.within_budget()
    }

    /// After something was received.
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

    /// A refusal that the guest is told of, which is without secrets.
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

    /// Closes the account; `idle` is how long nothing of the run was at work. A guest of WASI waits
    /// without a host call of ours.
    pub(in crate::plugin_host) fn finish(&mut self, idle: Duration) {
        self.settle();
        // Streams of standard output say what is left of their last line when they go.
        self.wasi = None;
        self.table = ResourceTable::new();
        self.log.finish();
        self.account.log_bytes = self.log.bytes();
        self.account.bytes_out = self.access.traffic.sent();
        let mut rate_limits = self
            .access
            .rate_limits
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.account.rate_limits = std::mem::take(&mut rate_limits);
        drop(rate_limits);
        self.account.waited = self.account.waited.max(idle);
    }
}

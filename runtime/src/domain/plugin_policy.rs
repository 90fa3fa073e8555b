//! Policy of the operator for one plugin, and how much of everything one run of it may use. A
//! plugin gets the intersection of this and what it asks for ([`super::Want`]), which the plugin
//! host makes.

use std::time::Duration;

use super::duration::format_duration;
use super::size::format_size;

/// The operator's word on one plugin; what is not said has its default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginPolicy {
    pub grants: Grants,
    pub budget: BudgetChanges,
}

/// `None` is the default of the plugin's kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Hosts beyond its service's own and those that its settings name: `name`, `name:port`,
    /// `*.name`, `*`.
    pub hosts: Vec<String>,
    /// Names of credentials of its service. Default: all of them for a probe, none for others.
    pub credentials: Option<Vec<String>>,
    /// HTTP methods, in upper case. Default: all.
    pub methods: Option<Vec<String>>,
    /// Addresses it may write mail to and as, beside those in its settings: a domain, an address,
    /// or `*`.
    pub mail: Vec<String>,
    /// Default: what its kind is offered.
    pub capabilities: Option<Vec<Capability>>,
}

/// Capability that reaches out of the sandbox, and can therefore be withheld. What computes only
/// (`cel`, `log`, `history` …) can't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Capability {
    Http,
    Stream,
    Udp,
    Icmp,
    Dns,
    Mail,
    Programs,
}

impl Capability {
    pub const ALL: [Capability; 7] = [
        Capability::Http,
        Capability::Stream,
        Capability::Udp,
        Capability::Icmp,
        Capability::Dns,
        Capability::Mail,
        Capability::Programs,
    ];

    /// The name of its interface.
    pub fn as_str(self) -> &'static str {
        match self {
            Capability::Http => "http",
            Capability::Stream => "stream",
            Capability::Udp => "udp",
            Capability::Icmp => "icmp",
            Capability::Dns => "dns",
            Capability::Mail => "mail",
            Capability::Programs => "programs",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|capability| capability.as_str() == text)
    }
}

/// Changes of the operator to a [`Budget`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BudgetChanges {
    pub wall_clock: Option<Duration>,
    pub cpu: Option<Duration>,
    pub memory_bytes: Option<u64>,
    pub host_calls: Option<u32>,
    pub bytes_out: Option<u64>,
    pub bytes_in: Option<u64>,
    pub log_bytes: Option<u64>,
    pub concurrency: Option<u32>,
}

/// The most that one run of a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Time from its turn to its end, waiting included. None: the probe's own timeout, 2 s for a
    /// rule, 30 s for a notifier, 10 s for a webhook, 120 s for a meter.
    pub wall_clock: Option<Duration>,
    /// CPU time of the guest, and of the host for it; waiting costs none. A thousand times what a
    /// bundled plugin takes.
    pub cpu: Duration,
    /// Linear memory of the whole component.
    pub memory_bytes: u64,
    /// Calls of functions of the host; lines of the log are not counted among them.
    pub host_calls: u32,
    /// Requests with their headers and bodies, writes to connections, mail.
    pub bytes_out: u64,
    /// Bodies of answers, reads from connections.
    pub bytes_in: u64,
    /// Log text; what is over is counted and dropped.
    pub log_bytes: u64,
    /// Runs of the plugin at the same time; the others wait for their turn, inside their deadline.
    pub concurrency: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            wall_clock: None,
            cpu: Duration::from_secs(1),
            memory_bytes: 64 << 20,
            host_calls: 10_000,
            bytes_out: 8 << 20,
            bytes_in: 64 << 20,
            log_bytes: 64 << 10,
            // Half of the instances there are: one plugin that waits can't keep the others from
            // running.
            concurrency: Self::MAX_PROBES,
        }
    }
}

/// One line of a budget, by the name it has in `plugins.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BudgetKey {
    WallClock,
    Cpu,
    Memory,
    HostCalls,
    BytesOut,
    BytesIn,
    LogBytes,
    Concurrency,
}

impl BudgetKey {
    pub const ALL: [BudgetKey; 8] = [
        BudgetKey::WallClock,
        BudgetKey::Cpu,
        BudgetKey::Memory,
        BudgetKey::HostCalls,
        BudgetKey::BytesOut,
        BudgetKey::BytesIn,
        BudgetKey::LogBytes,
        BudgetKey::Concurrency,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            BudgetKey::WallClock => "wallClock",
            BudgetKey::Cpu => "cpu",
            BudgetKey::Memory => "memory",
            BudgetKey::HostCalls => "hostCalls",
            BudgetKey::BytesOut => "bytesOut",
            BudgetKey::BytesIn => "bytesIn",
            BudgetKey::LogBytes => "logBytes",
            BudgetKey::Concurrency => "concurrency",
        }
    }
}

impl Budget {
    /// More memory than this has no place in the instance pool.
    pub const MAX_MEMORY_BYTES: u64 = 256 << 20;
    /// Runs of probes under way at once: nearly all wait for their time-outs while everything is
    /// down.
    pub const MAX_PROBES: u32 = 2_000;
    /// Instances of all plugins together. Those beyond the probes' are for the rules and channels
    /// that ask for them.
    pub const MAX_CONCURRENCY: u32 = Self::MAX_PROBES + 500;

    pub fn of(changes: &BudgetChanges) -> Self {
        let default = Self::default();
        Self {
            wall_clock: changes.wall_clock.or(default.wall_clock),
            cpu: changes.cpu.unwrap_or(default.cpu),
            memory_bytes: changes.memory_bytes.unwrap_or(default.memory_bytes),
            host_calls: changes.host_calls.unwrap_or(default.host_calls),
            bytes_out: changes.bytes_out.unwrap_or(default.bytes_out),
            bytes_in: changes.bytes_in.unwrap_or(default.bytes_in),
            log_bytes: changes.log_bytes.unwrap_or(default.log_bytes),
            concurrency: changes.concurrency.unwrap_or(default.concurrency),
        }
    }

    /// Returns the value as people write it, e.g. `64MiB`.
    pub fn shown(&self, key: BudgetKey) -> String {
        match key {
            BudgetKey::WallClock => self
                .wall_clock
                .map_or_else(|| "-".to_owned(), format_duration),
            BudgetKey::Cpu => format_duration(self.cpu),
            BudgetKey::Memory => format_size(self.memory_bytes),
            BudgetKey::HostCalls => self.host_calls.to_string(),
            BudgetKey::BytesOut => format_size(self.bytes_out),
            BudgetKey::BytesIn => format_size(self.bytes_in),
            BudgetKey::LogBytes => format_size(self.log_bytes),
            BudgetKey::Concurrency => self.concurrency.to_string(),
        }
    }
}

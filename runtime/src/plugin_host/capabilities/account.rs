//! The account of one run: what its host calls took.

use std::time::Duration;

use crate::domain::{ErrorKind, Failure, Phases, RateLimit};
use crate::plugin_host::recording::format::CallCost;

/// Resources that a run used.
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
    /// Cost of the host call under way.
    pub(in crate::plugin_host) call: CallCost,
    /// Connections and sockets opened.
    pub(in crate::plugin_host) connections: u32,
    /// A function of `signatures` said yes.
    pub(in crate::plugin_host) is_verified: bool,
    pub(in crate::plugin_host) bytes_out: u64,
    /// Calls that the policy refused, for want of a grant or for good.
    pub(in crate::plugin_host) denials: u32,
    /// Reason of the last denial.
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

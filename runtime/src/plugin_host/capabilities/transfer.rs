//! Bytes that one run sends and receives, held to its budget. Shared with work for the run beside
//! its store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::domain::{BudgetKey, Capability};
use crate::net::{BodyRoom, Net, NetError, NetFailure, Permission};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::engine::limits;
use crate::plugin_host::engine::limits::{Exceeded, Limit};
use crate::plugin_host::engine::memory::{HostMemory, UNCOUNTED_BYTES};

#[derive(Debug, Default)]
pub(in crate::plugin_host) struct TransferMeter {
    sent: AtomicU64,
    received: AtomicU64,
    /// Bytes that the guest handed over, sent or not.
    handed: AtomicU64,
    /// The first limit that was used up: it ends the run.
    exceeded: OnceLock<Limit>,
}

impl TransferMeter {
    pub(in crate::plugin_host) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Memory of the host for a body, reserved while it arrives.
#[derive(Default, Clone)]
pub(in crate::plugin_host) struct ArrivingBody(Arc<Mutex<HostMemory>>);

impl ArrivingBody {
    /// Reserves within the bounds of a run, which ends where there is no more.
    pub(in crate::plugin_host) fn room(&self, access: &Arc<Access>) -> BodyRoom {
        let (body, access) = (self.clone(), access.clone());
        BodyRoom::new(move |bytes| {
            let mut held = body.0.lock().unwrap_or_else(PoisonError::into_inner);
            access
                .holds_more(&mut held, bytes)
                .map_err(|failure| failure.error)
        })
    }

    /// The memory of a body that is whole and has so many bytes.
    pub(in crate::plugin_host) fn arrived(self, bytes: usize) -> HostMemory {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.shrink(bytes);
        std::mem::take(&mut *held)
    }
}

impl Access {
    /// The network as far as this run may use it, for this capability.
    pub(in crate::plugin_host) fn net(
        &self,
        capability: Capability,
    ) -> Result<(Net, Permission), NetFailure> {
        self.grants.capability(capability)?;
        match &self.net {
            Some(access) => Ok((access.net.clone(), access.permission.clone())),
            None => {
                let plugin = &self.grants.plugin;
                Err(NetFailure::denied(format!(
                    "plugin `{plugin}` has no network in this call"
                )))
            }
        }
    }

    /// Counts bytes before they are sent; nothing over the budget is sent.
    pub(in crate::plugin_host) fn sends(&self, bytes: usize) -> Result<(), NetFailure> {
        let bytes = bytes as u64;
        let sent = self
            .transfer
            .sent
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        if sent > self.grants.budget().bytes_out {
            Err(self.exceed(BudgetKey::BytesOut))
        } else {
            Ok(())
        }
    }

    /// Returns the most that the next call may read: one byte more than is left, so that
    /// [`Self::receives`] notices the excess.
    pub(in crate::plugin_host) fn may_receive(&self) -> usize {
        let received = self.transfer.received.load(Ordering::Relaxed);
        let left = self.grants.budget().bytes_in.saturating_sub(received);
        usize::try_from(left)
            .unwrap_or(usize::MAX)
            .saturating_add(1)
    }

    pub(in crate::plugin_host) fn receives(&self, bytes: usize) -> Result<(), NetFailure> {
        let bytes = bytes as u64;
        let received = self
            .transfer
            .received
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        if received > self.grants.budget().bytes_in {
            Err(self.exceed(BudgetKey::BytesIn))
        } else {
            Ok(())
        }
    }

    /// Counts bytes that a guest hands over, before they are kept or parsed.
    pub(in crate::plugin_host) fn hands_over(&self, bytes: usize) -> Result<(), NetFailure> {
        let bytes = bytes as u64;
        let handed = self
            .transfer
            .handed
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        if handed > limits::HANDED_BYTES as u64 {
            Err(self.exceed(Limit::Handed))
        } else {
            Ok(())
        }
    }

    /// Memory of the host for so many bytes, until it is dropped. What is small is not counted.
    pub(in crate::plugin_host) fn holds(&self, bytes: usize) -> Result<HostMemory, NetFailure> {
        let mut held = HostMemory::default();
        self.holds_more(&mut held, bytes).map(|()| held)
    }

    /// The same for what grows to so many bytes.
    pub(in crate::plugin_host) fn holds_more(
        &self,
        held: &mut HostMemory,
        bytes: usize,
    ) -> Result<(), NetFailure> {
        match &self.memory {
            Some(memory) if bytes > UNCOUNTED_BYTES && !held.grow(memory, bytes) => {
                Err(self.exceed(Limit::RunsMemory))
            }
            _ => Ok(()),
        }
    }

    /// Ends the run, at the next host call or when the guest answers.
    pub(in crate::plugin_host) fn exceed(&self, limit: impl Into<Limit>) -> NetFailure {
        let limit = limit.into();
        let _ = self.transfer.exceeded.set(limit);
        let plugin = &self.grants.plugin;
        NetError::TooLarge(format!("plugin `{plugin}` {}", self.grants.exceeded(limit))).into()
    }

    pub(in crate::plugin_host) fn exceeded(&self) -> Option<Exceeded> {
        self.transfer
            .exceeded
            .get()
            .map(|limit| self.grants.exceeded(*limit))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::ArrivingBody;
    use crate::domain::{BudgetChanges, PluginPolicy};
    use crate::plugin_host::capabilities::access::Access;
    use crate::plugin_host::engine::memory::RunMemory;
    use crate::plugin_host::policy::grants::{EffectiveGrants, Policy, PolicyOrigin};

    fn access(bytes_out: u64, bytes_in: u64) -> Access {
        let budget = BudgetChanges {
            bytes_out: Some(bytes_out),
            bytes_in: Some(bytes_in),
            ..BudgetChanges::default()
        };
        let policy = Policy::new(
            PolicyOrigin::File,
            PluginPolicy {
                budget,
                ..PluginPolicy::default()
            },
        );
        Access {
            grants: EffectiveGrants::new("shop".into(), Arc::default(), policy.into()),
            ..Access::default()
        }
    }

    #[test]
    fn a_run_ends_with_the_first_byte_over_its_budget() {
        let access = access(10, 5);
        access.sends(4).unwrap();
        access.sends(6).unwrap();
        assert_eq!(access.may_receive(), 6);
        access.receives(5).unwrap();
        assert!(access.exceeded().is_none());
        assert_eq!(access.may_receive(), 1);
        access.receives(1).unwrap_err();
        let told = access.sends(1).unwrap_err().to_string();
        assert_eq!(
            told,
            "plugin `shop` would have sent more than 10B; `plugins.shop.budget.bytesOut` in plugins.yaml allows more"
        );
        let first = access.exceeded().unwrap().to_string();
        assert_eq!(
            first,
            "received more than 5B; `plugins.shop.budget.bytesIn` in plugins.yaml allows more"
        );
    }

    #[test]
    fn a_body_that_arrives_counts_until_it_is_read_and_ends_the_run_where_there_is_no_more() {
        const MIB: usize = 1 << 20;
        let memory = Arc::new(RunMemory::new(4 << 20));
        let access = Arc::new(Access {
            memory: Some(memory.clone()),
            ..access(0, 0)
        });
        let body = ArrivingBody::default();
        let room = body.room(&access);
        for total in [MIB / 2, MIB, 2 * MIB] {
            room.reserve(total).unwrap();
            assert_eq!(memory.in_use().reserved_bytes, total as u64);
        }
        let held = body.clone().arrived(MIB);
        assert_eq!(memory.in_use().reserved_bytes, 1 << 20);
        drop(held);
        assert_eq!(memory.in_use().reserved_bytes, 0);
        assert!(access.exceeded().is_none());
        let refused = room.reserve(3 * MIB).unwrap_err().to_string();
        assert!(refused.contains("EXTRACK_RUNS_MEMORY_MB"), "{refused}");
        assert!(access.exceeded().is_some());
    }
}

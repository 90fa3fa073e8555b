//! An instance that is kept for calls in a row. Only for what may not remember anything: each call
//! has an account, a budget and a deadline of its own, and what broke is thrown away.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use super::{EffectiveGrants, RunError, Runner, broken, exceeded, timeout};
use crate::plugin_host::capabilities::access::Access;
use crate::plugin_host::capabilities::account::Account;
use crate::plugin_host::capabilities::label::RunLabel;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::engine::limits;
use crate::plugin_host::engine::limits::Limit;

pub(in crate::plugin_host) struct WarmInstance {
    store: Store<RunState>,
    instance: Instance,
    grants: EffectiveGrants,
    /// Access between calls, so that the access of the last call is released.
    idle: Arc<Access>,
    /// Permit of the pool, for as long as the instance lives.
    _slot: OwnedSemaphorePermit,
}

impl Runner {
    /// Held to what the operator allows the plugin of this label; past its bound of runs at once,
    /// because what is held waits between its calls.
    pub(in crate::plugin_host) async fn warm_up(
        &self,
        pre: &InstancePre<RunState>,
        label: RunLabel,
        deadline: Instant,
    ) -> Result<WarmInstance, RunError> {
        let grants = EffectiveGrants::new(
            label.plugin.clone(),
            label.wants.clone(),
            self.policies.of(&label.plugin),
        );
        let expected = label
            .expected_memory
            .bytes()
            .min(grants.budget().memory_bytes);
        let Ok(reservation) = self.memory.reserve(expected, deadline).await else {
            return Err(exceeded(&grants, Limit::RunsMemory));
        };
        let slot = tokio::time::timeout_at(deadline, self.slots.clone().acquire_owned()).await;
        let Ok(Ok(slot)) = slot else {
            return Err(timeout("no free plugin instance before the deadline"));
        };
        let access = Access {
            grants: grants.clone(),
            frozen_ms: Some(0),
            ..Access::default()
        };
        let mut store = self.store(label, access, reservation, deadline);
        let idle = store.data().access.clone();
        let cpu = store.data().cpu.clone();
        match tokio::time::timeout_at(deadline, cpu.measure(pre.instantiate_async(&mut store)))
            .await
        {
            Ok(Ok(instance)) => Ok(WarmInstance {
                store,
                instance,
                grants,
                idle,
                _slot: slot,
            }),
            Ok(Err(error)) => Err(broken(&error, store.data())),
            Err(_) => Err(timeout("not ready before the deadline")),
        }
    }
}

impl WarmInstance {
    /// One call; after an error the instance is not fit for another. `access` is what this call may
    /// see.
    pub(in crate::plugin_host) async fn call<T>(
        &mut self,
        access: Access,
        deadline: Instant,
        call: impl AsyncFnOnce(&mut Store<RunState>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, RunError> {
        let state = self.store.data_mut();
        state.access = Arc::new(Access {
            grants: self.grants.clone(),
            ..access
        });
        state.account = Account::default();
        let cpu = state.cpu.clone();
        cpu.reset();
        self.store.set_hostcall_fuel(limits::TRANSFER_BYTES);
        let ended =
            tokio::time::timeout_at(deadline, cpu.measure(call(&mut self.store, &self.instance)))
                .await;
        self.store.data_mut().access = self.idle.clone();
        match ended {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(broken(&error, self.store.data())),
            Err(_) => Err(timeout("no answer before the deadline")),
        }
    }
}

//! The one wasmtime engine: how components are compiled, where their memories come from, and the
//! ticks that let the host interrupt a guest which never returns.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::Budget;
use tokio::sync::Semaphore;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How often a running guest is looked at: the most CPU time it takes from others in one go.
pub(in crate::plugin_host) const TICK: Duration = Duration::from_millis(2);

/// Largest linear memory; what a plugin gets of it is in its budget.
const MEMORY_BYTES: usize = Budget::MAX_MEMORY_BYTES as usize;

/// Instances at the same time. Each reserves address space (4 GiB a memory), not memory: 1,000
/// waiting runs take about 48 MiB.
pub(in crate::plugin_host) const INSTANCES: u32 = Budget::MAX_CONCURRENCY;

/// Limits of one component. A core instance costs the pool nothing, a memory 4 GiB of address
/// space, a table 160 KiB.
const CORE_INSTANCES: u32 = 64;
const MEMORIES: u32 = 4;
const TABLES: u32 = 8;

/// Elements of one table; a bundled plugin has a few hundred, SpiderMonkey 7,702.
pub(in crate::plugin_host) const TABLE_ELEMENTS: usize = 20_000;

pub(in crate::plugin_host) struct PluginEngine {
    pub(in crate::plugin_host) engine: Engine,
    /// Permits in front of the pool, which fails instead of waiting when it is full.
    pub(in crate::plugin_host) slots: Arc<Semaphore>,
}

impl PluginEngine {
    /// Falls back to allocation on demand where the address space for the pool can't be had.
    pub(in crate::plugin_host) fn start() -> wasmtime::Result<Self> {
        let engine = match Engine::new(&config(true)) {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!(%error, "no address space for the instance pool, plugins start more slowly; raise `ulimit -v`");
                Engine::new(&config(false))?
            }
        };
        Engine::tls_eager_initialize();
        tick(&engine);
        Ok(Self {
            engine,
            slots: Arc::new(Semaphore::new(INSTANCES as usize)),
        })
    }
}

/// Compiles for that engine and runs nothing: code depends on neither the pool nor the ticks.
pub(in crate::plugin_host) fn compiler() -> wasmtime::Result<Engine> {
    Engine::new(&config(false))
}

fn config(pooled: bool) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true).epoch_interruption(true);
    if pooled {
        let mut pool = PoolingAllocationConfig::new();
        // For each instance as much as one may have, so that the permits in front of the pool are
        // the only limit. Components made from JavaScript or Python consist of 9 to 14 core
        // instances with up to 3 memories and as many tables.
        pool.total_component_instances(INSTANCES)
            .max_core_instances_per_component(CORE_INSTANCES)
            .total_core_instances(INSTANCES * CORE_INSTANCES)
            .max_memories_per_component(MEMORIES)
            .total_memories(INSTANCES * MEMORIES)
            .max_tables_per_component(TABLES)
            .total_tables(INSTANCES * TABLES)
            .total_stacks(INSTANCES)
            .max_memory_size(MEMORY_BYTES)
            .table_elements(TABLE_ELEMENTS)
            // Stays in use after a run, beside what runs have: more than a small guest needs, and
            // no more.
            .linear_memory_keep_resident(512 << 10)
            .async_stack_keep_resident(256 << 10)
            .pagemap_scan(Enabled::Auto);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Holds the engine weakly, so that the thread ends with it.
fn tick(engine: &Engine) {
    let engine = engine.weak();
    let ticker = std::thread::Builder::new()
        .name("plugin-ticks".into())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        });
    if let Err(error) = ticker {
        tracing::error!(%error, "no thread for plugin ticks; plugins that never return can't be interrupted");
    }
}

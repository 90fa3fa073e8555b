//! The machine under a run: the wasmtime engine and its pool, compiled code, memory and the limits
//! of one run. Knows nothing of plugins, policies or versions.

pub(super) mod bundled;
pub(super) mod cache;
pub(super) mod compile;
pub(super) mod digest;
pub(super) mod limits;
pub(super) mod memory;
pub(super) mod pool;

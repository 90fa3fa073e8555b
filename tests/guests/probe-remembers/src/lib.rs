//! Looks for what earlier runs left behind, its own and those of other plugins: in globals, and in
//! memory that was not written to in this run. Then leaves as much as it can for the next.

use std::alloc::{Layout, alloc};
use std::sync::atomic::{AtomicU32, Ordering};

use extrack_plugin::prelude::*;

/// More than the host keeps resident of a memory, so that both ways of clearing it are tried.
const BYTES: usize = 6 << 20;

const MARK: u8 = 0x5a;

static RUNS: AtomicU32 = AtomicU32::new(0);

#[probe]
fn check(_check: &Check) -> Observation {
    let runs_before = RUNS.fetch_add(1, Ordering::Relaxed);
    let layout = Layout::from_size_align(BYTES, 65_536).expect("a plain layout");
    // SAFETY: the layout has a size; what comes back is used for that many bytes. That they are not
    // written yet is the point: a WebAssembly memory has a value in each byte.
    let memory = unsafe { alloc(layout) };
    assert!(!memory.is_null(), "no memory to look at");
    let mut left_behind = 0_u64;
    for offset in 0..BYTES {
        // SAFETY: within what was just allocated.
        unsafe {
            left_behind += u64::from(memory.add(offset).read_volatile() != 0);
            memory.add(offset).write_volatile(MARK);
        }
    }
    Observation::healthy()
        .metric("left_behind", left_behind as i64)
        .metric("runs_before", i64::from(runs_before))
}

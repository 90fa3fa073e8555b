//! Jumps of the wall clock since the start. The scheduler finds them; whatever compares moments of
//! the wall clock reads the sums.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Sums since the start, shared by everything that was made from one value.
#[derive(Debug, Clone, Default)]
pub struct ClockJumps {
    sums: Arc<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    ahead_ms: AtomicI64,
    back_ms: AtomicI64,
}

impl ClockJumps {
    /// Adds a jump; negative: the clock was set back.
    pub fn add(&self, jump_ms: i64) {
        let sum = if jump_ms < 0 {
            &self.sums.back_ms
        } else {
            &self.sums.ahead_ms
        };
        sum.fetch_add(jump_ms.saturating_abs(), Ordering::Relaxed);
    }

    /// Time that the wall clock went through and the program did not: the machine was suspended, or
    /// the clock was set ahead.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(self.sums.ahead_ms.load(Ordering::Relaxed).unsigned_abs())
    }

    /// Returns by how much the wall clock was set back.
    pub fn back_ms(&self) -> i64 {
        self.sums.back_ms.load(Ordering::Relaxed)
    }
}

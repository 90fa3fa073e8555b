//! Where alerting reads the time of day. Waiting is tokio's business; only the meaning of a moment
//! comes from here.

use crate::domain::{self, UnixMillis};

pub trait Clock: Send + Sync + 'static {
    fn now_ms(&self) -> UnixMillis;
}

/// The wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> UnixMillis {
        domain::now_ms()
    }
}

//! What the gateway hands on: calls that ended, and the bytes of answers, of which units are read.

use crate::domain::{Call, CallUnits};

/// Takes the record of each call, in whatever way it ended. Called where a call ends, also when it
/// is dropped: never waits long.
pub trait Calls: Send + Sync + 'static {
    fn record(&self, call: Call);
}

/// Makes readers of what calls use.
pub trait Units: Send + Sync + 'static {
    /// None: nothing is read of such an answer.
    fn reader(
        &self,
        service: &str,
        content_type: Option<&str>,
        encoding: Option<&str>,
    ) -> Option<Box<dyn UnitTap>>;
}

/// Sees the body of one answer as it passes.
pub trait UnitTap: Send {
    fn feed(&mut self, bytes: &[u8]);
    /// Returns what was used. `is_whole`: the body came to its end.
    fn finish(self: Box<Self>, is_whole: bool) -> CallUnits;
}

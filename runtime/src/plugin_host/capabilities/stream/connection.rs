//! The resource behind a connection of the contract.

use crate::net::Stream;

#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection {
    /// Name in recordings: counts connections and sockets in the order of opening, from 1.
    pub(super) number: u32,
    /// `None` in a replay.
    pub(super) stream: Option<Stream>,
}

impl Connection {
    /// A replay answers before this is called.
    pub(super) fn stream(&mut self) -> wasmtime::Result<&mut Stream> {
        self.stream
            .as_mut()
            .ok_or_else(|| wasmtime::Error::msg("a recorded connection leads nowhere"))
    }
}

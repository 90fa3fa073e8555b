//! The resource behind a socket of the contract.

use crate::net::UdpPeer;

#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Socket {
    /// Name in recordings: counts connections and sockets in the order of opening, from 1.
    pub(super) number: u32,
    /// `None` in a replay.
    pub(super) peer: Option<UdpPeer>,
}

impl Socket {
    /// A replay answers before this is called.
    pub(super) fn peer(&mut self) -> wasmtime::Result<&mut UdpPeer> {
        self.peer
            .as_mut()
            .ok_or_else(|| wasmtime::Error::msg("a recorded socket leads nowhere"))
    }
}

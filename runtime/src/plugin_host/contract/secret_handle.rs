//! The resource behind a secret of the contract.

/// The host's side of a handle; never made.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Handle {}

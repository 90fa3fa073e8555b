//! The contract with guests: types generated from `wit/`, and their conversion to domain types and
//! back.

pub(super) mod bindings;
pub(super) mod claims;
pub(super) mod convert;
pub(super) mod figures;
pub(super) mod secret_handle;

//! Decides what a run may do: grants, trust in components, reach of the network, secrets and
//! credentials.

pub(super) mod credentials;
pub(super) mod grants;
pub(super) mod install_error;
pub(super) mod mail_scope;
pub(super) mod reach;
pub(super) mod redaction;
pub(super) mod secrets;
pub(super) mod trust;

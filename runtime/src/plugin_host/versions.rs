//! The versions of plugins: loading and checking a component, installing, rolling back and trying
//! one beside the active version.

pub(super) mod changes;
pub(super) mod check;
pub(super) mod components;
pub(super) mod history;
pub(super) mod install;
pub(super) mod loader;
pub(super) mod local;
pub(super) mod pull;
pub(super) mod shadow;
pub(super) mod staging;
pub(super) mod start;
pub(super) mod sweep;
pub(super) mod trial;

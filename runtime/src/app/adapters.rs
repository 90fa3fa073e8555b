//! Traits of one part fulfilled by another, where neither may know the other: rules and notifiers
//! are run, and plugin versions are kept.

mod alerts;
mod plugins;

pub(super) use plugins::{ControlLog, load_api_policies};

//! Traits of one part fulfilled by another, where neither may know the other: plugin versions are
//! kept.

mod plugins;

pub(super) use plugins::{ControlLog, load_api_policies};

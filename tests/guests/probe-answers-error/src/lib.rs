//! Answers that it can't go on.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Result<Observation, Stop> {
    Err(Stop::Internal("lost my notes".to_owned()))
}

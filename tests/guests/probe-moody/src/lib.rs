//! Traps while its service answers with an error, as a plugin does that never expected one.

use extrack_plugin::prelude::*;

#[probe]
fn check(check: &Check) -> Result<Observation, Stop> {
    let response = http::get(check.service.url("/mood")).send()?;
    assert!(
        response.status < 400,
        "nobody told me of status {}",
        response.status
    );
    Ok(Observation::healthy())
}

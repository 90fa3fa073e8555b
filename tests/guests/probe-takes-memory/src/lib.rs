//! Touches twenty megabytes and then waits for its service: what a component in Python is like for
//! the host.

use extrack_plugin::prelude::*;

#[probe]
fn check(check: &Check) -> Result<Observation, Stop> {
    let taken = std::hint::black_box(vec![1_u8; 20 << 20]);
    let response = http::get(check.service.url("/")).send()?;
    Ok(Observation::healthy()
        .http_status(response.status)
        .metric("taken", taken.len() as i64))
}

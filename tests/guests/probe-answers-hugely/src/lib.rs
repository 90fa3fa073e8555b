//! Answers with megabytes of text and a hundred thousand metrics.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    let mut observation = Observation::unhealthy("far too much ".repeat(400_000));
    for number in 0..100_000_u32 {
        observation = observation.metric(format!("metric_{number}"), number);
    }
    observation
}

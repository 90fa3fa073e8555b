//! Answers with values that fit the types and make no sense.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    Observation::failed(
        Status::Healthy,
        ErrorKind::Plugin,
        "healthy, and yet a failure\0\u{202e}\r\n",
    )
    .latency(Duration::from_secs(u64::MAX / 1_000_000))
    .http_status(u16::MAX)
    .metric("", "nameless")
    .metric("nan", f64::NAN)
    .metric("infinite", f64::NEG_INFINITY)
    .metric("twice", 1)
    .metric("twice", "two")
    .metric("; DROP TABLE observations; --", i64::MIN)
}

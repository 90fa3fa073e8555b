//! Reads and writes moments of RFC 3339 with the SDK.

use extrack_plugin::prelude::*;
use extrack_plugin::time::{parse_rfc3339, rfc3339};

fn read(text: &str) -> Option<u64> {
    parse_rfc3339(text)
}

fn write(unix_ms: u64) -> String {
    rfc3339(unix_ms)
}

#[probe(name = "moments", summary = "Compares two moments")]
fn check(check: &Check) -> Result<Observation, Stop> {
    let answer = http::get(check.service.url("/")).send()?.json()?;
    let at = |name: &str| answer[name].as_str().and_then(read).unwrap_or_default();
    Ok(if at("from") < at("to") {
        Observation::healthy()
    } else {
        Observation::unhealthy(write(at("from")))
    })
}

//! Reaches for hosts that are not allowed. Reports what it got through to; healthy if that is nothing.

use extrack_plugin::prelude::*;

#[probe]
fn check(_check: &Check) -> Observation {
    let mut reached = Vec::new();
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://[::1]:1/",
    ] {
        match http::get(url).send() {
            Err(NetError::Denied(reason)) => log::info(reason),
            other => reached.push(format!(
                "{url}: {:?}",
                other.map(|response| response.status)
            )),
        }
    }
    match stream::connect("10.0.0.1", 22, None) {
        Err(NetError::Denied(reason)) => log::info(reason),
        other => reached.push(format!(
            "10.0.0.1:22: {:?}",
            other.map(|connection| connection.peer())
        )),
    }
    if reached.is_empty() {
        Observation::healthy()
    } else {
        Observation::unhealthy(reached.join("; "))
    }
}

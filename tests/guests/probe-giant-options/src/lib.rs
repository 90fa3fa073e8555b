//! Hands the host a request option whose name has megabytes, again and again: no connection is ever
//! made.

use extrack_plugin::prelude::*;

#[probe]
fn check(check: &Check) -> Observation {
    let url = check.service.url("/");
    let name = "x".repeat(6 << 20);
    loop {
        let _ = http::get(url.as_str()).option(name.as_str(), true).send();
    }
}

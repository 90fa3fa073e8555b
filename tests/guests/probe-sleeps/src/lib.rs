//! Waits for its service in a host call, again and again; give it one that never answers.

use extrack_plugin::prelude::*;

#[probe]
fn check(check: &Check) -> Observation {
    loop {
        let answer = http::get(check.service.url("/"))
            .timeout(Duration::from_secs(3_600))
            .send();
        log::debug(format!("{:?}", answer.map(|response| response.status)));
    }
}

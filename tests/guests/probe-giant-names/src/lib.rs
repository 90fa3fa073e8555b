//! Hands a name of megabytes to every function that takes one. Healthy if each refused it in a few
//! words.

use extrack_plugin::prelude::*;

#[probe]
fn check(check: &Check) -> Observation {
    let giant = "x".repeat(4 << 20);
    let url = check.service.url("/");
    let answers = [
        (
            "method",
            http::Request::new(giant.as_str(), url.as_str())
                .send()
                .map(drop),
        ),
        ("url", http::get(giant.as_str()).send().map(drop)),
        (
            "header",
            http::get(url.as_str())
                .header(giant.as_str(), "x")
                .send()
                .map(drop),
        ),
        (
            "auth",
            http::get(url.as_str())
                .auth(giant.as_str())
                .send()
                .map(drop),
        ),
        (
            "option",
            http::get(url.as_str())
                .option("server-name", giant.as_str())
                .send()
                .map(drop),
        ),
        ("stream", stream::connect(&giant, 80, None).map(drop)),
        ("udp", udp::open(&giant, 80, None).map(drop)),
    ];
    let mut long = Vec::new();
    for (what, answer) in answers {
        match answer {
            Err(error) if error.to_string().len() <= 1_100 => {}
            Err(error) => long.push(format!("{what}: {} bytes", error.to_string().len())),
            Ok(()) => long.push(format!("{what}: it was taken")),
        }
    }
    if long.is_empty() {
        Observation::healthy()
    } else {
        Observation::unhealthy(long.join("; "))
    }
}

//! Tries to set what only the host sets, and to break lines. Healthy if every attempt was denied.

use extrack_plugin::prelude::*;

const HEADERS: [(&str, &str); 16] = [
    ("Host", "elsewhere.example"),
    ("content-length", "0"),
    ("Transfer-Encoding", "chunked"),
    ("transfer-encoding", "identity, chunked"),
    ("TE", "trailers"),
    ("Trailer", "x-late"),
    ("Upgrade", "h2c"),
    ("Connection", "keep-alive, x-key"),
    ("Keep-Alive", "timeout=5"),
    ("Proxy-Authorization", "Basic eDp5"),
    ("Proxy-Connection", "keep-alive"),
    ("Expect", "100-continue"),
    ("X-Key", "a\r\nHost: elsewhere.example"),
    ("X-Key", "a\nX-Admin: yes"),
    ("X-Key", "a\0b"),
    ("X-Key: a\r\nX-Admin", "yes"),
];

#[probe]
fn check(check: &Check) -> Observation {
    let url = check.service.url("/smuggled");
    let mut passed = Vec::new();
    let mut attempt = |what: String, request: http::Request| match request.send() {
        Err(NetError::Denied(_)) => {}
        other => passed.push(format!(
            "{what}: {:?}",
            other.map(|response| response.status)
        )),
    };
    for (name, value) in HEADERS {
        attempt(
            format!("{name:?}: {value:?}"),
            http::post(url.as_str()).header(name, value).body("x"),
        );
    }
    for method in [
        "GET / HTTP/1.1\r\nX-Admin: yes\r\n\r\nGET",
        "GET\n",
        "CONNECT",
    ] {
        attempt(
            format!("{method:?}"),
            http::Request::new(method, url.as_str()),
        );
    }
    for end in [" HTTP/1.1\r\nX-Admin: yes\r\n\r\n", "\r\n", "\t", "\0"] {
        attempt(format!("{end:?}"), http::get(format!("{url}{end}")));
    }
    // The header and the parameter that the credentials set.
    attempt(
        "x-api-key".to_owned(),
        http::get(url.as_str())
            .header("x-API-key", "mine")
            .auth("default"),
    );
    attempt(
        "?key".to_owned(),
        http::get(format!("{url}?k%65y=mine")).auth("query"),
    );
    if passed.is_empty() {
        Observation::healthy()
    } else {
        Observation::unhealthy(passed.join("; "))
    }
}

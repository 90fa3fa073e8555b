use serde_json::json;

use crate::fake::Host;
use crate::net::NetError;
use crate::settings::{NoSettings, Secret, Setting};
use crate::stream::Piece;
use crate::{cel, clock, dns, http, random, stream, udp};

fn recording(calls: serde_json::Value) -> String {
    let context = json!({
        "service": {"slug": "shop-api", "name": "Shop API", "base_url": "https://api.example.com", "attributes": [
            {"key": "health-endpoint", "value": {"Text": "/health"}}
        ]},
        "settings": "{}",
        "timeout_ms": 5000,
        "previous": {"status": "Healthy", "failure": null, "latency_us": 7, "http_status": 200, "metrics": [], "attributes": []},
        "credentials": ["default"],
        "attributes": [],
    });
    json!({"format": 2, "run": {"runId": 7, "tsMs": 1_795_419_800_000u64}, "arguments": [context], "calls": calls})
        .to_string()
}

fn request(url: &str) -> serde_json::Value {
    json!({"method": "GET", "url": url, "headers": [], "body": null, "timeout_ms": null, "auth": "default", "options": []})
}

fn target(port: u16) -> serde_json::Value {
    json!({"host": "a.example", "port": port, "timeout_ms": null, "attributes": []})
}

fn response(body: serde_json::Value) -> serde_json::Value {
    let phases = json!({
        "dns_us": null, "connect_us": 120, "tls_us": null, "first_byte_us": 900, "body_us": 10, "total_us": 1030, "attributes": [],
    });
    json!({"Ok": {
        "status": 503, "version": "HTTP/1.1", "headers": [["retry-after", "5"]], "body": body, "trailers": [], "truncated": false,
        "phases": phases, "peer": "192.0.2.1:443", "certificate": null, "attributes": [],
    }})
}

#[test]
fn a_recorded_run_happens_again() {
    let host = Host::replay(&recording(json!([
        {"function": "clock.now-ms", "request": null, "answer": 42},
        {"function": "http.send", "request": request("https://api.example.com/health"), "answer": response(json!({"utf8": "busy"}))},
        {"function": "http.send", "request": request("https://api.example.com/logo"), "answer": response(json!({"base64": "/wAB+g=="}))},
        {"function": "dns.resolve", "request": {"name": "a.example", "record_type": "A", "server": null, "timeout_ms": null, "attributes": []},
         "answer": {"Err": {"Timeout": "timed out"}}},
        {"function": "cel.evaluate", "request": {"expression": "a == 1", "variables": "{\"b\":2,\"a\":1}"}, "answer": {"Ok": "true"}},
        {"function": "random.bytes", "request": {"count": 2}, "answer": {"utf8": "ab"}},
        {"function": "stream.connect", "request": target(25), "answer": {"Ok": null}},
        {"function": "stream.read", "request": {"connection": 1, "max": 100, "timeout_ms": 50},
         "answer": {"Ok": {"utf8": "220 ready"}}},
        {"function": "stream.write", "request": {"connection": 1, "bytes": {"utf8": "QUIT"}}, "answer": {"Ok": null}},
        {"function": "secrets.length", "request": {"secret": "/key"}, "answer": 9},
        {"function": "stream.write-pieces", "request": {"connection": 1, "pieces": [
            {"utf8": "$9 "}, {"secret": "/key"}, {"encoded": ["me:", {"secret": "/key"}]},
        ]}, "answer": {"Ok": null}},
        {"function": "udp.open", "request": target(123), "answer": {"Ok": null}},
        {"function": "udp.send", "request": {"socket": 2, "datagram": {"utf8": "?"}}, "answer": {"Ok": null}},
        {"function": "udp.receive", "request": {"socket": 2, "max": 48, "timeout_ms": null},
         "answer": {"Err": {"Timeout": "timed out"}}},
    ])));
    let check = host.recorded_check();
    assert_eq!(
        (check.service.slug.as_str(), check.service.health_endpoint()),
        ("shop-api", Some("/health"))
    );
    assert_eq!(check.default_credential(), Some("default"));
    let NoSettings = host.recorded_settings();

    assert_eq!(clock::now_ms(), 42);
    assert_eq!(
        clock::now_ms(),
        1_795_419_800_000,
        "then the moment of the run"
    );
    let send = |path: &str| {
        http::get(check.service.url(path))
            .auth("default")
            .send()
            .unwrap()
    };
    let answer = send("/health");
    assert_eq!(
        (
            answer.status,
            answer.text().as_ref(),
            answer.header("Retry-After")
        ),
        (503, "busy", Some("5"))
    );
    assert_eq!(answer.latency().as_micros(), 1030);
    assert_eq!(send("/logo").body, [0xff, 0, 1, 0xfa]);
    assert_eq!(
        dns::query("a.example", "A").send(),
        Err(NetError::Timeout("timed out".into()))
    );
    assert_eq!(
        cel::evaluate("a == 1", &json!({"a": 1, "b": 2})),
        Ok(json!(true))
    );
    assert_eq!(random::bytes(2), b"ab");
    let mut connection = stream::connect("a.example", 25, None).unwrap();
    let soon = Some(std::time::Duration::from_millis(50));
    assert_eq!(connection.read(100, soon).unwrap(), b"220 ready");
    connection.write(b"QUIT").unwrap();
    let key = Secret::from_json(r#"{"$secret": "/key"}"#).unwrap();
    let length = Piece::from(format!("${} ", key.length()));
    let encoded = Piece::Base64(http::Text::from("me:").secret(&key));
    connection
        .write_pieces([length, Piece::from(&key), encoded])
        .unwrap();
    let socket = udp::open("a.example", 123, None).unwrap();
    socket.send(b"?").unwrap();
    assert_eq!(
        socket.receive(48, None),
        Err(NetError::Timeout("timed out".into()))
    );
}

#[test]
#[should_panic(expected = "the recorded run did not ask `http.send`")]
fn what_was_not_asked_then_fails_the_test() {
    let _host = Host::replay(&recording(json!([
        {"function": "http.send", "request": request("https://api.example.com/health"), "answer": response(json!([]))},
    ])));
    let _ = http::get("https://api.example.com/v2/health")
        .auth("default")
        .send();
}

#[test]
#[should_panic(expected = "its format is 1, this version reads 2")]
fn another_format_is_refused() {
    Host::replay(r#"{"format": 1}"#);
}

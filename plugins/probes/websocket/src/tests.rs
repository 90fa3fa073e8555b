use extrack_plugin::fake::{Host, StreamScript, certificate, tls_session};

use super::*;

/// The key of the fake host's first random bytes.
const KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEA==";

fn opened() -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
        upgrade::accept(KEY)
    )
    .into_bytes()
}

fn run(base_url: &str, settings: &str) -> Observation {
    let settings = Settings::from_json(settings).unwrap();
    match check(&Check::of(base_url), &settings) {
        Ok(observation) | Err(Stop::Found(observation)) => observation,
        Err(other) => panic!("{other:?}"),
    }
}

fn host(target: &str, pieces: &[&[u8]]) -> Host {
    let host = Host::install();
    let session = tls_session(vec![certificate(&["chat.example"], 2_000_000_000)]);
    host.answer_stream(target, StreamScript::reading(pieces).with_tls(session));
    host
}

#[test]
fn the_proof_is_that_of_the_standard() {
    assert_eq!(
        upgrade::accept("dGhlIHNhbXBsZSBub25jZQ=="),
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}

#[test]
fn a_ping_is_answered() {
    // The fake host's random bytes from the 17th on are the payload.
    let pong = b"\x8a\x08\x11\x12\x13\x14\x15\x16\x17\x18";
    let host = host(
        "chat.example:443",
        &[&opened(), b"\x81\x02hi\x89\x01?", pong],
    );
    let observation = run(
        "https://chat.example",
        r#"{"path": "/live", "protocols": ["chat"]}"#,
    );
    assert_eq!(observation.status, Status::Healthy, "{observation:?}");
    assert_eq!(observation.http_status, Some(101));
    let written = host.stream_written();
    let head = String::from_utf8_lossy(&written);
    assert!(
        head.starts_with("GET /live HTTP/1.1\r\nhost: chat.example\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("sec-websocket-key: {KEY}\r\n")),
        "{head}"
    );
    assert!(head.contains("sec-websocket-protocol: chat\r\n"), "{head}");
}

#[test]
fn a_message_is_waited_for() {
    let other = b"\x82\x01x".as_slice();
    let (begin, end) = (b"\x01\x05{\"ok\"".as_slice(), b"\x80\x06:true}".as_slice());
    let _host = host("chat.example:8080", &[&opened(), other, begin, end]);
    let settings = r#"{"send": "status", "expect": "\"ok\":true"}"#;
    let observation = run("ws://chat.example:8080/live?v=1", settings);
    assert_eq!(observation.status, Status::Healthy, "{observation:?}");
}

#[test]
fn another_answer_is_unhealthy() {
    let forged = String::from_utf8(opened())
        .unwrap()
        .replace(&upgrade::accept(KEY), "forged");
    let cases: [(Vec<Vec<u8>>, &str, &str); 7] = [
        (
            vec![b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec()],
            "{}",
            "answer is `HTTP/1.1 404 Not Found`, wanted `101 Switching Protocols`",
        ),
        (
            vec![b"SSH-2.0-OpenSSH\r\n".to_vec()],
            "{}",
            "answer is `SSH-2.0-OpenSSH`, wanted HTTP/1.1",
        ),
        (
            vec![forged.into_bytes()],
            "{}",
            "header `sec-websocket-accept` is `forged`, wanted",
        ),
        (
            vec![opened()],
            r#"{"protocols": ["mqtt"]}"#,
            "header `sec-websocket-protocol` is `chat`, wanted one of `mqtt`",
        ),
        (
            vec![opened(), b"\x88\x07\x03\xf3later".to_vec()],
            "{}",
            "server closed the WebSocket (1011 later), wanted a pong",
        ),
        (
            vec![opened(), b"\x81\x81\x00\x00\x00\x00x".to_vec()],
            "{}",
            "masked",
        ),
        (
            vec![
                opened(),
                b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
            ],
            "{}",
            "which is too long",
        ),
    ];
    for (pieces, settings, wanted) in cases {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        let _host = host("chat.example:80", &pieces);
        let observation = run("ws://chat.example", settings);
        assert_eq!(observation.status, Status::Unhealthy, "{observation:?}");
        assert!(
            observation.message().contains(wanted),
            "{}",
            observation.message()
        );
    }
}

#[test]
fn addresses_are_read() {
    for (base, path, found) in [
        (
            "https://a.example",
            None,
            Some(("a.example", 443, true, "/")),
        ),
        (
            "wss://a.example/x",
            Some("y?z=1"),
            Some(("a.example", 443, true, "/x/y?z=1")),
        ),
        (
            "https://a.example",
            Some("ws://b.example:81/c#d"),
            Some(("b.example", 81, false, "/c")),
        ),
        ("http://[::1]:82", None, Some(("::1", 82, false, "/"))),
        ("a.example:80", None, None),
        ("ftp://a.example", None, None),
        ("http://a.example", Some("a b"), None),
    ] {
        let address = Address::of(base, path).ok();
        let wanted = found.map(|(host, port, is_secure, path)| Address {
            host: host.to_owned(),
            port,
            is_secure,
            path: path.to_owned(),
        });
        assert_eq!(address, wanted, "{base} {path:?}");
    }
}

#[test]
fn headers_of_the_handshake_are_its_own() {
    for headers in [
        r#"{"Host": "x"}"#,
        r#"{"x": "a\r\nb: c"}"#,
        r#"{"Sec-WebSocket-Key": "x"}"#,
    ] {
        let settings = Settings::from_json(&format!(r#"{{"headers": {headers}}}"#)).unwrap();
        assert_eq!(check_settings(&settings).len(), 1, "{headers}");
    }
}

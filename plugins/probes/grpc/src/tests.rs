use extrack_plugin::fake::{Host, certificate, response};

use super::*;

const BASE: &str = "https://shop.example:8443";
const URL: &str = "POST https://shop.example:8443/grpc.health.v1.Health/Check";

fn run(base_url: &str, settings: &str) -> Observation {
    let settings = Settings::from_json(settings).unwrap();
    match check(&Check::of(base_url), &settings) {
        Ok(observation) | Err(Stop::Found(observation)) => observation,
        Err(other) => panic!("{other:?}"),
    }
}

/// A message with its prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, message.len() as u8], message].concat()
}

#[test]
fn a_serving_server_is_healthy() {
    let host = Host::install();
    let mut answer = response(200, framed(&[8, 1])).with_trailer("grpc-status", "0");
    answer.certificate = Some(certificate(&["shop.example"], 2_000_000_000));
    host.answer_http(URL, answer);
    let observation = run(
        BASE,
        r#"{"service": "cart", "metadata": {"x-key": "s3cret"}, "auth": "default", "deadline": "2s"}"#,
    );
    assert_eq!(observation.status, Status::Healthy, "{observation:?}");
    assert_eq!(observation.metrics[0].key, "certificate_days_left");
    let [request] = &host.http_requests()[..] else {
        panic!("one request is made")
    };
    assert_eq!(request.header("content-type"), Some("application/grpc"));
    assert_eq!(request.header("grpc-timeout"), Some("2000m"));
    assert_eq!(request.header("x-key"), Some("s3cret"));
    assert_eq!(request.auth.as_deref(), Some("default"));
    assert_eq!(request.timeout_ms, Some(2_000));
    let options: Vec<&str> = request
        .options
        .iter()
        .map(|option| option.key.as_str())
        .collect();
    assert_eq!(options, ["http2", "trailers"]);
    assert_eq!(request.body.as_deref(), Some(&framed(b"\n\x04cart")[..]));
}

#[test]
fn the_address_says_where_to_ask_and_whether_by_tls() {
    for (base_url, settings, url) in [
        ("http://a.example:50051", "{}", "http://a.example:50051"),
        ("grpc://a.example", "{}", "http://a.example:80"),
        ("GRPCS://a.example", "{}", "https://a.example:443"),
        ("a.example:50051", "{}", "http://a.example:50051"),
        (
            "a.example:50051",
            r#"{"tls": true}"#,
            "https://a.example:50051",
        ),
        (
            "https://a.example/shop",
            r#"{"target": "[::1]:1"}"#,
            "http://[::1]:1",
        ),
    ] {
        let host = Host::install();
        let answer = response(200, framed(&[8, 1])).with_trailer("grpc-status", "0");
        host.answer_http(&format!("POST {url}/grpc.health.v1.Health/Check"), answer);
        assert_eq!(
            run(base_url, settings).status,
            Status::Healthy,
            "{base_url}"
        );
        // No service is an empty message.
        assert_eq!(host.http_requests()[0].body.as_deref(), Some(&[0; 5][..]));
    }
}

#[test]
fn each_way_to_fail_has_its_kind_and_text() {
    let ok = |body: &[u8]| response(200, body).with_trailer("grpc-status", "0");
    // Answers without a body have their status among the headers.
    let status = |code: &str, text: &str| {
        response(200, "")
            .with_header("grpc-status", code)
            .with_header("grpc-message", text)
    };
    for (answer, wanted, kind, text) in [
        (
            ok(&framed(&[8, 2])),
            Status::Unhealthy,
            ErrorKind::Assertion,
            "service `cart` is NOT_SERVING, wanted SERVING",
        ),
        (
            ok(&framed(&[])),
            Status::Unhealthy,
            ErrorKind::Assertion,
            "service `cart` is UNKNOWN, wanted SERVING",
        ),
        (
            status("5", "unknown%20service"),
            Status::Unhealthy,
            ErrorKind::Assertion,
            "server does not know service `cart` (NOT_FOUND: unknown service)",
        ),
        (
            status("12", ""),
            Status::Unhealthy,
            ErrorKind::Assertion,
            "server has no `grpc.health.v1.Health`, which reports its health (UNIMPLEMENTED)",
        ),
        (
            status("4", ""),
            Status::Error,
            ErrorKind::Timeout,
            "DEADLINE_EXCEEDED",
        ),
        (
            status("14", "100%"),
            Status::Unhealthy,
            ErrorKind::Assertion,
            "status of the call is UNAVAILABLE: 100%, wanted OK",
        ),
        (
            response(404, "not here"),
            Status::Unhealthy,
            ErrorKind::Assertion,
            "answer of HTTP status 404 has no `grpc-status`, wanted one of gRPC",
        ),
        (
            ok(&[0, 0]),
            Status::Error,
            ErrorKind::Protocol,
            "the answer has no message",
        ),
        (
            ok(&[1, 0, 0, 0, 0]),
            Status::Error,
            ErrorKind::Protocol,
            "the answer is compressed, which was not asked for",
        ),
        (
            ok(&[0, 0, 0, 0, 9, 8]),
            Status::Error,
            ErrorKind::Protocol,
            "the message of the answer is shorter than it says",
        ),
        (
            ok(&framed(&[0x0b])),
            Status::Error,
            ErrorKind::Protocol,
            "the message of the answer is no `HealthCheckResponse`",
        ),
    ] {
        let host = Host::install();
        host.answer_http(URL, answer);
        let observation = run(BASE, r#"{"service": "cart"}"#);
        assert_eq!((observation.status, observation.message()), (wanted, text));
        assert_eq!(observation.kind(), Some(kind), "{text}");
    }
}

#[test]
fn fields_that_are_not_known_are_skipped() {
    for message in [
        &[0x10, 0x96, 0x01, 8, 1][..],
        &[0x1a, 2, b'h', b'i', 8, 1],
        &[8, 2, 8, 1],
        &[0x25, 1, 2, 3, 4, 8, 1],
        &[0x29, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1],
    ] {
        assert_eq!(
            message::serving_status(&framed(message)),
            Ok("SERVING"),
            "{message:?}"
        );
    }
    let endless = [0xff; 11];
    assert!(message::serving_status(&framed(&endless)).is_err());
}

#[test]
fn a_long_name_has_a_long_length() {
    let request = message::request(&"a".repeat(300));
    assert_eq!(request[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
}

#[test]
fn settings_that_can_not_work_are_faults() {
    let settings =
        r#"{"target": "https://", "metadata": {"X-Key": "a", "grpc-timeout": "b", "x-key": "c"}}"#;
    let faults = check_settings(&Settings::from_json(settings).unwrap());
    let places: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        places,
        ["/target", "/metadata/X-Key", "/metadata/grpc-timeout"]
    );
}

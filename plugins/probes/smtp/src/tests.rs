use extrack_plugin::fake::{Host, StreamScript, certificate, tls_session};

use super::*;

const BANNER: &str = "220 mx.example ESMTP ready\r\n";
const PLAIN: &str = "250-mx.example\r\n250-SIZE 1000\r\n250-STARTTLS\r\n250 HELP\r\n";
const SECURE: &str = "250-mx.example\r\n250 AUTH PLAIN LOGIN\r\n";

fn run(settings: &str) -> Observation {
    let settings = Settings::from_json(settings).unwrap();
    match check(&Check::of("mx.example"), &settings) {
        Ok(observation) | Err(Stop::Found(observation)) => observation,
        Err(other) => panic!("{other:?}"),
    }
}

/// A server that speaks so; its certificate has so many days left.
fn host(target: &str, replies: &[&str], days: i64) -> Host {
    let host = Host::install();
    let until = (host.now_ms() / 1_000) as i64 + days * 86_400 + 60;
    let script = StreamScript::reading(replies)
        .with_tls(tls_session(vec![certificate(&["mx.example"], until)]));
    host.answer_stream(target, script);
    host
}

fn metric(observation: &Observation, key: &str) -> Option<Value> {
    let mut metrics = observation.metrics.iter();
    metrics
        .find(|entry| entry.key == key)
        .map(|entry| entry.value.clone())
}

#[test]
fn speaks_up_to_the_end_and_measures() {
    let replies = [BANNER, PLAIN, "220 go ahead\r\n", SECURE, "221 bye\r\n"];
    let host = host("mx.example:25", &replies, 60);
    let observation = run(r#"{"auth": ["plain"]}"#);
    assert_eq!(observation.status, Status::Healthy, "{observation:?}");
    assert_eq!(
        String::from_utf8(host.stream_written()).unwrap(),
        "EHLO [127.0.0.1]\r\nSTARTTLS\r\nEHLO [127.0.0.1]\r\nQUIT\r\n"
    );
    for (key, value) in [
        ("banner", Value::from("mx.example ESMTP ready")),
        ("auth", Value::from("PLAIN LOGIN")),
        ("certificate_days_left", Value::from(60)),
    ] {
        assert_eq!(metric(&observation, key), Some(value), "{key}");
    }
}

#[test]
fn other_ways_of_tls() {
    let replies = [BANNER, SECURE, "221 bye\r\n"];
    let _implicit = host("mx.example:465", &replies, 60);
    let observation = run(r#"{"tls": "implicit"}"#);
    assert_eq!(observation.status, Status::Healthy, "{observation:?}");
    assert!(metric(&observation, "protocol").is_some());
    let _plain = host("mx.example:25", &replies, 60);
    let observation = run(r#"{"tls": "none"}"#);
    assert_eq!(observation.status, Status::Healthy, "{observation:?}");
    assert_eq!(metric(&observation, "protocol"), None);
}

#[test]
fn a_password_goes_over_tls_and_has_to_be_taken() {
    for (answer, status, message) in [
        ("235 welcome\r\n", Status::Healthy, ""),
        (
            "535 no\r\n",
            Status::Unhealthy,
            "answer to AUTH is `535 no`, wanted 235",
        ),
    ] {
        let replies = [
            BANNER,
            PLAIN,
            "220 go ahead\r\n",
            SECURE,
            answer,
            "221 bye\r\n",
        ];
        let host = host("mx.example:25", &replies, 60);
        let observation = run(r#"{"username": "me", "password": "secret"}"#);
        assert_eq!(
            (observation.status, observation.message()),
            (status, message)
        );
        let written = String::from_utf8(host.stream_written()).unwrap();
        // `\0me\0secret`
        assert!(
            written.contains("\r\nAUTH PLAIN AG1lAHNlY3JldA==\r\n"),
            "{written}"
        );
    }
}

#[test]
fn what_is_missing_is_named() {
    let go = "220 go ahead\r\n";
    for (replies, settings, status, message) in [
        (
            vec!["554 no service here\r\n"],
            "{}",
            Status::Unhealthy,
            "answer to the connection is `554 no service here`, wanted 220",
        ),
        (
            vec!["HTTP/1.1 400 Bad Request\r\n"],
            "{}",
            Status::Unhealthy,
            "answer is `HTTP/1.1 400 Bad Request`, wanted SMTP",
        ),
        (
            vec![BANNER, SECURE],
            "{}",
            Status::Unhealthy,
            "server does not offer STARTTLS; if that is meant, set `tls: none`",
        ),
        (
            vec![BANNER, PLAIN, "454 TLS not available\r\n"],
            "{}",
            Status::Unhealthy,
            "answer to STARTTLS is `454 TLS not available`, wanted 220",
        ),
        (
            vec![BANNER, PLAIN, go, SECURE],
            r#"{"auth": ["XOAUTH2"]}"#,
            Status::Unhealthy,
            "offered for authentication is `PLAIN LOGIN`, wanted `XOAUTH2`",
        ),
        (
            vec![BANNER, PLAIN, go, SECURE],
            r#"{"warnDays": 90}"#,
            Status::Degraded,
            "certificate has 60 days left, wanted at least 90",
        ),
        (
            vec![BANNER, PLAIN, "220 go ahead\r\n250 forged\r\n"],
            "{}",
            Status::Error,
            "the server sent more before the TLS handshake than it was asked for",
        ),
        (
            vec![],
            "{}",
            Status::Error,
            "the server closed the connection without an answer",
        ),
    ] {
        let _host = host("mx.example:25", &replies, 60);
        let observation = run(settings);
        assert_eq!(
            (observation.status, observation.message()),
            (status, message)
        );
    }
}

#[test]
fn what_can_not_work_is_found_when_it_is_saved() {
    for (settings, path) in [
        (r#"{"hello": "a b"}"#, "/hello"),
        (r#"{"target": "::"}"#, "/target"),
        (r#"{"username": "me"}"#, "/username"),
        (
            r#"{"username": "me", "password": "secret", "tls": "none"}"#,
            "/tls",
        ),
    ] {
        let faults = check_settings(&Settings::from_json(settings).unwrap());
        assert_eq!(faults[0].path, path);
    }
}

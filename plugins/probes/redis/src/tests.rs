use extrack_plugin::fake::{Host, StreamScript, certificate, tls_session};

use super::*;

fn run(base_url: &str, settings: &str) -> Observation {
    let settings = Settings::from_json(settings).unwrap();
    match check(&Check::of(base_url), &settings) {
        Ok(observation) | Err(Stop::Found(observation)) => observation,
        Err(other) => panic!("{other:?}"),
    }
}

fn host(target: &str, answers: &[&str]) -> Host {
    let host = Host::install();
    let session = tls_session(vec![certificate(&["cache.example"], 2_000_000_000)]);
    host.answer_stream(target, StreamScript::reading(answers).with_tls(session));
    host
}

#[test]
fn a_pong_is_healthy() {
    for (base_url, settings, target, is_secure) in [
        ("cache.example", "{}", "cache.example:6379", false),
        (
            "redis://cache.example:6380/0",
            "{}",
            "cache.example:6380",
            false,
        ),
        ("rediss://cache.example", "{}", "cache.example:6379", true),
        (
            "cache.example:7000",
            r#"{"tls": true}"#,
            "cache.example:7000",
            true,
        ),
        (
            "https://shop.example",
            r#"{"target": "cache:1"}"#,
            "cache:1",
            false,
        ),
    ] {
        let host = host(target, &["+PO", "NG\r\n"]);
        let observation = run(base_url, settings);
        assert_eq!(observation.status, Status::Healthy, "{observation:?}");
        assert_eq!(host.stream_written(), b"*1\r\n$4\r\nPING\r\n");
        let has_days = observation
            .metrics
            .iter()
            .any(|entry| entry.key == "certificate_days_left");
        assert_eq!(has_days, is_secure, "{base_url}");
    }
}

#[test]
fn another_answer_is_unhealthy() {
    for (answer, message) in [
        (
            "-NOAUTH Authentication required.\r\n",
            "answer to PING is `-NOAUTH Authentication required.`, wanted `+PONG`",
        ),
        (
            "-LOADING Redis is loading the dataset in memory\r\n",
            "answer to PING is `-LOADING Redis is loading the dataset in memory`, wanted `+PONG`",
        ),
    ] {
        let _host = host("cache.example:6379", &[answer]);
        let observation = run("cache.example", "{}");
        assert_eq!(
            (observation.status, observation.message()),
            (Status::Unhealthy, message)
        );
    }
    let _host = host("cache.example:6379", &[]);
    let observation = run("cache.example", "{}");
    assert_eq!(
        (observation.status, observation.message()),
        (
            Status::Error,
            "the server closed the connection without an answer"
        )
    );
}

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

#[test]
fn a_password_is_sent_before_the_ping() {
    for (settings, auth) in [
        (
            r#"{"password": "p\u00e4ss"}"#,
            "*2\r\n$4\r\nAUTH\r\n$5\r\np\u{e4}ss\r\n",
        ),
        (
            r#"{"username": "app", "password": "s3 cr\"t"}"#,
            "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$7\r\ns3 cr\"t\r\n",
        ),
    ] {
        let host = host("cache.example:6379", &["+OK\r\n", "+PONG\r\n"]);
        let observation = run("cache.example", settings);
        assert_eq!(observation.status, Status::Healthy, "{observation:?}");
        let wanted = format!("{auth}*1\r\n$4\r\nPING\r\n");
        assert_eq!(String::from_utf8(host.stream_written()).unwrap(), wanted);
    }
}

#[test]
fn a_password_that_is_not_taken_is_unhealthy() {
    let _host = host(
        "cache.example:6379",
        &["-WRONGPASS invalid username-password pair\r\n"],
    );
    let observation = run("cache.example", r#"{"password": "secret"}"#);
    assert_eq!(observation.status, Status::Unhealthy);
    assert_eq!(
        observation.message(),
        "answer to AUTH is `-WRONGPASS invalid username-password pair`, wanted `+OK`"
    );
}

#[test]
fn a_user_without_a_password_is_a_fault() {
    let settings = Settings::from_json(r#"{"username": "app"}"#).unwrap();
    let faults = check_settings(&settings);
    assert_eq!(faults[0].path, "/username");
}

//! The probe `tcp`: does somebody answer at this port, and with what?

use extrack_plugin::prelude::*;

/// An answer that is longer than this without the text wanted will not have it.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Longest part of an answer that is shown in a message.
const SHOWN_CHARACTERS: usize = 80;

#[derive(Settings)]
struct Settings {
    /// `host:port`, in place of the base URL's.
    #[setting(host)]
    target: Option<String>,
    /// Port, in place of the base URL's.
    #[setting(port, min = 1)]
    port: Option<u16>,
    /// Text to send once the connection is open.
    send: Option<String>,
    /// Text that has to come back.
    expect: Option<String>,
    /// Slower than this is `degraded`.
    degraded_over: Option<Duration>,
}

#[probe(check_settings = check_settings)]
fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let (host, port) = target(check, settings)?;
    let start_us = clock::monotonic_us();
    let mut connection = stream::connect(&host, port, None)?;
    if let Some(text) = &settings.send {
        connection.write(text.as_bytes())?;
    }
    if let Some(wanted) = &settings.expect {
        let read = connection.read_until(wanted.as_bytes(), MAX_ANSWER_BYTES)?;
        let answer = String::from_utf8_lossy(&read);
        if !answer.contains(wanted.as_str()) {
            return Ok(Observation::unhealthy(format!(
                "answer is {}, wanted one with `{}` in it",
                shown(&answer),
                wanted.trim()
            )));
        }
    }
    let took = Duration::from_micros(clock::monotonic_us() - start_us);
    Ok(Observation::healthy().unless_over(settings.degraded_over, took))
}

fn target(check: &Check, settings: &Settings) -> Result<(String, u16), Stop> {
    let parsed = match &settings.target {
        Some(target) => extrack_plugin::url::host_and_port(target),
        None => check.service.host_and_port(),
    };
    match parsed {
        Some((host, port)) => match settings.port.or(port) {
            Some(port) => Ok((host, port)),
            None => Err(Stop::Settings(format!(
                "`{}` names no port; add it, or set `port`",
                check.service.base_url
            ))),
        },
        None => Err(Stop::Settings(format!(
            "`{}` names no host; set `target` to `host:port`",
            check.service.base_url
        ))),
    }
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(target) = &settings.target {
        let has_port = extrack_plugin::url::host_and_port(target)
            .is_some_and(|(_, port)| port.or(settings.port).is_some());
        if !has_port {
            faults.push(Fault::new(
                "/target",
                format!("is `{target}`, wanted `host:port`"),
            ));
        }
    }
    faults
}

fn shown(answer: &str) -> String {
    if answer.is_empty() {
        return "empty".to_owned();
    }
    let shown: String = answer
        .trim()
        .chars()
        .take(SHOWN_CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, StreamScript};

    use super::*;

    fn run(base_url: &str, settings: &str) -> Result<Observation, Stop> {
        check(
            &Check::of(base_url),
            &Settings::from_json(settings).unwrap(),
        )
    }

    #[test]
    fn an_open_port_is_healthy() {
        for (base_url, settings, target) in [
            ("mail.example.com:25", "{}", "mail.example.com:25"),
            ("https://api.example.com/v1", "{}", "api.example.com:443"),
            (
                "https://api.example.com",
                r#"{"port": 8443}"#,
                "api.example.com:8443",
            ),
            (
                "https://api.example.com",
                r#"{"target": "db.example.com:5432"}"#,
                "db.example.com:5432",
            ),
        ] {
            let host = Host::install();
            host.answer_stream(target, StreamScript::default());
            assert_eq!(
                run(base_url, settings).unwrap().status,
                Status::Healthy,
                "{target}"
            );
        }
    }

    #[test]
    fn talks_and_listens() {
        let host = Host::install();
        host.answer_stream("cache:6379", StreamScript::reading(&["+PO", "NG\r\n"]));
        let observation = run("cache:6379", r#"{"send": "PING\r\n", "expect": "+PONG"}"#).unwrap();
        assert_eq!(observation.status, Status::Healthy);
        assert_eq!(host.stream_written(), b"PING\r\n");
    }

    #[test]
    fn another_answer_is_unhealthy() {
        for (reads, message) in [
            (
                vec!["-NOAUTH\r\n"],
                "answer is `-NOAUTH`, wanted one with `+PONG` in it",
            ),
            (vec![], "answer is empty, wanted one with `+PONG` in it"),
        ] {
            let host = Host::install();
            host.answer_stream("cache:6379", StreamScript::reading(&reads));
            let observation = run("cache:6379", r#"{"expect": "+PONG"}"#).unwrap();
            assert_eq!(
                (observation.status, observation.kind()),
                (Status::Unhealthy, Some(ErrorKind::Assertion))
            );
            assert_eq!(observation.message(), message);
        }
    }

    #[test]
    fn a_closed_port_is_an_error() {
        let host = Host::install();
        host.answer_stream("cache:6379", NetError::Connect("refused".to_owned()));
        let Err(Stop::Found(observation)) = run("cache:6379", "{}") else {
            panic!("wanted an observation")
        };
        assert_eq!(
            (observation.status, observation.kind()),
            (Status::Error, Some(ErrorKind::Connect))
        );
    }

    #[test]
    fn says_that_a_port_is_missing() {
        let _host = Host::install();
        assert!(matches!(run("cache", "{}"), Err(Stop::Settings(text)) if text.contains("`port`")));
        let faults = check_settings(&Settings::from_json(r#"{"target": "cache"}"#).unwrap());
        assert_eq!(faults[0].path, "/target");
    }
}

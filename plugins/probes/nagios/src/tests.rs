use extrack_plugin::fake::{Host, finished};

use super::*;

const PROGRAM: &str = r#"{"program": "/opt/check_it", "arguments": ["-H", "{host}", "-w", "5"]}"#;

fn run(code: i32, output: &str) -> Observation {
    let host = Host::install();
    host.answer_program("/opt/check_it -H a.example -w 5", finished(code, output));
    let settings = Settings::from_json(PROGRAM).unwrap();
    check(&Check::of("https://a.example:8443"), &settings).unwrap()
}

#[test]
fn the_code_decides_and_the_first_line_is_the_message() {
    for (code, output, status, kind, message) in [
        (0, "OK - 4 ms\n", Status::Healthy, None, ""),
        (
            1,
            "WARNING - 80 % used | used=80%;80;90\nmore\n",
            Status::Degraded,
            Some(ErrorKind::Assertion),
            "WARNING - 80 % used",
        ),
        (
            2,
            "CRITICAL: down",
            Status::Unhealthy,
            Some(ErrorKind::Assertion),
            "CRITICAL: down",
        ),
        (
            3,
            "",
            Status::Error,
            Some(ErrorKind::Plugin),
            "it wrote nothing",
        ),
        (
            127,
            "",
            Status::Error,
            Some(ErrorKind::Plugin),
            "ended with code 127, wanted 0 to 3: it wrote nothing",
        ),
    ] {
        let observation = run(code, output);
        assert_eq!(observation.status, status, "{code}");
        assert_eq!(observation.kind(), kind, "{code}");
        assert_eq!(observation.message(), message);
        assert_eq!(observation.latency, Some(Duration::from_millis(30)));
    }
}

#[test]
fn what_was_written_as_an_error_is_the_message_where_there_is_no_other() {
    let found = Finished {
        errors: "check_it: no such host\n".to_owned(),
        ..finished(3, "\n")
    };
    assert_eq!(message(&found), "check_it: no such host");
}

#[test]
fn a_program_that_is_not_allowed_is_an_error_with_its_remedy() {
    let host = Host::install();
    let refused = NetError::Denied("name its exact path in `EXTRACK_PROGRAMS`".to_owned());
    host.answer_program("/opt/check_it -H  -w 5", refused);
    let settings = Settings::from_json(PROGRAM).unwrap();
    let Err(Stop::Found(observation)) = check(&Check::of(""), &settings) else {
        panic!("wanted an observation")
    };
    assert_eq!(observation.kind(), Some(ErrorKind::Denied));
    let relative = Settings::from_json(r#"{"program": "check_it"}"#).unwrap();
    assert_eq!(check_settings(&relative)[0].path, "/program");
}

#[test]
fn performance_data_is_read_in_basic_units() {
    for (output, wanted) in [
        ("OK", vec![]),
        ("OK | time=0.5s;1;2;0;10", vec![("time_s", 0.5)]),
        (
            "OK|rta=12.5ms;; pl=0%;20;60",
            vec![("rta_s", 0.0125), ("pl_percent", 0.0)],
        ),
        (
            "OK | /=2MB;3;4 '/var log'=1KB",
            vec![("root_bytes", 2_097_152.0), ("var_log_bytes", 1024.0)],
        ),
        (
            "OK | 'it''s'=-3c users=7;;",
            vec![("it_s", -3.0), ("users", 7.0)],
        ),
        (
            "OK | a=1\nlong text\nmore | b=2\nc=3",
            vec![("a", 1.0), ("b", 2.0), ("c", 3.0)],
        ),
        ("OK | a=U b=nan =3 c d=4 a=5", vec![("d", 4.0), ("a", 5.0)]),
        ("OK | 'open=1 b=2", vec![("b", 2.0)]),
    ] {
        let wanted: Vec<(String, f64)> = wanted
            .into_iter()
            .map(|(name, value): (&str, f64)| (name.to_owned(), value))
            .collect();
        assert_eq!(performance::figures(output), wanted, "{output}");
    }
    let many: String = (0..80).map(|number| format!(" n{number}=1")).collect();
    assert_eq!(performance::figures(&format!("OK |{many}")).len(), 50);
}

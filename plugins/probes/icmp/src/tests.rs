use extrack_plugin::fake::{Host, echoes};

use super::*;

fn run(base_url: &str, settings: &str) -> Result<Observation, Stop> {
    check(
        &Check::of(base_url),
        &Settings::from_json(settings).unwrap(),
    )
}

fn metrics(observation: &Observation) -> Vec<(String, String)> {
    let metrics = observation.metrics.iter();
    metrics
        .map(|entry| (entry.key.clone(), format!("{:?}", entry.value)))
        .collect()
}

#[test]
fn the_host_is_that_of_the_base_url_or_of_the_setting() {
    for (base_url, settings, asked) in [
        ("https://api.example.com:8443/v1", "{}", "api.example.com"),
        ("api.example.com", "{}", "api.example.com"),
        ("https://a.example", r#"{"host": "10.0.0.1"}"#, "10.0.0.1"),
        ("https://a.example", r#"{"host": "fd00::1"}"#, "fd00::1"),
        ("https://[fd00::1]/x", "{}", "fd00::1"),
    ] {
        let host = Host::install();
        host.answer_icmp(asked, echoes(&[Some(1.0)]));
        let observation = run(base_url, settings).unwrap();
        assert_eq!(observation.status, Status::Healthy, "{asked}");
    }
}

#[test]
fn what_was_measured_are_metrics() {
    let host = Host::install();
    host.answer_icmp(
        "a.example",
        echoes(&[Some(10.0), None, Some(14.0), Some(12.0)]),
    );
    let observation = run("https://a.example", "{}").unwrap();
    let wanted: [(&str, Value); 7] = [
        ("sent", 4.into()),
        ("received", 3.into()),
        ("loss_percent", 25.0.into()),
        ("min_ms", 10.0.into()),
        ("avg_ms", 12.0.into()),
        ("max_ms", 14.0.into()),
        ("jitter_ms", 3.0.into()),
    ];
    let wanted: Vec<(String, String)> = wanted
        .into_iter()
        .map(|(key, value)| (key.to_owned(), format!("{value:?}")))
        .collect();
    assert_eq!(metrics(&observation), wanted);
    assert_eq!(observation.latency, Some(Duration::from_millis(12)));
}

#[test]
fn loss_and_latency_are_judged_by_the_limits() {
    let (some, none) = (Some(20.0), None);
    for (answers, settings, status, message) in [
        (vec![some; 4], "{}", Status::Healthy, ""),
        (
            vec![some, none, some, some],
            "{}",
            Status::Degraded,
            "1 of 4 echo requests had no answer (25 %), wanted at most 0 %",
        ),
        (
            vec![some, none, some, some],
            r#"{"warnLoss": 25}"#,
            Status::Healthy,
            "",
        ),
        (
            vec![none, none, none, some],
            "{}",
            Status::Unhealthy,
            "3 of 4 echo requests had no answer (75 %), wanted at most 50 %",
        ),
        (
            vec![none; 2],
            r#"{"warnLoss": 100, "criticalLoss": 100}"#,
            Status::Unhealthy,
            "2 of 2 echo requests had no answer (100 %), wanted at most 100 %",
        ),
        (
            vec![some; 2],
            r#"{"degradedOver": "10ms"}"#,
            Status::Degraded,
            "took 20 ms, wanted at most 10ms",
        ),
        (
            vec![some; 2],
            r#"{"unhealthyOver": "10ms"}"#,
            Status::Unhealthy,
            "took 20.0 ms on average, wanted at most 10ms",
        ),
    ] {
        let host = Host::install();
        host.answer_icmp("a.example", echoes(&answers));
        let observation = run("https://a.example", settings).unwrap();
        assert_eq!(observation.status, status, "{settings}");
        assert_eq!(observation.message(), message);
    }
}

#[test]
fn a_refusal_is_an_error_with_its_remedy() {
    let host = Host::install();
    let refused = NetError::Denied("the system lets this program send none".to_owned());
    host.answer_icmp("a.example", refused);
    let Err(Stop::Found(observation)) = run("https://a.example", "{}") else {
        panic!("wanted an observation")
    };
    assert_eq!(
        (observation.status, observation.kind()),
        (Status::Error, Some(ErrorKind::Denied))
    );
    assert!(observation.message().contains("the system lets"));
}

#[test]
fn settings_that_can_not_work_are_faults() {
    for (settings, path) in [
        (r#"{"interval": "1ms"}"#, "/interval"),
        (r#"{"warnLoss": 60}"#, "/criticalLoss"),
        (r#"{"host": ":1:x"}"#, "/host"),
    ] {
        let faults = check_settings(&Settings::from_json(settings).unwrap());
        assert_eq!(faults.len(), 1, "{settings}");
        assert_eq!(faults[0].path, path);
    }
}

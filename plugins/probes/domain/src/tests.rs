use extrack_plugin::fake::{Host, response};
use extrack_plugin::json::json;
use extrack_plugin::value;

use super::*;

const URL: &str = "GET https://rdap.org/domain/example.com";

fn settings(text: &str) -> Settings {
    Settings::from_json(text).unwrap()
}

fn run(base_url: &str, text: &str) -> Observation {
    match check(&Check::of(base_url), &settings(text)) {
        Ok(observation) | Err(Stop::Found(observation)) => observation,
        Err(other) => panic!("{other:?}"),
    }
}

/// A registration as registries describe it, which ends at a moment if there is one.
fn registration_until(expires: Option<&str>, states: &[&str]) -> String {
    let mut events = vec![
        json!({"eventAction": "registration", "eventDate": "1995-08-14T04:00:00Z"}),
        json!({"eventAction": "last update of RDAP database", "eventDate": "2026-01-01T00:00:00Z"}),
    ];
    events.extend(expires.map(|date| json!({"eventAction": "expiration", "eventDate": date})));
    json!({
        "objectClassName": "domain", "handle": "1_DOMAIN_COM", "ldhName": "EXAMPLE.COM", "status": states, "events": events,
        "entities": [
            {"objectClassName": "entity", "roles": ["technical"]},
            {"objectClassName": "entity", "roles": ["registrar"], "vcardArray": ["vcard", [
                ["version", {}, "text", "4.0"], ["fn", {}, "text", "A Registrar"],
            ]]},
        ],
    })
    .to_string()
}

fn text(observation: &Observation, name: &str) -> String {
    value::text(&observation.metrics, name).unwrap().to_owned()
}

#[test]
fn the_days_that_are_left_decide() {
    // The host's clock stands at 2026-01-01T00:00:00Z.
    for (expires, states, status, days, said) in [
        (
            "2026-08-13T04:00:00Z",
            &["client transfer prohibited"][..],
            Status::Healthy,
            224,
            "",
        ),
        ("2026-01-31T00:00:00Z", &[], Status::Healthy, 30, ""),
        (
            "2026-01-30T23:59:59Z",
            &[],
            Status::Degraded,
            29,
            "the registration of `example.com` ends in 29 days, on 2026-01-30T23:59:59.000Z, wanted at least 30",
        ),
        (
            "2026-01-05T00:00:00Z",
            &[],
            Status::Unhealthy,
            4,
            "the registration of `example.com` ends in 4 days, on 2026-01-05T00:00:00.000Z, wanted at least 7",
        ),
        (
            "2025-12-31T23:00:00Z",
            &[],
            Status::Unhealthy,
            -1,
            "the registration of `example.com` ended on 2025-12-31T23:00:00.000Z",
        ),
        (
            "2026-08-13T04:00:00Z",
            &["active", "Pending Delete"],
            Status::Unhealthy,
            224,
            "the registration of `example.com` is in state `pending delete`",
        ),
    ] {
        let host = Host::install();
        host.answer_http(
            URL,
            response(200, registration_until(Some(expires), states)),
        );
        let observation = run("https://example.com", r#"{"criticalDays": 7}"#);
        assert_eq!(
            (observation.status, observation.message()),
            (status, said),
            "{expires}"
        );
        let found = value::find(&observation.metrics, "registration_days_left");
        assert!(
            matches!(found, Some(Value::Integer(found)) if *found == days),
            "{observation:?}"
        );
        assert_eq!(text(&observation, "registrar"), "A Registrar");
    }
}

#[test]
fn the_registered_part_of_the_host_is_found() {
    let host = Host::install();
    let nothing = || response(404, r#"{"errorCode": 404}"#);
    let until = |expires| response(200, registration_until(expires, &[]));
    host.answer_http("GET https://rdap.org/domain/co.uk", until(None));
    host.answer_http("GET https://rdap.org/domain/com.au", response(400, ""));
    host.answer_http(
        "GET https://rdap.org/domain/shop.com.au",
        until(Some("2027-01-01T00:00:00Z")),
    );
    host.answer_http(
        "GET https://rdap.org/domain/shop.co.uk",
        until(Some("2027-01-01T00:00:00Z")),
    );
    for server in ["rdap.org", "rdap.example"] {
        for name in ["com.br", "loja.com.br"] {
            host.answer_http(&format!("GET https://{server}/domain/{name}"), nothing());
        }
    }
    let found = run("https://api.eu.shop.co.uk:8443/v1", "{}");
    assert_eq!(
        (found.status, text(&found, "domain").as_str()),
        (Status::Healthy, "shop.co.uk")
    );
    assert_eq!(host.http_requests().len(), 2);
    assert_eq!(run("https://shop.com.au", "{}").status, Status::Healthy);
    let unknown = run("https://loja.com.br", "{}");
    assert_eq!(
        (unknown.status, unknown.message()),
        (
            Status::Degraded,
            "the registration of `com.br` can't be read: https://rdap.org knows no server of its registry"
        )
    );
    let missing = run(
        "https://loja.com.br",
        r#"{"server": "https://rdap.example"}"#,
    );
    assert_eq!(
        (missing.status, missing.message()),
        (
            Status::Unhealthy,
            "`com.br`, `loja.com.br` is not registered"
        )
    );
    let without_end = run("https://co.uk", "{}");
    assert_eq!(
        (without_end.status, without_end.message()),
        (
            Status::Degraded,
            "the registry does not say when the registration of `co.uk` ends"
        )
    );
}

#[test]
fn the_server_and_the_name_are_settings() {
    let host = Host::install();
    host.answer_http(
        "GET https://rdap.example/com/v1/domain/example.com",
        response(302, "").with_header("location", "https://registry.example/domain/example.com"),
    );
    host.answer_http(
        "GET https://registry.example/domain/example.com",
        response(200, registration_until(Some("2027-01-01T00:00:00Z"), &[])),
    );
    let settings = r#"{"name": "Example.com.", "server": "https://rdap.example/com/v1/"}"#;
    assert_eq!(run("http://127.0.0.1:1", settings).status, Status::Healthy);
}

#[test]
fn what_a_registry_does_not_answer_is_no_word_about_the_service() {
    for answer in [
        response(429, ""),
        response(200, "<html>"),
        response(200, r#"{"objectClassName": "entity"}"#),
    ] {
        let host = Host::install();
        host.answer_http(URL, answer);
        let observation = run("https://www.example.com", "{}");
        assert_eq!(observation.status, Status::Degraded, "{observation:?}");
        assert!(
            observation.message().contains("can't be read"),
            "{observation:?}"
        );
    }
    for (error, status) in [
        (NetError::Timeout("no answer".to_owned()), Status::Degraded),
        (NetError::Denied("not allowed".to_owned()), Status::Error),
    ] {
        let host = Host::install();
        host.answer_http(URL, error);
        assert_eq!(run("https://www.example.com", "{}").status, status);
    }
}

#[test]
fn settings_that_can_not_work_are_faults() {
    let service = |base_url: &str| Check::of(base_url).service;
    for (text, base_url, place) in [
        (
            r#"{"name": "example"}"#,
            "https://example.com",
            Some("/name"),
        ),
        (
            r#"{"name": "exa mple.com"}"#,
            "https://example.com",
            Some("/name"),
        ),
        ("{}", "http://127.0.0.1:8080", Some("/name")),
        ("{}", "http://localhost", Some("/name")),
        (
            r#"{"warnDays": 5, "criticalDays": 6}"#,
            "https://example.com",
            Some("/criticalDays"),
        ),
        ("{}", "https://example.com", None),
        (
            r#"{"name": "xn--bcher-kva.example"}"#,
            "http://127.0.0.1",
            None,
        ),
    ] {
        let faults = check_settings(&settings(text), Some(&service(base_url)));
        assert_eq!(
            faults.first().map(|fault| fault.path.as_str()),
            place,
            "{text} {base_url}"
        );
    }
    assert!(check_settings(&settings("{}"), None).is_empty());
}

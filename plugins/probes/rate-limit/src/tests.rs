use extrack_plugin::fake::{Host, response};
use extrack_plugin::json::{Value as Json, json};
use extrack_plugin::value;

use super::*;

const URL: &str = "GET https://api.example.com/rate_limit";

fn run(limits: &Json, status: u16, mut text: Json) -> Observation {
    let host = Host::install();
    let answer = response(status, "").with_attribute("rate-limits", &limits.to_string());
    host.answer_http(URL, answer);
    text["path"] = json!("/rate_limit");
    let settings = Settings::from_json(&text.to_string()).unwrap();
    let observation = check(&Check::of("https://api.example.com"), &settings).unwrap();
    let options = &host.http_requests()[0].options;
    assert!(options.iter().any(|option| option.key == "rate-limits"));
    observation
}

fn two() -> Json {
    // The host's clock stands at 2026-01-01T00:00:00Z.
    json!([
        {"name": "core", "quota": 5000, "remaining": 4000, "resetMs": 1_767_226_200_000_u64, "windowMs": 3_600_000},
        {"name": "search", "quota": 30, "remaining": 2, "resetMs": 1_767_225_660_000_u64},
        {"name": "unsaid"},
    ])
}

#[test]
fn the_limit_of_which_the_least_is_left_decides() {
    let observation = run(&two(), 200, json!({}));
    assert_eq!(observation.status, Status::Degraded);
    assert_eq!(
        observation.message(),
        "limit `search` has 6.7 % left, 2 of 30, wanted at least 10 %; it starts anew at 2026-01-01T00:01:00.000Z"
    );
    assert_eq!(value::text(&observation.metrics, "limit"), Some("search"));
    for (name, wanted) in [
        ("remaining", 2),
        ("quota", 30),
        ("resets_in_s", 60),
        ("limits", 3),
    ] {
        let found = value::find(&observation.metrics, name);
        assert!(
            matches!(found, Some(Value::Integer(found)) if *found == wanted),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn what_is_left_is_judged_by_the_settings() {
    let none = json!([{"name": "default", "remaining": 0, "quota": 10}]);
    for (limits, status, text, wanted, said) in [
        (two(), 200, json!({"limit": "core"}), Status::Healthy, ""),
        (two(), 200, json!({"warnPercent": 5}), Status::Healthy, ""),
        (
            two(),
            200,
            json!({"limit": "core", "minRemaining": 4001}),
            Status::Degraded,
            "limit `core` has 4000 left, wanted at least 4001",
        ),
        (
            two(),
            200,
            json!({"limit": "unsaid"}),
            Status::Degraded,
            "does not say what is left of limit `unsaid`",
        ),
        (
            two(),
            200,
            json!({"limit": "graphql"}),
            Status::Degraded,
            "the answer has no limit `graphql`; it has `core`, `search`, `unsaid`",
        ),
        (
            json!([]),
            200,
            json!({}),
            Status::Degraded,
            "says nothing about a rate limit",
        ),
        (
            none.clone(),
            200,
            json!({}),
            Status::Degraded,
            "limit `default` is used up",
        ),
        (
            none,
            200,
            json!({"onExhausted": "unhealthy"}),
            Status::Unhealthy,
            "limit `default` is used up",
        ),
        (
            json!([]),
            429,
            json!({}),
            Status::Degraded,
            "refused with status 429",
        ),
        (
            two(),
            429,
            json!({"limit": "core", "onExhausted": "unhealthy"}),
            Status::Unhealthy,
            "limit `core` is used up",
        ),
        (
            two(),
            500,
            json!({}),
            Status::Unhealthy,
            "status is 500, wanted 2xx",
        ),
    ] {
        let observation = run(&limits, status, text.clone());
        assert_eq!(observation.status, wanted, "{text}: {observation:?}");
        assert!(
            observation.message().contains(said),
            "{text}: {observation:?}"
        );
    }
}

#[test]
fn other_statuses_refuse_where_a_limit_or_a_moment_says_so() {
    let none = json!([{"name": "core", "remaining": 0, "quota": 60}]);
    for (limits, status, retry_after, wanted, said) in [
        (
            &none,
            403,
            None,
            Status::Degraded,
            "limit `core` is used up",
        ),
        (
            &json!([]),
            403,
            Some("60"),
            Status::Degraded,
            "refused with status 403",
        ),
        (
            &two(),
            403,
            None,
            Status::Unhealthy,
            "status is 403, wanted 2xx",
        ),
        (&none, 404, None, Status::Unhealthy, "status is 404"),
        (
            &json!([]),
            401,
            Some("60"),
            Status::Unhealthy,
            "status is 401",
        ),
    ] {
        let host = Host::install();
        let mut answer = response(status, "").with_attribute("rate-limits", &limits.to_string());
        if let Some(seconds) = retry_after {
            answer = answer.with_header("Retry-After", seconds);
        }
        host.answer_http(URL, answer);
        let settings = Settings::from_json(r#"{"path": "/rate_limit"}"#).unwrap();
        let observation = check(&Check::of("https://api.example.com"), &settings).unwrap();
        assert_eq!(observation.status, wanted, "{status}: {observation:?}");
        assert!(observation.message().contains(said), "{observation:?}");
    }
}

#[test]
fn settings_that_can_not_work_are_faults() {
    let settings = Settings::from_json(r#"{"headers": {"a b": "c"}}"#).unwrap();
    assert_eq!(check_settings(&settings)[0].path, "/headers/a b");
    assert!(Settings::from_json(r#"{"warnPercent": 101}"#).is_err());
}

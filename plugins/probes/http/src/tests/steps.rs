//! Several requests, one after the other.

use super::*;

const LOGIN: &str = "POST https://api.example.com/login";

fn metric(observation: &Observation, name: &str) -> Option<String> {
    match extrack_plugin::value::find(&observation.metrics, name)? {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn order() -> json::Value {
    json!({"degradedOver": "1s", "headers": {"Accept": "application/json"}, "steps": [
        {
            "name": "log in", "path": "/login", "method": "post", "body": "{\"user\": \"probe\"}",
            "extract": {
                "token": {"jsonpath": "$.token"},
                "csrf": {"header": "x-csrf", "regex": "^v1:(.+)$"},
            },
        },
        {
            "path": "/orders", "method": "POST", "expectedStatus": 201, "body": "{\"note\": \"{{csrf}}\"}",
            "variableHeaders": {"Authorization": "Bearer {{token}}"},
            "extract": {"id": {"jsonpath": "$.order.id"}, "link": {"regex": "https://[a-z./0-9]+"}},
        },
        {
            "name": "read", "path": "/orders/{{id}}", "auth": "none",
            "assertions": [{"jsonpath": "$.state", "equals": "open"}],
        },
        {"name": "link", "path": "{{link}}"},
    ]})
}

fn answer(host: &Host) {
    host.answer_http(
        LOGIN,
        response(200, r#"{"token": "t0k"}"#)
            .with_header("X-CSRF", "v1:a\"b")
            .with_header("set-cookie", "session=1; Path=/"),
    );
    host.answer_http(
        "POST https://api.example.com/orders",
        response(
            201,
            r#"{"order": {"id": "a/7"}, "link": "https://api.example.com/x/7"}"#,
        ),
    );
    host.answer_http(
        "GET https://api.example.com/x/7",
        response(200, "").with_latency_ms(30),
    );
}

#[test]
fn values_and_cookies_go_from_step_to_step() {
    let host = Host::install();
    answer(&host);
    host.answer_http(
        "GET https://api.example.com/orders/a%2F7",
        response(200, r#"{"state": "open"}"#),
    );
    let mut subject = subject();
    subject.credentials = vec!["default".to_owned()];
    let observation = check(&subject, &settings(order())).unwrap();
    assert_eq!(observation.status, Status::Healthy, "{observation:?}");
    assert_eq!(metric(&observation, "steps").as_deref(), Some("4"));
    assert_eq!(metric(&observation, "failed_step"), None);
    let sent = host.http_requests();
    assert_eq!(sent.len(), 4);
    assert_eq!(sent[0].header("cookie"), None);
    assert_eq!(sent[1].header("authorization"), Some("Bearer t0k"));
    assert_eq!(sent[1].json(), json!({"note": "a\"b"}));
    let cookies = sent.iter().skip(1).map(|request| request.header("cookie"));
    assert!(
        cookies
            .into_iter()
            .all(|cookie| cookie == Some("session=1"))
    );
    assert!(
        sent.iter()
            .all(|request| request.header("accept").is_some())
    );
    let auth: Vec<Option<&str>> = sent.iter().map(|request| request.auth.as_deref()).collect();
    assert_eq!(
        auth,
        [Some("default"), Some("default"), None, Some("default")]
    );
}

#[test]
fn what_steps_extract_and_cookies_are_kept_out_of_recordings() {
    let host = Host::install();
    host.answer_http(
        LOGIN,
        response(
            200,
            r#"{"token": "t0k-value", "id": 1234567, "state": "closed"}"#,
        )
        .with_header("set-cookie", "session=c00kie-value; Path=/"),
    );
    let steps = json!({"steps": [{
        "path": "/login", "method": "POST", "assertions": [{"jsonpath": "$.state", "equals": "open"}],
        "extract": {
            "id": {"jsonpath": "$.id"},
            "none": {"header": "x-csrf"},
            "token": {"jsonpath": "$.token"},
        },
    }]});
    let observation = check(&subject(), &settings(steps)).unwrap();
    assert_eq!(observation.status, Status::Unhealthy, "{observation:?}");
    assert_eq!(host.hidden(), ["c00kie-value", "t0k-value"]);
}

#[test]
fn the_first_step_that_fails_ends_the_run_and_is_named() {
    for (broken, given, status, failed, message) in [
        (
            LOGIN,
            Ok(response(500, "")),
            Status::Unhealthy,
            "log in",
            "step 1 `log in`: status is 500, wanted 2xx",
        ),
        (
            LOGIN,
            Ok(response(200, r#"{"token": null}"#).with_header("x-csrf", "v1:a")),
            Status::Unhealthy,
            "log in",
            "step 1 `log in`: no value for `token`: `$.token` is null, wanted a text or a number",
        ),
        // Whatever it is, it may hold a token.
        (
            LOGIN,
            Ok(response(200, "token=t0k").with_header("x-csrf", "v1:a")),
            Status::Unhealthy,
            "log in",
            "step 1 `log in`: no value for `token`: body is not shown, as values are taken from it, wanted JSON",
        ),
        (
            LOGIN,
            Ok(response(200, r#"{"token": "t0k"}"#).with_header("x-csrf", "v2")),
            Status::Unhealthy,
            "log in",
            "step 1 `log in`: no value for `csrf`: header `x-csrf` does not fit the `regex`",
        ),
        (
            "POST https://api.example.com/orders",
            Err(NetError::Timeout("no answer within 5s".to_owned())),
            Status::Error,
            "2",
            "step 2: ",
        ),
        (
            "GET https://api.example.com/orders/a%2F7",
            Ok(response(200, r#"{"state": "lost"}"#)),
            Status::Unhealthy,
            "read",
            "step 3 `read`: `$.state` is `lost`, wanted `open`",
        ),
    ] {
        let host = Host::install();
        host.answer_http(broken, given);
        answer(&host);
        let observation = run(order());
        assert_eq!(observation.status, status, "{observation:?}");
        assert!(
            observation.message().starts_with(message),
            "{}",
            observation.message()
        );
        assert_eq!(metric(&observation, "failed_step").as_deref(), Some(failed));
        let last = host.http_requests().pop().unwrap();
        assert_eq!(format!("{} {}", last.method, last.url), broken);
    }
}

#[test]
fn all_steps_together_are_slow_or_not() {
    let host = Host::install();
    let slow = || response(200, "").with_latency_ms(600);
    host.answer_http("GET https://api.example.com/a", slow());
    host.answer_http("GET https://api.example.com/b", slow());
    let observation = run(json!({"degradedOver": "1s", "steps": [{"path": "/a"}, {"path": "/b"}]}));
    assert_eq!(observation.status, Status::Degraded);
    assert_eq!(
        observation.message(),
        "answer took 1200 ms, wanted at most 1s"
    );
}

#[test]
fn steps_that_can_not_work_are_faults_when_they_are_saved() {
    let host = Host::install();
    host.answer_cel(|_, _| Ok(json!(true)));
    let parsed = settings(json!({
        "path": "/health", "bodyContains": "up",
        "steps": [
            {"path": "/{{later}}", "method": "", "extract": {"a": {}, "b-c": {"regex": "x"}, "d": {"regex": "("}, "e": {"jsonpath": "$", "header": "x"}}},
            {"path": "/{{a}}", "headers": {"x y": "1"}, "variableHeaders": {"X-A": "plain", "x y": "{{a}}"}, "assertions": [{}], "extract": {"later": {"header": "x"}}},
        ],
    }));
    let faults = check_settings(&parsed);
    let mut places: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "/bodyContains",
            "/path",
            "/steps/0/extract/a",
            "/steps/0/extract/b-c",
            "/steps/0/extract/d",
            "/steps/0/extract/e",
            "/steps/0/method",
            "/steps/0/path",
            "/steps/1/assertions/0",
            "/steps/1/headers/x y",
            "/steps/1/variableHeaders/X-A",
            "/steps/1/variableHeaders/x y",
        ]
    );
    assert!(check_settings(&settings(order())).is_empty());
}

use extrack_plugin::fake::{Host, response};
use extrack_plugin::json::{Value, json};

use super::*;

const URL: &str = "POST https://api.example.com/graphql";

fn settings(text: &Value) -> Settings {
    Settings::from_json(&text.to_string()).unwrap()
}

fn run(mut text: Value) -> Observation {
    text["path"] = json!("/graphql");
    let mut subject = Check::of("https://api.example.com");
    subject.credentials = vec!["default".to_owned()];
    match check(&subject, &settings(&text)) {
        Ok(observation) | Err(Stop::Found(observation)) => observation,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_query_with_its_variables_is_sent_as_json() {
    let host = Host::install();
    host.answer_http(URL, response(200, r#"{"data": {"__typename": "Query"}}"#));
    assert_eq!(run(json!({})).status, Status::Healthy);
    run(json!({
        "query": "query Q($id: ID!) { item(id: $id) { id } }", "variables": {"id": "7"}, "operationName": "Q",
        "headers": {"X-Client": "probe"}, "auth": "none",
    }));
    let sent = host.http_requests();
    assert_eq!(sent[0].json(), json!({"query": "{ __typename }"}));
    assert_eq!(sent[0].header("content-type"), Some("application/json"));
    assert_eq!(sent[0].auth.as_deref(), Some("default"));
    assert_eq!(sent[1].json()["variables"], json!({"id": "7"}));
    assert_eq!(sent[1].json()["operationName"], "Q");
    assert_eq!(sent[1].header("x-client"), Some("probe"));
    assert_eq!(sent[1].auth, None);
}

#[test]
fn answers_are_judged_by_their_errors_their_status_and_their_data() {
    let item = json!({"data": {"item": {"id": "7", "stock": 3}}}).to_string();
    let partial = json!({"data": {"item": null}, "errors": [
        {"message": "not found", "path": ["item", 0, "id"], "extensions": {"code": "NOT_FOUND"}}, {"message": "b"},
    ]}).to_string();
    let degraded = json!({"onPartialData": "degraded"});
    for (text, status, body, wanted, message) in [
        (json!({}), 200, item.as_str(), Status::Healthy, ""),
        (
            json!({"assertions": [{"jsonpath": "$.data.item.stock", "above": 5}]}),
            200,
            &item,
            Status::Unhealthy,
            "`$.data.item.stock` is `3`, wanted more than 5",
        ),
        (
            json!({}),
            200,
            &partial,
            Status::Unhealthy,
            "the answer has errors: not found at `item.0.id` (NOT_FOUND), and 1 more",
        ),
        (
            degraded.clone(),
            200,
            &partial,
            Status::Degraded,
            "the answer has errors: not found at `item.0.id` (NOT_FOUND), and 1 more",
        ),
        (
            degraded,
            400,
            r#"{"errors": [{"message": "syntax"}]}"#,
            Status::Unhealthy,
            "the answer has errors: syntax",
        ),
        (
            json!({}),
            503,
            "<html>",
            Status::Unhealthy,
            "status is 503, wanted 2xx",
        ),
        (
            json!({}),
            200,
            r#"{"data": null}"#,
            Status::Unhealthy,
            "answer has no `data`: `{\"data\": null}`, wanted one of GraphQL",
        ),
        (
            json!({"expectedStatus": 401}),
            401,
            r#"{"data": {}}"#,
            Status::Healthy,
            "",
        ),
        (
            json!({}),
            200,
            r#"{"data": {}, "errors": []}"#,
            Status::Healthy,
            "",
        ),
    ] {
        let host = Host::install();
        host.answer_http(URL, response(status, body));
        let observation = run(text.clone());
        assert_eq!(
            (observation.status, observation.message()),
            (wanted, message),
            "{text} {body}"
        );
        assert_eq!(observation.http_status, Some(status));
    }
    let host = Host::install();
    host.answer_http(URL, response(200, "up"));
    let observation = run(json!({}));
    assert!(
        observation
            .message()
            .starts_with("body is `up`, wanted JSON"),
        "{}",
        observation.message()
    );
}

#[test]
fn a_slow_answer_is_degraded_and_none_is_an_error() {
    let host = Host::install();
    host.answer_http(URL, response(200, r#"{"data": {}}"#).with_latency_ms(900));
    let observation = run(json!({"degradedOver": "800ms"}));
    assert_eq!(observation.message(), "took 900 ms, wanted at most 800ms");
    let host = Host::install();
    host.answer_http(URL, NetError::Connect("refused".to_owned()));
    assert_eq!(run(json!({})).kind(), Some(ErrorKind::Connect));
}

#[test]
fn settings_that_can_not_work_are_faults() {
    let faults = check_settings(&settings(&json!({
        "query": " ", "variables": [1], "headers": {"a b": "c"}, "assertions": [{}],
    })));
    let places: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        places,
        ["/headers/a b", "/query", "/variables", "/assertions/0"]
    );
}

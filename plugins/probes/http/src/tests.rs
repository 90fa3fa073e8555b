mod answers;
mod requests;
mod steps;

use extrack_plugin::fake::{self, Host, response};
use extrack_plugin::json::json;
use extrack_plugin::value::Value;

use super::*;

const URL: &str = "GET https://api.example.com/health";

fn settings(text: json::Value) -> Settings {
    Settings::from_json(&text.to_string()).unwrap()
}

fn subject() -> Check {
    let mut check = Check::of("https://api.example.com");
    check.service.attributes.push(extrack_plugin::value::Entry {
        key: "health-endpoint".to_owned(),
        value: "/health".into(),
    });
    check
}

fn run(text: json::Value) -> Observation {
    match check(&subject(), &settings(text)) {
        Ok(observation) | Err(Stop::Found(observation)) => observation,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn any_success_is_healthy_by_default() {
    let host = Host::install();
    host.answer_http(URL, response(204, ""));
    let observation = run(json!({}));
    assert_eq!(observation.status, Status::Healthy);
    assert_eq!(observation.http_status, Some(204));
}

#[test]
fn another_status_is_unhealthy_and_says_what_was_wanted() {
    for (wanted, status, message) in [
        (json!({}), 503, "status is 503, wanted 2xx"),
        (
            json!({"expectedStatus": 200}),
            204,
            "status is 204, wanted 200",
        ),
        (
            json!({"expectedStatus": [200, "30x".replace('x', "1"), "4xx", "500-503"]}),
            504,
            "status is 504, wanted 200 or 301 or 4xx or 500-503",
        ),
    ] {
        let host = Host::install();
        host.answer_http(URL, response(status, ""));
        let observation = run(wanted);
        assert_eq!(
            (observation.status, observation.kind()),
            (Status::Unhealthy, Some(ErrorKind::Assertion))
        );
        assert_eq!(observation.message(), message);
        assert_eq!(observation.http_status, Some(status));
    }
}

#[test]
fn no_answer_is_an_error_of_its_kind() {
    for (error, kind) in [
        (NetError::Dns("no such name".to_owned()), ErrorKind::Dns),
        (NetError::Connect("refused".to_owned()), ErrorKind::Connect),
        (NetError::Tls("unknown issuer".to_owned()), ErrorKind::Tls),
        (
            NetError::Timeout("no answer within 5s".to_owned()),
            ErrorKind::Timeout,
        ),
        (
            NetError::Protocol("not HTTP".to_owned()),
            ErrorKind::Protocol,
        ),
        (
            NetError::Denied("`metadata` is not allowed".to_owned()),
            ErrorKind::Denied,
        ),
    ] {
        let host = Host::install();
        host.answer_http(URL, error.clone());
        let observation = run(json!({}));
        assert_eq!(
            (observation.status, observation.kind()),
            (Status::Error, Some(kind))
        );
        assert_eq!(observation.message(), error.to_string());
    }
}

#[test]
fn judges_the_answer() {
    let body =
        r#"{"status":"down","queue":12,"tags":["a","b"],"checks":[{"ok":true},{"ok":false}]}"#;
    for (wanted, message) in [
        (json!({"bodyContains": "down"}), ""),
        (
            json!({"bodyContains": "up"}),
            "body is `{\"status\":\"down\",\"queue\":12,\"tags\":[\"a\",\"b\"],\"checks\":[{\"ok\":true},{\"ok\":false}]}`, wanted one with `up` in it",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.status", "equals": "down"}]}),
            "",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.status", "equals": "up"}]}),
            "`$.status` is `down`, wanted `up`",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.queue", "below": 10}]}),
            "`$.queue` is `12`, wanted less than 10",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.queue", "equals": 12.0}]}),
            "",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.checks[*].ok", "equals": true}]}),
            "`$.checks[*].ok` is `false`, wanted `true`",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.tags", "contains": "b"}]}),
            "",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.version"}]}),
            "`$.version` is not there, wanted any value",
        ),
        (
            json!({"assertions": [{"jsonpath": "$.status", "exists": false}]}),
            "`$.status` is `down`, wanted none",
        ),
        (
            json!({"assertions": [{"header": "Content-Type", "contains": "json"}]}),
            "",
        ),
        (
            json!({"assertions": [{"header": "x-region", "equals": "eu"}]}),
            "header `x-region` is not there, wanted `eu`",
        ),
    ] {
        let host = Host::install();
        host.answer_http(
            URL,
            response(200, body).with_header("content-type", "application/json"),
        );
        let observation = run(wanted.clone());
        assert_eq!(observation.message(), message, "{wanted}");
        assert_eq!(
            observation.status,
            if message.is_empty() {
                Status::Healthy
            } else {
                Status::Unhealthy
            }
        );
    }
}

#[test]
fn a_body_that_is_not_json_is_wrong_where_json_is_wanted() {
    let host = Host::install();
    host.answer_http(URL, response(200, "<html>"));
    let observation = run(json!({"assertions": [{"jsonpath": "$.status"}]}));
    assert!(
        observation
            .message()
            .starts_with("body is `<html>`, wanted JSON"),
        "{}",
        observation.message()
    );
}

#[test]
fn gives_a_condition_the_variables_it_names() {
    let host = Host::install();
    host.answer_http(URL, response(200, r#"{"queue":12}"#).with_latency_ms(250));
    host.answer_cel(|_, variables| {
        assert_eq!(
            variables,
            &json!({"json": {"queue": 12}, "latency_ms": 250.0})
        );
        Ok(json!(false))
    });
    let observation =
        run(json!({"assertions": [{"cel": "json.queue < 10 && latency_ms < 500.0"}]}));
    assert_eq!(
        observation.message(),
        "`json.queue < 10 && latency_ms < 500.0` is false, wanted true; json is `{\"queue\":12}`, latency_ms is `250.0`"
    );
}

#[test]
fn a_slow_answer_is_degraded() {
    let host = Host::install();
    host.answer_http(URL, response(200, "").with_latency_ms(801));
    let observation = run(json!({"degradedOver": "800ms"}));
    assert_eq!(observation.status, Status::Degraded);
    assert_eq!(
        observation.message(),
        "answer took 801 ms, wanted at most 800ms"
    );
}

#[test]
fn counts_the_days_of_the_certificate() {
    let host = Host::install();
    let mut answer = response(200, "");
    answer.certificate = Some(fake::certificate(
        &["api.example.com"],
        (host.now_ms() / 1_000) as i64 + 10 * 86_400 - 1,
    ));
    host.answer_http(URL, answer);
    let observation = run(json!({}));
    assert!(matches!(observation.metrics[0].value, Value::Integer(9)));
}

#[test]
fn a_condition_on_a_body_that_is_no_json_says_so_as_a_path_does() {
    for (body, said) in [
        ("<html>up</html>", "body is `<html>up</html>`, wanted JSON"),
        ("", "body is empty, wanted JSON"),
    ] {
        for answer in [
            Ok(json!(false)),
            Err(cel::CelError::Failed("No such key: status".to_owned())),
        ] {
            let host = Host::install();
            host.answer_http(URL, response(200, body));
            host.answer_cel(move |_, _| answer.clone());
            let condition = run(json!({"assertions": [{"cel": "json.status == 'UP'"}]}));
            let path = run(json!({"assertions": [{"jsonpath": "$.status", "equals": "UP"}]}));
            assert!(
                condition.message().contains(said),
                "{}",
                condition.message()
            );
            assert_eq!(condition.message(), path.message());
        }
    }
}

#[test]
fn finds_faults_in_settings_when_they_are_saved() {
    let host = Host::install();
    host.answer_cel(|_, _| Err(cel::CelError::Invalid("undeclared name `nope`".to_owned())));
    let parsed = settings(json!({
        "method": "G T", "headers": {"a b": "1"},
        "assertions": [{}, {"jsonpath": "$["}, {"cel": "nope"}, {"header": "a", "exists": false, "equals": 1}, {"header": "a"}],
    }));
    let paths: Vec<String> = check_settings(&parsed)
        .into_iter()
        .map(|fault| fault.path)
        .collect();
    assert_eq!(
        paths,
        [
            "/method",
            "/headers/a b",
            "/assertions/0",
            "/assertions/1",
            "/assertions/2",
            "/assertions/3"
        ]
    );
}

#[test]
fn refuses_settings_of_the_wrong_shape() {
    let faults = Settings::from_json(
        r#"{"expectedStatus": [200, "0xx"], "degradedOver": 800, "followRedirects": 50, "timeout": 3, "assertions": [{"equal": 1}]}"#,
    )
    .err()
    .unwrap();
    let paths: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/expectedStatus/1",
            "/assertions/0/equal",
            "/degradedOver",
            "/followRedirects",
            "/timeout"
        ]
    );
}

#[test]
fn the_schema_is_json_with_a_description_for_each_setting() {
    let schema: json::Value = json::from_str(&Settings::schema()).unwrap();
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["properties"]["followRedirects"]["default"], json!(5));
    assert_eq!(
        schema["properties"]["expectedStatus"]["default"],
        json!("2xx")
    );
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}");
    }
}

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
fn follows_redirects_without_taking_credentials_to_another_origin() {
    let host = Host::install();
    host.answer_http(URL, response(302, "").with_header("Location", "/up"));
    host.answer_http(
        "GET https://api.example.com/up",
        response(307, "").with_header("location", "https://b.example/up"),
    );
    host.answer_http("GET https://b.example/up", response(200, ""));
    let mut subject = subject();
    subject.credentials = vec!["default".to_owned()];
    let observation = check(&subject, &settings(json!({}))).unwrap();
    assert_eq!(observation.status, Status::Healthy);
    let auth: Vec<_> = host
        .http_requests()
        .into_iter()
        .map(|request| request.auth)
        .collect();
    assert_eq!(
        auth,
        [Some("default".to_owned()), Some("default".to_owned()), None]
    );
    assert!(matches!(
        observation.metrics.last().map(|entry| &entry.value),
        Some(Value::Integer(2))
    ));
}

#[test]
fn a_url_in_the_query_is_no_whole_url() {
    let host = Host::install();
    let asked = "GET http://127.0.0.1:18100/probe?target=https://shop.example/health";
    host.answer_http(asked, response(200, ""));
    let mut subject = Check::of("http://127.0.0.1:18100");
    let path = "/probe?target=https://shop.example/health";
    let endpoint = extrack_plugin::value::Entry {
        key: "health-endpoint".to_owned(),
        value: path.into(),
    };
    subject.service.attributes.push(endpoint);
    assert_eq!(
        check(&subject, &settings(json!({}))).unwrap().status,
        Status::Healthy
    );
    let subject = Check::of("http://127.0.0.1:18100");
    assert_eq!(
        check(&subject, &settings(json!({ "path": path })))
            .unwrap()
            .status,
        Status::Healthy
    );
    host.answer_http("GET https://other.example/x", response(200, ""));
    let whole = settings(json!({"path": "https://other.example/x"}));
    assert_eq!(check(&subject, &whole).unwrap().status, Status::Healthy);
}

#[test]
fn a_cookie_that_a_redirect_sets_is_sent_to_the_same_host_only() {
    let host = Host::install();
    let to = |location: &str| response(302, "").with_header("location", location);
    host.answer_http(
        URL,
        to("/in").with_header("set-cookie", "session=1; Path=/; HttpOnly"),
    );
    host.answer_http("GET https://api.example.com/in", to("https://b.example/"));
    host.answer_http("GET https://b.example/", to("https://api.example.com/out"));
    host.answer_http("GET https://api.example.com/out", response(200, ""));
    assert_eq!(
        run(json!({"headers": {"Cookie": "own=1"}})).status,
        Status::Healthy
    );
    let cookies: Vec<Option<String>> = host
        .http_requests()
        .into_iter()
        .map(|request| {
            request
                .headers
                .into_iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("cookie"))
        })
        .map(|cookie| cookie.map(|(_, value)| value))
        .collect();
    let of = |text: &str| Some(text.to_owned());
    assert_eq!(
        cookies,
        [of("own=1"), of("own=1; session=1"), None, of("session=1")]
    );
}

#[test]
fn stops_at_a_redirect_that_was_asked_for_and_after_the_last_hop() {
    for (wanted, status) in [
        (json!({"expectedStatus": 302}), Status::Healthy),
        (json!({"followRedirects": 3}), Status::Unhealthy),
    ] {
        let host = Host::install();
        host.answer_http(URL, response(302, "").with_header("location", "/health"));
        assert_eq!(run(wanted).status, status);
    }
}

#[test]
fn builds_the_request_from_the_settings() {
    let host = Host::install();
    host.answer_http(
        "POST https://api.example.com/v1/ping?x=1",
        response(200, ""),
    );
    run(json!({
        "path": "/v1/ping?x=1", "method": "post", "headers": {"Accept": "text/plain"}, "body": "ping",
        "insecure": true, "maxBodyBytes": 1000, "auth": "metrics",
    }));
    let request = &host.http_requests()[0];
    assert_eq!(
        request.headers,
        [("Accept".to_owned(), "text/plain".to_owned())]
    );
    assert_eq!(request.body.as_deref(), Some(b"ping".as_slice()));
    assert_eq!(request.auth.as_deref(), Some("metrics"));
    let options: Vec<&str> = request
        .options
        .iter()
        .map(|entry| entry.key.as_str())
        .collect();
    assert_eq!(options, ["max-body-bytes", "insecure"]);
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

/// Message that an answer leads to; empty if it is healthy.
fn message(answer: extrack_plugin::wit::http::Response, wanted: json::Value) -> String {
    let host = Host::install();
    host.answer_http(URL, answer);
    run(wanted).message().to_owned()
}

#[test]
fn a_type_that_differs_is_told() {
    let body = r#"{"code": 200, "port": "8080", "ok": true, "none": null, "list": [1]}"#;
    for (path, wanted, told) in [
        (
            "$.code",
            json!("200"),
            "`$.code` is the number 200, wanted the text \"200\"",
        ),
        (
            "$.port",
            json!(8080),
            "`$.port` is the text \"8080\", wanted the number 8080",
        ),
        (
            "$.ok",
            json!("true"),
            "`$.ok` is the boolean true, wanted the text \"true\"",
        ),
        (
            "$.none",
            json!("null"),
            "`$.none` is null, wanted the text \"null\"",
        ),
        (
            "$.list",
            json!("[1]"),
            "`$.list` is the list `[1]`, wanted the text \"[1]\"",
        ),
        ("$.code", json!(201), "`$.code` is `200`, wanted `201`"),
    ] {
        let found = message(
            response(200, body),
            json!({"assertions": [{"jsonpath": path, "equals": wanted}]}),
        );
        assert_eq!(found, told);
    }
}

#[test]
fn a_header_is_text_and_met_by_what_it_stands_for() {
    let answer = || {
        response(200, "")
            .with_header("X-Count", "5")
            .with_header("X-On", "True")
            .with_header("X-Name", "five")
    };
    for (assertion, told) in [
        (json!({"header": "x-count", "equals": 5}), ""),
        (json!({"header": "x-count", "equals": 5.0}), ""),
        (json!({"header": "x-count", "equals": "5"}), ""),
        (json!({"header": "x-on", "equals": true}), ""),
        (json!({"header": "x-count", "above": 4, "below": 6}), ""),
        (
            json!({"header": "x-count", "equals": 6}),
            "header `x-count` is `5`, wanted `6`",
        ),
        (
            json!({"header": "x-name", "equals": 5}),
            "header `x-name` is `five`, wanted `5`",
        ),
        (
            json!({"header": "x-name", "exists": false}),
            "header `x-name` is `five`, wanted none",
        ),
    ] {
        assert_eq!(message(answer(), json!({"assertions": [assertion]})), told);
    }
}

#[test]
fn of_a_header_that_comes_several_times_one_value_is_enough() {
    let answer = || {
        response(200, "")
            .with_header("Set-Cookie", "a=1; Path=/")
            .with_header("Set-Cookie", "session=2; Secure")
            .with_header("Vary", "Accept, Origin")
            .with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
    };
    for (assertion, told) in [
        (json!({"header": "set-cookie", "contains": "session="}), ""),
        (json!({"header": "vary", "equals": "Origin"}), ""),
        (json!({"header": "vary", "equals": "Accept, Origin"}), ""),
        (
            json!({"header": "date", "equals": "Sun, 06 Nov 1994 08:49:37 GMT"}),
            "",
        ),
        (
            json!({"header": "set-cookie", "contains": "token="}),
            "header `set-cookie` is `a=1; Path=/` and `session=2; Secure`, wanted one with `token=` in it",
        ),
        // Both have to be true of the same one.
        (
            json!({"header": "vary", "equals": "Accept", "contains": "Origin"}),
            "header `vary` is `Accept, Origin`, wanted `Accept` and one with `Origin` in it",
        ),
    ] {
        assert_eq!(message(answer(), json!({"assertions": [assertion]})), told);
    }
}

#[test]
fn large_numbers_are_compared_to_the_last_digit_and_shown_as_written() {
    let body = r#"{"id": 9007199254740993, "long": 12345678901234567890123, "price": 1.10}"#;
    for (path, wanted, told) in [
        ("$.id", "9007199254740993", ""),
        (
            "$.id",
            "9007199254740992",
            "`$.id` is `9007199254740993`, wanted `9007199254740992`",
        ),
        ("$.long", "12345678901234567890123", ""),
        (
            "$.long",
            "12345678901234567890124",
            "`$.long` is `12345678901234567890123`, wanted `12345678901234567890124`",
        ),
        ("$.price", "1.1", ""),
        ("$.price", "1.2", "`$.price` is `1.10`, wanted `1.2`"),
    ] {
        let wanted: json::Value = json::from_str(wanted).unwrap();
        let found = message(
            response(200, body),
            json!({"assertions": [{"jsonpath": path, "equals": wanted}]}),
        );
        assert_eq!(found, told);
    }
}

#[test]
fn a_byte_order_mark_before_json_is_no_fault() {
    let body = b"\xef\xbb\xbf{\"status\":\"UP\"}".to_vec();
    assert_eq!(
        message(
            response(200, body.clone()),
            json!({"assertions": [{"jsonpath": "$.status", "equals": "UP"}]})
        ),
        ""
    );
    let host = Host::install();
    host.answer_http(URL, response(200, body));
    host.answer_cel(|_, variables| Ok(json!(variables["json"]["status"] == "UP")));
    assert_eq!(
        run(json!({"assertions": [{"cel": "json.status == 'UP'"}]})).status,
        Status::Healthy
    );
}

#[test]
fn a_condition_on_a_body_that_is_not_json_says_so_as_a_path_does() {
    let by_path = message(
        response(200, "<html>"),
        json!({"assertions": [{"jsonpath": "$.status"}]}),
    );
    for (expression, answer, told) in [
        (
            "json.status == 'UP'",
            Err(cel::CelError::Failed("no such key".to_owned())),
            by_path.as_str(),
        ),
        ("json == 1", Ok(json!(false)), by_path.as_str()),
        ("status == 200 || json.ok", Ok(json!(true)), ""),
        (
            "headers['content-type'].contains('json')",
            Ok(json!(false)),
            "`headers['content-type'].contains('json')` is false, wanted true; headers is `{}`",
        ),
    ] {
        let host = Host::install();
        host.answer_http(URL, response(200, "<html>"));
        host.answer_cel(move |_, _| answer.clone());
        assert_eq!(
            run(json!({"assertions": [{"cel": expression}]})).message(),
            told,
            "{expression}"
        );
    }
}

#[test]
fn a_body_that_can_not_be_read_is_named_where_somebody_looks_at_it() {
    let reason = "the body is compressed by `zstd`; known codings are `gzip`, `deflate` and `br`";
    let packed = || response(200, b"\x28\xb5\x2f\xfd UP".to_vec()).with_attribute("unread", reason);
    assert_eq!(
        message(packed(), json!({"bodyContains": "UP"})),
        format!("body is not readable ({reason}), wanted one with `UP` in it")
    );
    assert_eq!(
        message(
            packed(),
            json!({"assertions": [{"jsonpath": "$.status", "equals": "UP"}]})
        ),
        format!("{reason}, wanted JSON")
    );
    assert_eq!(
        message(
            packed(),
            json!({"assertions": [{"cel": "body.contains('UP')"}]})
        ),
        format!("{reason}, wanted text for `body.contains('UP')`")
    );
    assert_eq!(
        message(
            packed(),
            json!({"assertions": [{"header": "unread", "exists": false}]})
        ),
        ""
    );
    assert_eq!(message(packed(), json!({})), "");
    // It says that it is something else, and is text.
    let odd = || {
        response(200, "all UP")
            .with_attribute("unread", "the body's charset `martian` is not known")
    };
    assert_eq!(message(odd(), json!({"bodyContains": "UP"})), "");
    assert_eq!(
        message(odd(), json!({"bodyContains": "down"})),
        "body is `all UP` (the body's charset `martian` is not known), wanted one with `down` in it"
    );
}

#[test]
fn text_is_asked_for_only_where_somebody_looks_at_it() {
    for (wanted, asks) in [
        (json!({}), false),
        (
            json!({"assertions": [{"header": "a", "exists": false}]}),
            false,
        ),
        (
            json!({"assertions": [{"cel": "headers['content-type'] != 'json' || status == 200"}]}),
            false,
        ),
        (json!({"bodyContains": "a"}), true),
        (json!({"assertions": [{"jsonpath": "$"}]}), true),
        (json!({"assertions": [{"cel": "json.a == 1"}]}), true),
    ] {
        let host = Host::install();
        host.answer_http(URL, response(200, "\"a\""));
        host.answer_cel(|_, _| Ok(json!(true)));
        assert_eq!(run(wanted.clone()).status, Status::Healthy, "{wanted}");
        let options = host.http_requests()[0].options.clone();
        assert_eq!(
            options.iter().any(|option| option.key == "text"),
            asks,
            "{wanted}"
        );
    }
}

#[test]
fn an_end_that_nothing_proves_is_noted() {
    let host = Host::install();
    host.answer_http(URL, response(200, "").with_attribute("end", "unproven"));
    let observation = run(json!({}));
    assert_eq!(observation.status, Status::Healthy);
    assert!(
        matches!(observation.metrics[0].value, Value::Boolean(true)),
        "{:?}",
        observation.metrics
    );
}

#[test]
fn any_three_digits_are_a_status() {
    let host = Host::install();
    host.answer_http(URL, response(999, ""));
    assert_eq!(
        run(json!({"expectedStatus": [999, "7xx"]})).status,
        Status::Healthy
    );
    let faults = Settings::from_json(r#"{"expectedStatus": 1000}"#)
        .err()
        .unwrap();
    assert_eq!(faults[0].path, "/expectedStatus");
}

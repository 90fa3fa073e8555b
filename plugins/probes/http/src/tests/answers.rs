//! Bodies, headers and what is wanted of them.

use super::*;

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

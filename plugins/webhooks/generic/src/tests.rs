use extrack_plugin::cel::CelError;
use extrack_plugin::fake::{Host, delivery};

use super::*;

fn settings(json: Value) -> Settings {
    Settings::from_json(&json.to_string()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn settings_say_what_the_fields_mean() {
    let _host = Host::install();
    let settings = settings(json!({
        "secret": "s3cret",
        "id": "{$.meta.id}", "kind": "deploy.{$.state}", "summary": "{$.app} is {$.state} ({header:X-Region})",
        "time": "{$.at}", "payload": "$.detail", "attributes": {"app": "{$.app}", "none": "{$.none}"},
        "status": {"value": "{$.state}", "healthy": ["done"], "unhealthy": ["FAILED"]},
    }));
    let body = json!({"meta": {"id": 7}, "app": "shop", "state": "failed", "at": 1_767_225_600, "detail": {"a": [1]}});
    let sent = delivery(body.to_string())
        .with_header("authorization", "Bearer s3cret")
        .with_header("x-region", "eu");
    let reception = receive(&sent, &settings).unwrap();
    let [event] = &reception.events[..] else {
        panic!("{reception:?}")
    };
    assert_eq!(
        (event.id.as_deref(), event.kind.as_str()),
        (Some("7"), "deploy.failed")
    );
    assert_eq!(
        (event.summary.as_str(), event.ts_ms),
        ("shop is failed (eu)", Some(1_767_225_600_000))
    );
    assert_eq!(event.payload, json!({"a": [1]}));
    assert_eq!(event.attributes.len(), 1);
    let report = event.report.as_ref().unwrap();
    assert_eq!(report.status, Status::Unhealthy);
    assert_eq!(
        report.failure.as_ref().unwrap().message,
        "shop is failed (eu)"
    );
}

#[test]
fn without_settings_the_whole_body_is_one_event() {
    let _host = Host::install();
    let reception = receive(&delivery(r#"{"a": 1}"#), &settings(json!({}))).unwrap();
    assert_eq!(
        reception.events,
        [Event::new("event", "event").payload(json!({"a": 1}))]
    );
}

#[test]
fn several_events_may_come_at_once() {
    let host = Host::install();
    host.answer_cel(|expression, variables| {
        assert_eq!(expression, "json.n > 1");
        Ok((variables["json"]["n"].as_i64() > Some(1)).into())
    });
    let settings = settings(json!({"items": "$.events[*]", "id": "{$.n}", "when": "json.n > 1"}));
    let reception = receive(
        &delivery(r#"{"events": [{"n": 1}, {"n": 2}, {"n": 3}]}"#),
        &settings,
    )
    .unwrap();
    let ids: Vec<_> = reception
        .events
        .iter()
        .filter_map(|event| event.id.as_deref())
        .collect();
    assert_eq!(ids, ["2", "3"]);
}

#[test]
fn a_condition_that_has_no_value_is_the_senders_fault() {
    let host = Host::install();
    host.answer_cel(|_, _| Err(CelError::Failed("no such key".to_owned())));
    let refused = receive(&delivery("{}"), &settings(json!({"when": "json.n > 1"})));
    assert_eq!(refused, Err(Reject::malformed("no such key")));
}

#[test]
fn a_challenge_is_sent_back() {
    let host = Host::install();
    let settings = settings(
        json!({"secret": "s", "proof": {"scheme": "slack"}, "challenge": "{$.challenge}"}),
    );
    let sent = host.signed(
        delivery(r#"{"type": "url_verification", "challenge": "3eZb"}"#),
        Scheme::Slack,
        "s",
    );
    assert_eq!(receive(&sent, &settings), Ok(Reception::text("3eZb")));
    let sent = host.signed(
        delivery(r#"{"type": "event_callback"}"#),
        Scheme::Slack,
        "s",
    );
    assert_eq!(receive(&sent, &settings).unwrap().events.len(), 1);
}

#[test]
fn every_proof_is_taken_when_it_is_right_and_only_then() {
    let host = Host::install();
    let body = r#"{"a": 1}"#;
    let now_s = host.now_ms() / 1_000;
    let mac =
        |algorithm, secret: &str, message: &str| host.hmac(algorithm, secret, message.as_bytes());
    let with = |name: &str, value: String| delivery(body).with_header(name, &value);
    for (proof, good, bad) in [
        (
            json!({}),
            with("authorization", "Bearer k1".into()),
            with("authorization", "Bearer k".into()),
        ),
        (
            json!({}),
            with("authorization", "k2".into()),
            delivery(body),
        ),
        (
            json!({"header": "x-gitlab-token"}),
            with("x-gitlab-token", "k2".into()),
            with("x-gitlab-token", "".into()),
        ),
        (
            json!({"query": "key"}),
            delivery(body).with_query("key=k1"),
            delivery(body).with_query("key=k3"),
        ),
        (
            json!({"header": "x-sig", "algorithm": "hmac-sha1", "prefix": "sha1="}),
            with(
                "x-sig",
                format!("sha1={}", hex(&mac(Algorithm::HmacSha1, "k2", body))),
            ),
            with("x-sig", hex(&mac(Algorithm::HmacSha1, "k2", body))),
        ),
        (
            json!({"header": "x-sig", "algorithm": "hmac-sha512"}),
            with("x-sig", hex(&mac(Algorithm::HmacSha512, "k1", body))),
            with("x-sig", hex(&mac(Algorithm::HmacSha256, "k1", body))),
        ),
        (
            json!({"header": "x-sig", "algorithm": "hmac-sha256", "timestampHeader": "x-ts", "signed": "{timestamp}.{body}"}),
            with("x-ts", now_s.to_string()).with_header(
                "x-sig",
                &hex(&mac(
                    Algorithm::HmacSha256,
                    "k1",
                    &format!("{now_s}.{body}"),
                )),
            ),
            with("x-ts", (now_s - 301).to_string()).with_header(
                "x-sig",
                &hex(&mac(
                    Algorithm::HmacSha256,
                    "k1",
                    &format!("{}.{body}", now_s - 301),
                )),
            ),
        ),
        (
            json!({"scheme": "github"}),
            host.signed(delivery(body), Scheme::Github, "k2"),
            host.signed(delivery(body), Scheme::Github, "k3"),
        ),
    ] {
        let settings = settings(json!({"secret": ["k1", "k2"], "proof": proof}));
        assert_eq!(check_settings(&settings), [], "{proof}");
        assert!(
            receive(&good, &settings).is_ok(),
            "{proof}: {:?}",
            receive(&good, &settings)
        );
        assert!(
            matches!(receive(&bad, &settings), Err(Reject::Unauthenticated(_))),
            "{proof}"
        );
    }
}

#[test]
fn a_signature_in_base64_is_read() {
    let _host = Host::install();
    let settings = settings(json!({
        "secret": "Jefe", "proof": {"header": "x-sig", "algorithm": "hmac-sha256", "encoding": "base64"},
    }));
    // RFC 4231, test case 2; it is no JSON, which is found out behind the signature.
    let sent = delivery("what do ya want for nothing?")
        .with_header("x-sig", "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
    assert!(
        matches!(receive(&sent, &settings), Err(Reject::Malformed(_))),
        "{:?}",
        receive(&sent, &settings)
    );
}

#[test]
fn settings_that_make_no_sense_are_found() {
    let host = Host::install();
    host.answer_cel(|_, _| Err(CelError::Invalid("does not parse".to_owned())));
    let s = "s";
    for (json, path) in [
        (json!({"items": "events"}), "/items"),
        (json!({"payload": "$["}), "/payload"),
        (json!({"when": "json.n >"}), "/when"),
        (json!({"proof": {"header": "x"}}), "/secret"),
        (
            json!({"secret": s, "proof": {"header": "x", "query": "y"}}),
            "/proof",
        ),
        (
            json!({"secret": s, "proof": {"algorithm": "hmac-sha256"}}),
            "/proof/header",
        ),
        (
            json!({"secret": s, "proof": {"header": "x", "prefix": "y"}}),
            "/proof/prefix",
        ),
        (
            json!({"secret": s, "proof": {"header": "x", "algorithm": "hmac-sha256", "signed": "a"}}),
            "/proof/signed",
        ),
        (
            json!({"secret": s, "proof": {"header": "x", "algorithm": "hmac-sha256", "timestampHeader": "t"}}),
            "/proof/signed",
        ),
    ] {
        let faults = check_settings(&settings(json.clone()));
        assert!(
            faults.iter().any(|fault| fault.path == path),
            "{json}: {faults:?}"
        );
    }
    for kind in ["{type}", "{$.a", "{header:}", ""] {
        assert!(
            Settings::from_json(&json!({ "kind": kind }).to_string()).is_err() || kind.is_empty(),
            "{kind}"
        );
    }
}

#[test]
fn a_byte_order_mark_before_the_body_is_no_fault() {
    let host = Host::install();
    let settings =
        settings(json!({"secret": "s", "proof": {"scheme": "github"}, "kind": "{$.status}"}));
    let body = b"\xef\xbb\xbf{\"status\":\"UP\"}".to_vec();
    let sent = host.signed(delivery(body), Scheme::Github, "s");
    assert_eq!(receive(&sent, &settings).unwrap().events[0].kind, "UP");
}

#[test]
fn several_verdicts_of_one_delivery_are_kept_each_with_its_time() {
    let _host = Host::install();
    let settings = settings(json!({
        "items": "$.alerts[*]", "id": "{$.fingerprint}", "time": "{$.startsAt}",
        "status": {"value": "{$.status}", "healthy": ["resolved"], "unhealthy": ["firing"]},
    }));
    let body = json!({"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "fingerprint": "a", "startsAt": "2026-01-01T10:05:00Z"},
        {"status": "resolved", "fingerprint": "b", "startsAt": "2026-01-01T10:00:00Z"},
        {"status": "suppressed", "fingerprint": "c", "startsAt": "2026-01-01T10:01:00Z"},
    ]});
    let events = receive(&delivery(body.to_string()), &settings)
        .unwrap()
        .events;
    let verdicts: Vec<_> = events
        .iter()
        .map(|event| event.report.as_ref().map(|report| report.status))
        .collect();
    assert_eq!(
        verdicts,
        [Some(Status::Unhealthy), Some(Status::Healthy), None]
    );
    assert!(events[0].ts_ms > events[2].ts_ms && events[2].ts_ms > events[1].ts_ms);
}

#[test]
fn large_ids_and_decimals_are_kept_as_they_were_written() {
    let _host = Host::install();
    let settings = settings(json!({"id": "{$.id}", "summary": "{$.amount} paid"}));
    let body = r#"{"id":12345678901234567890123,"amount":10.00}"#;
    let event = receive(&delivery(body), &settings)
        .unwrap()
        .events
        .remove(0);
    assert_eq!(
        (event.id.as_deref(), event.summary.as_str()),
        (Some("12345678901234567890123"), "10.00 paid")
    );
    assert_eq!(event.payload["amount"].to_string(), "10.00");
}

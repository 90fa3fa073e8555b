use serde_json::{Value, json};

use super::*;
use crate::domain::{CallEnd, CallPath, CallSource, CallUnits};
use crate::usage::otlp::hosts::Hosts;

const TRACE: &str = "5b8efff798038103d269b633813fc60c";

fn hosts() -> Hosts {
    Hosts::at(&[
        ("pay", "https://api.pay.example/v1"),
        ("pay-eu", "https://api.pay.example/eu"),
        ("llm", "https://llm.example:8443"),
    ])
}

fn attribute(name: &str, value: Value) -> Value {
    let kind = match &value {
        Value::String(_) => "stringValue",
        Value::Number(_) => "intValue",
        _ => "boolValue",
    };
    json!({"key": name, "value": {kind: value}})
}

fn span(id: &str, attributes: &[(&str, Value)]) -> Value {
    let attributes: Vec<Value> = attributes
        .iter()
        .map(|(name, value)| attribute(name, value.clone()))
        .collect();
    json!({
        "traceId": TRACE, "spanId": id, "name": "x", "kind": 3,
        "startTimeUnixNano": "1795392000000000000", "endTimeUnixNano": 1_795_392_000_250_000_000_u64,
        "attributes": attributes,
    })
}

fn request(spans: Vec<Value>) -> Vec<u8> {
    let resource = json!({"attributes": [attribute("service.name", json!("checkout"))]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]})
        .to_string()
        .into_bytes()
}

fn taken(spans: Vec<Value>) -> Taken {
    read(Encoding::Json, &request(spans))
        .unwrap()
        .into_calls(&hosts())
}

#[test]
fn a_client_span_is_a_call_of_the_service_at_its_host() {
    let mut get = span(
        "eee19b7ec3c1b174",
        &[
            ("http.request.method", json!("GET")),
            (
                "url.full",
                json!("https://api.pay.example/v1/charges/ch_123456?expand=a"),
            ),
            ("server.address", json!("api.pay.example")),
            ("server.port", json!(443)),
            ("http.response.status_code", json!("200")),
            ("http.response.body.size", json!(512)),
        ],
    );
    get["kind"] = json!("SPAN_KIND_CLIENT");
    let taken = taken(vec![get]);
    assert_eq!((taken.rejected, taken.calls.len()), (0, 1));
    let call = &taken.calls[0];
    assert_eq!(call.id, format!("{TRACE}-eee19b7ec3c1b174"));
    assert_eq!(
        (call.service.as_ref(), call.consumer.as_deref()),
        ("pay", Some("checkout"))
    );
    assert_eq!((call.ts_ms, call.status), (1_795_392_000_000, Some(200)));
    assert_eq!(call.latency.unwrap().as_millis(), 250);
    assert_eq!((call.bytes_out, call.source), (512, CallSource::Otlp));
    assert_eq!(
        call.path,
        CallPath::Path("/v1/charges/ch_123456".to_owned())
    );
    assert_eq!(call.ended, CallEnd::Complete);
}

#[test]
fn the_base_path_the_port_and_names_tell_services_apart() {
    let at = |url: &str, more: &[(&str, Value)]| {
        let mut attributes = vec![("http.method", json!("POST")), ("http.url", json!(url))];
        attributes.extend(more.iter().cloned());
        let taken = taken(vec![span("eee19b7ec3c1b174", &attributes)]);
        let found = taken.calls.first().map(|call| call.service.to_string());
        found.ok_or(taken.reasons.join(";"))
    };
    assert_eq!(
        at("https://API.pay.example./eu/x", &[]),
        Ok("pay-eu".to_owned())
    );
    assert_eq!(at("https://llm.example:8443/x", &[]), Ok("llm".to_owned()));
    let unknown = "1 spans: no service has the host `llm.example`".to_owned();
    assert_eq!(at("https://llm.example/x", &[]), Err(unknown));
    assert!(at("https://api.pay.example/v2/x", &[]).is_err());
    assert_eq!(
        at("https://10.0.0.1/x", &[("extrack.service", json!("pay"))]),
        Ok("pay".to_owned())
    );
    assert_eq!(
        at("https://10.0.0.1/x", &[("peer.service", json!("pay"))]),
        Ok("pay".to_owned())
    );
    let wrong = at(
        "https://llm.example:8443/x",
        &[("extrack.service", json!("nobody"))],
    );
    assert_eq!(
        wrong,
        Err("1 spans: `extrack.service` names no service".to_owned())
    );
}

#[test]
fn tokens_are_units_and_the_exchange_below_is_the_same_call() {
    let chat = span(
        "aaaaaaaaaaaaaaaa",
        &[
            ("gen_ai.operation.name", json!("chat")),
            ("server.address", json!("llm.example")),
            ("server.port", json!(8443)),
            ("gen_ai.usage.input_tokens", json!(100)),
            ("gen_ai.usage.cache_read.input_tokens", json!(60)),
            ("gen_ai.usage.output_tokens", json!("20")),
        ],
    );
    let mut inner = span(
        "bbbbbbbbbbbbbbbb",
        &[
            ("http.request.method", json!("POST")),
            ("url.full", json!("https://llm.example:8443/v1/chat")),
        ],
    );
    inner["parentSpanId"] = json!("AAAAAAAAAAAAAAAA");
    let taken = taken(vec![inner, chat]);
    assert_eq!(taken.calls.len(), 1);
    let call = &taken.calls[0];
    assert_eq!(call.path, CallPath::Route("/chat".to_owned()));
    let units = [
        ("cached_tokens", 60),
        ("input_tokens", 40),
        ("output_tokens", 20),
    ];
    let units = units.map(|(unit, amount)| (unit.to_owned(), amount.into()));
    assert_eq!(call.units, CallUnits::Known(units.into()));
}

#[test]
fn other_spans_are_passed_over_and_wrong_ones_are_rejected_with_the_reason() {
    let http = [
        ("http.request.method", json!("GET")),
        ("url.full", json!("https://api.pay.example/v1/x")),
    ];
    let mut server = span("eee19b7ec3c1b174", &http);
    server["kind"] = json!(2);
    let database = span(
        "eee19b7ec3c1b174",
        &[
            ("db.system", json!("postgresql")),
            ("server.address", json!("api.pay.example")),
        ],
    );
    let mut ours = span("eee19b7ec3c1b174", &http);
    ours["traceState"] = json!("vendor=1, extrack=gateway");
    let quiet = taken(vec![server, database, ours]);
    assert_eq!((quiet.calls.len(), quiet.rejected), (0, 0));
    let short = span("eee1", &http);
    let mut early = span("eee19b7ec3c1b174", &http);
    early["startTimeUnixNano"] = json!("5");
    let wrong = taken(vec![short, early]);
    assert_eq!(
        (wrong.calls.len(), wrong.rejected, wrong.reasons.len()),
        (0, 2, 2)
    );
    let mut failed = span("eee19b7ec3c1b174", &http);
    failed["status"] = json!({"code": 2});
    failed["attributes"]
        .as_array_mut()
        .unwrap()
        .push(attribute("error.type", json!("ReadTimeout")));
    let failed = taken(vec![failed]);
    assert_eq!(failed.calls[0].error_kind.as_deref(), Some("ReadTimeout"));
    assert_eq!(failed.calls[0].ended, CallEnd::Timeout);
}

/// A field of protobuf with a length.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

/// An attribute with a text.
fn text(name: &str, value: &str) -> Vec<u8> {
    [
        field(1, name.as_bytes()),
        field(2, &field(1, value.as_bytes())),
    ]
    .concat()
}

#[test]
fn protobuf_is_read_by_its_numbers_and_unknown_fields_are_passed_over() {
    let mut bytes = Vec::new();
    bytes.extend(field(1, &hex::decode(TRACE).unwrap()));
    bytes.extend(field(2, &hex::decode("eee19b7ec3c1b174").unwrap()));
    bytes.extend(field(5, b"GET"));
    bytes.extend([6 << 3, 3]);
    bytes.push(7 << 3 | 1);
    bytes.extend(1_795_392_000_000_000_000_u64.to_le_bytes());
    bytes.push(8 << 3 | 1);
    bytes.extend(1_795_392_000_001_000_000_u64.to_le_bytes());
    bytes.extend(field(9, &text("http.request.method", "get")));
    bytes.extend(field(9, &text("url.full", "https://api.pay.example/v1/x")));
    let status = [
        field(1, b"http.response.status_code"),
        field(2, &[3 << 3, 0xc9, 1]),
    ]
    .concat();
    bytes.extend(field(9, &status));
    // A list, which is not read, and fields of a later version.
    bytes.extend(field(
        9,
        &[field(1, b"http.x"), field(2, &field(5, b""))].concat(),
    ));
    bytes.extend(field(100 % 16, b"later"));
    let scope = field(
        2,
        &[field(1, &field(1, b"library")), field(2, &bytes)].concat(),
    );
    let body = field(1, &scope);
    let taken = read(Encoding::Protobuf, &body)
        .unwrap()
        .into_calls(&hosts());
    let call = &taken.calls[0];
    assert_eq!((call.method.as_str(), call.status), ("GET", Some(201)));
    assert_eq!(call.latency.unwrap().as_millis(), 1);
    let error = read(Encoding::Protobuf, &body[..body.len() - 1]).unwrap_err();
    assert!(matches!(error, OtlpError::Malformed(_)));
    assert!(read(Encoding::Json, b"1").is_err() && read(Encoding::Json, b"{}").is_ok());
}

#[test]
fn answers_are_those_of_the_protocol() {
    assert_eq!(answer(Encoding::Protobuf, 0, ""), b"");
    assert_eq!(answer(Encoding::Json, 0, ""), b"{}");
    let partial = [vec![1 << 3, 3], field(2, b"why")].concat();
    assert_eq!(answer(Encoding::Protobuf, 3, "why"), field(1, &partial));
    let answer: Value = serde_json::from_slice(&answer(Encoding::Json, 3, "why")).unwrap();
    assert_eq!(
        answer,
        json!({"partialSuccess": {"rejectedSpans": "3", "errorMessage": "why"}})
    );
    assert_eq!(
        refusal(Encoding::Protobuf, 14, "full"),
        [vec![1 << 3, 14], field(2, b"full")].concat()
    );
}

proptest::proptest! {
    #[test]
    fn hostile_bytes_are_refused_and_nothing_worse(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400)) {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            if let Ok(spans) = read(encoding, &body) {
                let _ = spans.into_calls(&hosts());
            }
        }
    }
}

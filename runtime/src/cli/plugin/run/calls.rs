//! The host calls of a run, one by one.

use serde_json::{Value, json};

use super::super::units::{bytes, micros};
use crate::cli::print::{cell, line, table};
use crate::plugin_host::RecordedCall;

/// Calls shown; `--json` and `--record` have them all.
const SHOWN: usize = 50;

pub(super) fn json(calls: &[RecordedCall]) -> Value {
    let call = |call: &RecordedCall| {
        json!({
            "function": call.function,
            "target": target(&call.request),
            "atUs": call.at_us,
            "waitedUs": call.cost.waited_us,
            "bytesIn": call.cost.bytes_in,
            "result": result(call),
        })
    };
    calls.iter().map(call).collect()
}

pub(super) fn print(calls: &[RecordedCall]) {
    if calls.is_empty() {
        return;
    }
    line("");
    let row = |call: &RecordedCall| {
        vec![
            call.function.clone(),
            micros(call.cost.waited_us),
            bytes(call.cost.bytes_in),
            cell(&Value::from(result(call))),
            cell(&Value::from(target(&call.request))),
        ]
    };
    let rows: Vec<Vec<String>> = calls.iter().take(SHOWN).map(row).collect();
    table(&["HOST CALL", "WAITED", "RECEIVED", "RESULT", "OF"], &rows);
    if calls.len() > SHOWN {
        line(&format!("and {} more", calls.len() - SHOWN));
    }
}

/// Joins the pieces of a text of a request; a secret in it is `***`.
fn in_pieces(text: &Value) -> String {
    match text {
        Value::Array(pieces) => pieces
            .iter()
            .map(|piece| piece.as_str().unwrap_or("***"))
            .collect(),
        text => text.as_str().unwrap_or_default().to_owned(),
    }
}

/// Returns the subject of the call, on one line.
fn target(request: &Value) -> String {
    let text = |name: &str| request[name].as_str();
    if let Some(method) = text("method") {
        return format!("{method} {}", in_pieces(&request["url"]));
    }
    if let (Some(host), Some(port)) = (text("host"), request["port"].as_u64()) {
        return format!("{host}:{port}");
    }
    if let (Some(name), Some(record_type)) = (text("name"), text("record_type")) {
        return format!("{record_type} {name}");
    }
    let known = ["expression", "subject", "scheme", "algorithm"]
        .iter()
        .find_map(|name| text(name));
    if let Some(known) = known {
        return known.to_owned();
    }
    let number = |name: &str| {
        request[name]
            .as_u64()
            .map(|value| format!("{name} {value}"))
    };
    let known = ["connection", "window_ms", "last", "count"]
        .iter()
        .filter_map(|name| number(name));
    known.collect::<Vec<_>>().join(", ")
}

/// `200`, `ok`, or why not.
fn result(call: &RecordedCall) -> String {
    if call.missing.is_some() {
        return "none".to_owned();
    }
    if let Some(error) = call.answer.get("Err") {
        let text = match error {
            Value::Object(fields) => fields
                .iter()
                .next()
                .map(|(kind, text)| format!("{}: {}", kind.to_lowercase(), cell(text))),
            other => Some(cell(other)),
        };
        return text.unwrap_or_default();
    }
    let answer = call.answer.get("Ok").unwrap_or(&call.answer);
    match (&answer["status"], &answer["rcode"], answer) {
        (Value::Number(status), ..) => status.to_string(),
        (_, Value::String(rcode), _) => rcode.clone(),
        (_, _, Value::Number(number)) => number.to_string(),
        _ => "ok".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_line() {
        for (call, wanted) in [
            (
                json!({"function": "http.send", "request": {"method": "GET", "url": "http://a/"}, "answer": {"Ok": {"status": 200}}}),
                ("GET http://a/", "200"),
            ),
            (
                json!({"function": "tls.handshake", "request": {"host": "a", "port": 443}, "answer": {"Err": {"Tls": "expired"}}}),
                ("a:443", "tls: expired"),
            ),
            (
                json!({"function": "dns.resolve", "request": {"name": "a", "record_type": "MX"}, "answer": {"Ok": {"rcode": "NXDOMAIN"}}}),
                ("MX a", "NXDOMAIN"),
            ),
            (
                json!({"function": "tcp.read", "request": {"connection": 1, "max": 9}, "missing": "cut-off"}),
                ("connection 1", "none"),
            ),
            (
                json!({"function": "clock.now-ms", "request": null, "answer": 7}),
                ("", "7"),
            ),
        ] {
            let call: RecordedCall = serde_json::from_value(call).unwrap();
            assert_eq!(
                (target(&call.request).as_str(), result(&call).as_str()),
                wanted
            );
        }
    }
}

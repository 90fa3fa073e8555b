//! The same as JSON: ids are hexadecimal, 64-bit numbers are texts or numbers, enumerations are
//! numbers or names, and unknown fields are passed over.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::span::{Attributes, Span, Value};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(default)]
    resource: Option<Resource>,
    #[serde(default)]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    #[serde(default)]
    spans: Vec<SpanObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanObject {
    #[serde(default)]
    trace_id: String,
    #[serde(default)]
    span_id: String,
    #[serde(default)]
    parent_span_id: String,
    #[serde(default)]
    trace_state: String,
    #[serde(default)]
    kind: Word,
    #[serde(default, deserialize_with = "number")]
    start_time_unix_nano: u64,
    #[serde(default, deserialize_with = "number")]
    end_time_unix_nano: u64,
    #[serde(default)]
    attributes: Vec<KeyValue>,
    #[serde(default)]
    status: Option<SpanStatus>,
}

#[derive(Default, Deserialize)]
struct SpanStatus {
    #[serde(default)]
    code: Word,
}

/// Number or name of an enumeration.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(i32),
    Name(String),
}

impl Default for Word {
    fn default() -> Self {
        Word::Number(0)
    }
}

impl Word {
    fn is(&self, number: i32, name: &str) -> bool {
        match self {
            Word::Number(found) => *found == number,
            Word::Name(found) => found == name,
        }
    }
}

#[derive(Deserialize)]
struct KeyValue {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: Option<AnyValue>,
}

/// Lists and maps are not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyValue {
    #[serde(default)]
    string_value: Option<String>,
    #[serde(default)]
    bool_value: Option<bool>,
    #[serde(default)]
    int_value: Option<Number>,
    #[serde(default)]
    double_value: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(i64),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Unsigned {
        Number(u64),
        Text(String),
    }
    match Unsigned::deserialize(deserializer)? {
        Unsigned::Number(number) => Ok(number),
        Unsigned::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

pub(super) fn read(body: &[u8]) -> Result<Vec<Span>, String> {
    // Structures may be written as lists too, as far as the library goes.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("it is no JSON object".to_owned());
    }
    let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut spans = Vec::new();
    for group in request.resource_spans {
        let resource = group.resource.unwrap_or_default().attributes;
        let resource = Arc::new(attributes(resource));
        for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let status = span.status.unwrap_or_default();
            let is_client = span.kind.is(Span::CLIENT, "SPAN_KIND_CLIENT");
            spans.push(Span {
                trace_id: span.trace_id.to_ascii_lowercase(),
                span_id: span.span_id.to_ascii_lowercase(),
                parent_span_id: span.parent_span_id.to_ascii_lowercase(),
                trace_state: span.trace_state,
                kind: if is_client { Span::CLIENT } else { 0 },
                start_ns: span.start_time_unix_nano,
                end_ns: span.end_time_unix_nano,
                attributes: attributes(span.attributes),
                resource: Arc::clone(&resource),
                has_failed: status.code.is(Span::FAILED, "STATUS_CODE_ERROR"),
            });
        }
    }
    Ok(spans)
}

fn attributes(list: Vec<KeyValue>) -> Attributes {
    let value = |value: AnyValue| {
        let integer = value.int_value.and_then(|number| match number {
            Number::Number(number) => Some(number),
            Number::Text(text) => text.parse().ok(),
        });
        let text = value.string_value.map(Value::Text);
        text.or_else(|| integer.map(Value::Integer))
            .or_else(|| value.double_value.map(Value::Number))
            .or_else(|| value.bool_value.map(|value| Value::Text(value.to_string())))
    };
    let read = |field: KeyValue| Some((field.key, value(field.value?)?));
    Attributes::of(list.into_iter().filter_map(read))
}

//! [`Tape`]: what is left of a recording while it is played.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The format that this version of the crate reads.
const FORMAT: u64 = 2;

/// Rest of a recording.
pub(crate) struct Tape {
    pub(super) ts_ms: u64,
    pub(super) arguments: Vec<Value>,
    pub(super) calls: VecDeque<Map<String, Value>>,
    connections: u32,
}

impl Tape {
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut recording: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if recording["format"] != FORMAT {
            return Err(format!(
                "its format is {}, this version reads {FORMAT}",
                recording["format"]
            ));
        }
        spell_out(&mut recording["calls"]);
        spell_out(&mut recording["arguments"]);
        let list = |name: &str| {
            recording[name]
                .as_array()
                .cloned()
                .ok_or_else(|| format!("it has no `{name}`"))
        };
        let calls = list("calls")?.into_iter().map(|call| match call {
            Value::Object(call) => Ok(call),
            _ => Err("a call is not an object".to_owned()),
        });
        Ok(Self {
            ts_ms: recording["run"]["tsMs"].as_u64().unwrap_or_default(),
            arguments: list("arguments")?,
            calls: calls.collect::<Result<_, _>>()?,
            connections: 0,
        })
    }

    /// The recorded answer to the next call that is the same.
    pub(super) fn find<A: DeserializeOwned>(
        &mut self,
        function: &str,
        request: &Value,
    ) -> Option<A> {
        let same = |call: &Map<String, Value>| {
            call.get("function").is_some_and(|name| name == function)
                && call.get("request").unwrap_or(&Value::Null) == request
        };
        let index = self.calls.iter().position(same)?;
        let mut call = self.calls.remove(index)?;
        if let Some(missing) = call.get("missing").filter(|missing| !missing.is_null()) {
            panic!("the recording has no answer to `{function}` {request}: {missing}");
        }
        let answer = call.remove("answer").unwrap_or_default();
        let answer = serde_json::from_value(answer);
        Some(answer.unwrap_or_else(|error| {
            panic!("the recorded answer to `{function}` can't be read: {error}")
        }))
    }

    /// Counts the connections that the recorded run opened, from 1.
    pub(crate) fn next_connection(&mut self) -> u32 {
        self.connections += 1;
        self.connections
    }
}

/// Recordings write bytes as `{"utf8": …}` or `{"base64": …}`; here they are lists of numbers.
fn spell_out(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(spell_out),
        Value::Object(fields) => {
            let bytes = match (fields.len(), fields.iter().next()) {
                (1, Some((name, Value::String(text)))) if name == "utf8" => {
                    Some(text.as_bytes().to_vec())
                }
                (1, Some((name, Value::String(text)))) if name == "base64" => {
                    STANDARD.decode(text).ok()
                }
                _ => None,
            };
            match bytes {
                Some(bytes) => *value = Value::from(bytes),
                None => fields.values_mut().for_each(spell_out),
            }
        }
        _ => {}
    }
}

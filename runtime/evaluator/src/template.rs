//! Message templates: MiniJinja over the JSON of a message.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::{Kind, Reply, malformed};

/// Instructions of the template machine for one text: some milliseconds. A line for each of 1,000
/// alerts takes a fifth. What a filter or an operator does with one instruction is bounded by the
/// sandbox.
const FUEL: u64 = 200_000;

/// Loops and blocks inside each other.
const MAX_DEPTH: usize = 50;

/// More than any channel takes: Slack 40,000 characters, Telegram 4,096.
const MAX_TEXT_BYTES: usize = 64 * 1_024;

/// Keys of objects in which a name that is missing is the empty text.
const LABELS: [&str; 2] = ["labels", "groupLabels"];

#[derive(Deserialize)]
struct Request {
    /// `title`, `text` or `html`.
    field: String,
    source: String,
    view: Json,
}

/// What is wrong with a template, and where in it: line and column, from 1.
#[derive(Serialize)]
struct Fault {
    position: Option<(usize, usize)>,
    message: String,
}

pub(crate) fn render(request: &[u8]) -> Reply {
    let Ok(Request {
        field,
        source,
        view,
    }) = serde_json::from_slice(request)
    else {
        return malformed();
    };
    match rendered(&field, &source, view) {
        Ok(text) => (Kind::Value, text),
        Err(fault) => (
            Kind::Invalid,
            serde_json::to_string(&fault).unwrap_or_default(),
        ),
    }
}

fn rendered(field: &str, source: &str, view: Json) -> Result<String, Fault> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_debug(true);
    environment.set_auto_escape_callback(|name| match name {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    let mut written = Bounded::default();
    let rendered = environment
        .template_from_named_str(field, source)
        .and_then(|template| {
            template
                .render_captured_to(value(view), &mut written)
                .map(|_| ())
        });
    match rendered {
        _ if written.is_full => Err(Fault {
            position: None,
            message: format!("writes more than {MAX_TEXT_BYTES} bytes"),
        }),
        Ok(()) => Ok(String::from_utf8_lossy(&written.bytes).trim().to_owned()),
        Err(error) => Err(Fault {
            position: position(&error, source),
            message: sentence(&error, source),
        }),
    }
}

/// As JSON has it, but for labels.
fn value(json: Json) -> Value {
    match json {
        Json::Array(items) => items.into_iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(members) => {
            let member = |(name, member): (String, Json)| {
                let value = match member {
                    Json::Object(labels) if LABELS.contains(&name.as_str()) => Labels::of(labels),
                    other => value(other),
                };
                (name, value)
            };
            members.into_iter().map(member).collect::<Value>()
        }
        other => Value::from_serialize(other),
    }
}

/// Which labels there are differs from alert to alert: one that is missing is the empty text, as in
/// matchers.
#[derive(Debug)]
struct Labels(BTreeMap<String, String>);

impl Labels {
    fn of(labels: serde_json::Map<String, Json>) -> Value {
        let text =
            |(name, value): (String, Json)| (name, value.as_str().unwrap_or_default().to_owned());
        Value::from_object(Self(labels.into_iter().map(text).collect()))
    }
}

impl Object for Labels {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(Value::from(
            self.0.get(key.as_str()?).map_or("", String::as_str),
        ))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(
            self.0
                .keys()
                .map(|name| Value::from(name.as_str()))
                .collect(),
        )
    }
}

/// What an error is about, from the beginning of the name it is in.
fn place(error: &Error, source: &str) -> Option<Range<usize>> {
    let range = error.range()?;
    let is_outside = |c: char| !(c.is_alphanumeric() || "_.[]".contains(c));
    let start = source
        .get(..range.start)?
        .rfind(is_outside)
        .map_or(0, |at| at + 1);
    Some(start..range.end)
}

fn position(error: &Error, source: &str) -> Option<(usize, usize)> {
    let before = source.get(..place(error, source)?.start)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some((
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    ))
}

/// In lower case, with the words it is about.
fn sentence(error: &Error, source: &str) -> String {
    let words = place(error, source)
        .and_then(|range| source.get(range))
        .unwrap_or_default()
        .trim();
    match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, None) if !words.is_empty() => format!("there is no `{words}`"),
        (ErrorKind::OutOfFuel, _) => format!("takes more than {FUEL} steps"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_TEXT_BYTES {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

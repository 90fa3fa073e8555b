//! The setting `headers`. A value whose name marks it as a proof of the caller never enters the plugin:
//! the schema marks it as a secret, and the host puts it in.

use std::collections::BTreeMap;

use extrack_plugin::http::{Request, Text};
use extrack_plugin::json::Value;
use extrack_plugin::settings::{Fault, Faults, Place, Secret, Setting};

/// Words in the names of headers that hold secrets.
const SECRET_WORDS: [&str; 8] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "credential",
    "signature",
    "auth[-_]?key",
];
/// Words in front of `key`, with or without `-`.
const KEYS: [&str; 5] = ["api", "access", "functions", "subscription", "private"];

#[derive(Debug, Default)]
pub struct Headers(pub BTreeMap<String, HeaderValue>);

#[derive(Debug)]
pub enum HeaderValue {
    Plain(String),
    Secret(Secret),
}

impl HeaderValue {
    /// The text, unless it is a secret.
    pub fn plain(&self) -> Option<&str> {
        match self {
            HeaderValue::Plain(text) => Some(text),
            HeaderValue::Secret(_) => None,
        }
    }
}

impl From<&HeaderValue> for Text {
    fn from(value: &HeaderValue) -> Self {
        match value {
            HeaderValue::Plain(text) => text.into(),
            HeaderValue::Secret(secret) => secret.into(),
        }
    }
}

/// The schema of [`Headers`] decides by the name which of both it is.
impl Setting for HeaderValue {
    fn schema() -> String {
        String::schema()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        if value.is_object() {
            Secret::read(value, place, faults).map(Self::Secret)
        } else {
            String::read(value, place, faults).map(Self::Plain)
        }
    }
}

impl Headers {
    /// Adds them to a request.
    pub fn add_to(&self, request: Request) -> Request {
        self.0.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }

    /// Finds names that are none; `place` is the JSON Pointer of the setting.
    pub fn faults(&self, place: &str) -> Vec<Fault> {
        let wrong = self.0.keys().filter(|name| !is_header_name(name));
        let fault = |name: &String| Fault::new(format!("{place}/{name}"), "is no name of a header");
        wrong.map(fault).collect()
    }
}

impl Setting for Headers {
    fn schema() -> String {
        let words = SECRET_WORDS
            .map(str::to_owned)
            .into_iter()
            .chain(KEYS.map(|word| format!("{word}[-_]?key")));
        let pattern = words
            .map(|word| in_any_case(&word))
            .collect::<Vec<_>>()
            .join("|");
        let text = r#"{"type":"string"}"#;
        let secret = r#"{"type":"string","x-secret":true}"#;
        let pattern = Value::from(pattern);
        format!(
            r#"{{"type":"object","patternProperties":{{{pattern}:{secret}}},"additionalProperties":{text}}}"#
        )
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        BTreeMap::read(value, place, faults).map(Self)
    }
}

/// A token of RFC 9110, section 5.6.2.
pub fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}

/// Patterns of JSON Schema have no flag for it.
fn in_any_case(word: &str) -> String {
    let mut in_class = false;
    let either = word.chars().map(|letter| {
        in_class = letter == '[' || (in_class && letter != ']');
        if letter.is_ascii_lowercase() && !in_class {
            format!("[{}{letter}]", letter.to_ascii_uppercase())
        } else {
            letter.to_string()
        }
    });
    either.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_marks_what_a_name_says_is_secret() {
        let schema: Value = extrack_plugin::json::from_str(&Headers::schema()).unwrap();
        let patterns = schema["patternProperties"].as_object().unwrap();
        let (pattern, marked) = patterns.iter().next().unwrap();
        assert_eq!(marked["x-secret"], true);
        assert!(
            pattern.starts_with("[Aa][Uu][Tt][Hh]")
                && pattern.contains("[Aa][Pp][Ii][-_]?[Kk][Ee][Yy]"),
            "{pattern}"
        );
    }
}

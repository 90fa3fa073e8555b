//! Variables of a run: `{{name}}` in a text stands for what an earlier step extracted.

use std::collections::BTreeMap;

use extrack_plugin::json::Value;
use extrack_plugin::url::form_encode;

const BEGIN: &str = "{{";
const END: &str = "}}";

/// Where a text stands, which decides on how values are written into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Url,
    Header,
    Json,
    Form,
    Text,
}

#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// Puts values in. The error names what is wrong, never a value: it may be a secret.
    pub(crate) fn fill(&self, text: &str, place: Place) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        for part in parts(text) {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Name(name) => {
                    let value = self
                        .0
                        .get(name)
                        .ok_or_else(|| format!("variable `{name}` was not extracted"))?;
                    filled.push_str(&written(name, value, text, place)?);
                }
            }
        }
        Ok(filled)
    }
}

fn written(name: &str, value: &str, text: &str, place: Place) -> Result<String, String> {
    match place {
        // A link of an answer is taken as it is.
        Place::Url if is_alone(text) => Ok(value.to_owned()),
        Place::Url => Ok(url_encoded(value)),
        Place::Header if value.chars().any(char::is_control) => Err(format!(
            "variable `{name}` has control characters, which no header may have"
        )),
        Place::Json => {
            let quoted = Value::from(value).to_string();
            Ok(quoted[1..quoted.len() - 1].to_owned())
        }
        Place::Form => Ok(form_encode(value)),
        Place::Header | Place::Text => Ok(value.to_owned()),
    }
}

/// Whether a text is one variable and nothing else.
fn is_alone(text: &str) -> bool {
    let found: Vec<Part<'_>> = parts(text.trim());
    matches!(found[..], [Part::Name(_)])
}

fn url_encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            // `*` as well (RFC 3986, 3.3): a replay has `***` in the place of the value.
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'*' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// How a body is written: by its type, else by what it begins with.
pub(crate) fn place_of_body(body: &str, content_type: Option<&str>) -> Place {
    let is = |kind: &str| content_type.is_some_and(|found| found.to_lowercase().contains(kind));
    if is("json") || (content_type.is_none() && body.trim_start().starts_with(['{', '['])) {
        Place::Json
    } else if is("x-www-form-urlencoded") {
        Place::Form
    } else {
        Place::Text
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// What is no name between the braces is text.
fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(begin) = rest[from..].find(BEGIN).map(|place| from + place) {
        let inside = &rest[begin + BEGIN.len()..];
        let name = inside.split_once(END).map(|(name, _)| name.trim());
        match name.filter(|name| is_name(name)) {
            Some(name) => {
                if begin > 0 {
                    parts.push(Part::Text(&rest[..begin]));
                }
                parts.push(Part::Name(name));
                rest = inside.split_once(END).map_or("", |(_, behind)| behind);
                from = 0;
            }
            None => from = begin + 1,
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// Names that a text uses.
pub(crate) fn names(text: &str) -> Vec<&str> {
    let names = parts(text).into_iter().filter_map(|part| match part {
        Part::Name(name) => Some(name),
        Part::Text(_) => None,
    });
    names.collect()
}

pub(crate) fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_their_place_wants_them() {
        let mut variables = Variables::default();
        variables.set("id", "a b/\"c\"&d".to_owned());
        variables.set("next", "https://a.example/x?y=1&z=2".to_owned());
        variables.set("mask", "***".to_owned());
        variables.set("line", "a\r\nx: 1".to_owned());
        for (text, place, wanted) in [
            (
                "/items/{{id}}?q={{ id }}",
                Place::Url,
                Ok("/items/a%20b%2F%22c%22%26d?q=a%20b%2F%22c%22%26d"),
            ),
            ("/{{mask}}", Place::Url, Ok("/***")),
            ("{{next}}", Place::Url, Ok("https://a.example/x?y=1&z=2")),
            (
                "{\"id\": \"{{id}}\", \"o\": {\"p\": {}}}",
                Place::Json,
                Ok("{\"id\": \"a b/\\\"c\\\"&d\", \"o\": {\"p\": {}}}"),
            ),
            ("id={{id}}", Place::Form, Ok("id=a+b%2F%22c%22%26d")),
            ("<{{id}}>", Place::Text, Ok("<a b/\"c\"&d>")),
            ("Token {{id}}", Place::Header, Ok("Token a b/\"c\"&d")),
            (
                "{{line}}",
                Place::Header,
                Err("variable `line` has control characters, which no header may have"),
            ),
            (
                "{{other}}",
                Place::Text,
                Err("variable `other` was not extracted"),
            ),
            (
                "{{no name}} {{{id}}} {{",
                Place::Text,
                Ok("{{no name}} {a b/\"c\"&d} {{"),
            ),
        ] {
            let filled = variables.fill(text, place);
            assert_eq!(filled.as_deref().map_err(String::as_str), wanted, "{text}");
        }
        assert_eq!(names("{{a}}b{{ c_1 }}{{}}"), ["a", "c_1"]);
    }

    #[test]
    fn a_body_is_what_its_type_says() {
        for (body, content_type, wanted) in [
            ("{\"a\": 1}", None, Place::Json),
            (" [1]", None, Place::Json),
            (
                "a=1",
                Some("application/x-www-form-urlencoded"),
                Place::Form,
            ),
            ("<a/>", Some("text/xml"), Place::Text),
            ("{}", Some("text/plain"), Place::Text),
            ("a", Some("application/problem+JSON"), Place::Json),
        ] {
            assert_eq!(place_of_body(body, content_type), wanted, "{body}");
        }
    }
}

//! Members of a list of structured fields (RFC 9651): read strictly, and where a service does not
//! keep to the standard, leniently.

use sfv::{BareItem, Dictionary, List, ListEntry, Parser};

use super::values::split;

/// Digits of an integer (RFC 9651, 3.3.1).
const DIGITS: usize = 15;

/// Parameters that are looked at; the draft has five.
const PARAMETERS: usize = 16;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Count(u64),
    Text(String),
    /// Of another type, or out of range: nothing that these fields have.
    Other,
}

#[derive(Debug, PartialEq)]
pub(super) struct Member {
    pub(super) value: Value,
    pub(super) parameters: Vec<(String, Value)>,
}

impl Member {
    fn parameter(&self, name: &str) -> Option<&Value> {
        // The last one of a name counts, as in the standard.
        self.parameters
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    }

    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.parameter(name) {
            Some(Value::Count(count)) => Some(*count),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.parameter(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// Reads a list whose lines have been joined.
pub(super) fn list(text: &str) -> Vec<Member> {
    match Parser::new(text).parse::<List>() {
        Ok(list) => list
            .into_iter()
            .filter_map(|entry| match entry {
                ListEntry::Item(item) => Some(Member {
                    value: value(&item.bare_item),
                    parameters: item
                        .params
                        .iter()
                        .map(|(key, item)| (key.as_str().to_owned(), value(item)))
                        .collect(),
                }),
                ListEntry::InnerList(_) => None,
            })
            .collect(),
        Err(_) => split(text, ',').filter_map(lenient_member).collect(),
    }
}

/// Reads `limit=100, remaining=50` of the drafts 03 to 07.
pub(super) fn dictionary(text: &str) -> Member {
    let parameters = match Parser::new(text).parse::<Dictionary>() {
        Ok(dictionary) => dictionary
            .iter()
            .filter_map(|(key, entry)| match entry {
                ListEntry::Item(item) => Some((key.as_str().to_owned(), value(&item.bare_item))),
                ListEntry::InnerList(_) => None,
            })
            .collect(),
        Err(_) => split(text, ',').filter_map(pair).collect(),
    };
    Member {
        value: Value::Other,
        parameters,
    }
}

fn value(item: &BareItem) -> Value {
    match item {
        BareItem::Integer(number) => {
            u64::try_from(i64::from(*number)).map_or(Value::Other, Value::Count)
        }
        BareItem::String(text) => Value::Text(text.as_str().to_owned()),
        BareItem::Token(text) => Value::Text(text.as_str().to_owned()),
        BareItem::ByteSequence(bytes) => Value::Text(base64_of(bytes)),
        _ => Value::Other,
    }
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// `"name";a=1;b=2`. A second quoted text where a parameter should stand is the name, and the first
/// one a description of it (Hugging Face).
fn lenient_member(text: &str) -> Option<Member> {
    let mut parts = split(text, ';').take(PARAMETERS);
    let mut member = Member {
        value: lenient_value(parts.next()?),
        parameters: Vec::new(),
    };
    for part in parts {
        match pair(part) {
            Some(pair) => member.parameters.push(pair),
            None if part.starts_with('"') => member.value = lenient_value(part),
            None => {}
        }
    }
    Some(member)
}

fn pair(text: &str) -> Option<(String, Value)> {
    let (key, value) = text.split_once('=')?;
    Some((key.trim().to_owned(), lenient_value(value.trim())))
}

fn lenient_value(text: &str) -> Value {
    let is_quoted = text.starts_with('"');
    let inner = text.trim_matches('"');
    let is_number = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit());
    match inner {
        number if is_number && number.len() <= DIGITS => {
            number.parse().map_or(Value::Other, Value::Count)
        }
        _ if is_number => Value::Other,
        bytes if !is_quoted && bytes.starts_with(':') => {
            Value::Text(bytes.trim_matches(':').to_owned())
        }
        text if is_quoted || text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*') => {
            Value::Text(text.to_owned())
        }
        _ => Value::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_structured_field_is_read_leniently() {
        for (text, wanted) in [
            (r#""api";r=495;t=140"#, Some(("api", Some(495)))),
            (r#""fixed window";"api";r=5"#, Some(("api", Some(5)))),
            (r#""a";r=-1"#, Some(("a", None))),
            (r#""a";r=1.5"#, Some(("a", None))),
            (r#""a";r=9999999999999999"#, Some(("a", None))),
            (r#"a;r=1;;"#, Some(("a", Some(1)))),
            ("", None),
        ] {
            let members = list(text);
            let first = members.first().map(|member| {
                let name = match &member.value {
                    Value::Text(text) => text.as_str(),
                    _ => "-",
                };
                (name, member.count("r"))
            });
            assert_eq!(first, wanted, "{text}");
        }
    }
}

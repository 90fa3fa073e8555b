//! A text with places in it that are filled from the delivery: `{$.path}` and `{header:NAME}`.

use extrack_plugin::json::Value;
use extrack_plugin::jsonpath::JsonPath;
use extrack_plugin::prelude::*;
use extrack_plugin::settings::{Faults, Place};

pub(crate) struct Text(Vec<Part>);

enum Part {
    Literal(String),
    Path(JsonPath),
    Header(String),
}

impl Text {
    fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('{') {
            if start > 0 {
                parts.push(Part::Literal(rest[..start].to_owned()));
            }
            let inner = &rest[start + 1..];
            let end = inner.find('}').ok_or("has a `{` without its `}`")?;
            parts.push(match inner[..end].trim() {
                path if path.starts_with('$') => {
                    Part::Path(JsonPath::parse(path).map_err(|error| error.to_string())?)
                }
                other => match other.strip_prefix("header:") {
                    Some(name) if !name.is_empty() => Part::Header(name.to_lowercase()),
                    _ => {
                        return Err(format!(
                            "has `{{{other}}}`; wanted `{{$.path}}` or `{{header:NAME}}`"
                        ));
                    }
                },
            });
            rest = &inner[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Fills the places; returns none if one has no value, because half an id is no id.
    pub(crate) fn fill(&self, item: &Value, delivery: &Delivery) -> Option<String> {
        let parts = self.0.iter().map(|part| match part {
            Part::Literal(text) => Some(text.clone()),
            Part::Header(name) => delivery.header(name).map(str::to_owned),
            Part::Path(path) => match path.select(item).first()? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            },
        });
        parts
            .collect::<Option<String>>()
            .filter(|text| !text.is_empty())
    }
}

impl Setting for Text {
    fn schema() -> String {
        r#"{"type":"string","minLength":1,"examples":["{$.type}","{header:x-event}"]}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let text = faults.expect(value.as_str(), value, place, "a text")?;
        match Text::parse(text) {
            Ok(text) => Some(text),
            Err(message) => {
                faults.add(place, message);
                None
            }
        }
    }
}

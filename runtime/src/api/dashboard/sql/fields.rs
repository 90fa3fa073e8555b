//! Fields of the values that a statement's parameters take: `p_NAME` in the address of the page.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::api::resources::queries;
use crate::api_types::sql::SqlParams;

const PREFIX: &str = "p_";

pub(super) struct Values {
    parameters: Vec<String>,
    values: Map<String, Value>,
}

impl Values {
    /// Takes the values of the address, and the defaults of parameters whose fields are empty.
    pub(super) fn new(
        parameters: Vec<String>,
        defaults: Map<String, Value>,
        address: &BTreeMap<String, String>,
    ) -> Self {
        let mut values = defaults;
        for name in &parameters {
            let text = address.get(&format!("{PREFIX}{name}"));
            if let Some(value) = text.and_then(|text| read(text)) {
                values.insert(name.clone(), value);
            }
        }
        Self { parameters, values }
    }

    pub(super) fn passed(&self) -> SqlParams {
        queries::passed(self.parameters.len(), self.values.clone())
    }

    /// Names and texts of the fields that are filled in.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let field = |(name, value): (&String, &Value)| (format!("{PREFIX}{name}"), written(value));
        self.values.iter().map(field).collect()
    }

    pub(super) fn inputs(&self) -> Markup {
        html! {
            @if !self.parameters.is_empty() {
                div.actions {
                    @for name in &self.parameters {
                        label {
                            code { "$" (name) } " "
                            input name={ (PREFIX) (name) } value=(self.values.get(name).map(written).unwrap_or_default()) autocomplete="off" spellcheck="false";
                        }
                    }
                }
            }
        }
    }
}

/// Reads a number, `true`, `false`, `null` or a text in quotes as JSON does; the rest is a text.
fn read(text: &str) -> Option<Value> {
    if text.is_empty() {
        return None;
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(_) | Value::Object(_)) | Err(_) => Some(Value::from(text)),
        Ok(value) => Some(value),
    }
}

/// Returns the text of a field that is read as this value.
fn written(value: &Value) -> String {
    match value {
        Value::String(text)
            if !text.contains(char::is_control) && read(text).as_ref() == Some(value) =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_give_back_the_values_they_show() {
        for (value, text) in [
            (json!(10), "10"),
            (json!("shop-api"), "shop-api"),
            (json!("10"), "\"10\""),
            (json!(""), "\"\""),
            (json!("a\nb"), "\"a\\nb\""),
            (json!("[1]"), "[1]"),
            (json!(false), "false"),
            (json!(null), "null"),
        ] {
            assert_eq!(written(&value), text);
            assert_eq!(read(text), Some(value), "{text}");
        }
        assert_eq!(read(""), None);
    }

    #[test]
    fn defaults_hold_where_the_address_has_no_value() {
        let parameters = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let defaults = |value: Value| value.as_object().expect("an object").clone();
        let address = |pairs: &[(&str, &str)]| {
            let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
            pairs.iter().map(owned).collect::<BTreeMap<_, _>>()
        };
        for (names, given, fields, wanted) in [
            (
                vec!["n", "slug"],
                json!({"n": 10, "slug": "shop"}),
                vec![("p_n", "5"), ("p_slug", ""), ("p_other", "x")],
                json!({"n": 5, "slug": "shop"}),
            ),
            (
                vec!["1", "2"],
                json!({"2": "b"}),
                vec![("p_1", "a")],
                json!(["a", "b"]),
            ),
            (vec!["n"], json!({}), vec![], json!({})),
        ] {
            let values = Values::new(parameters(&names), defaults(given), &address(&fields));
            assert_eq!(json!(values.passed()), wanted);
        }
    }
}

//! One thing that has to be true of an answer: of a value in its JSON, of a header, or in CEL.

use extrack_plugin::jsonpath::JsonPath;
use extrack_plugin::prelude::*;

use crate::answer::{Answer, beginning};

/// Names a CEL assertion may use.
const VARIABLES: [&str; 5] = ["status", "headers", "body", "json", "latency_ms"];

#[derive(Settings)]
pub(crate) struct Assertion {
    /// Looks at what this JSONPath selects in the body.
    jsonpath: Option<String>,
    /// Looks at this header.
    header: Option<String>,
    /// A condition over `status`, `headers`, `body`, `json` and `latency_ms`; stands alone.
    cel: Option<String>,
    /// Every value found has to be this one.
    equals: Option<json::Value>,
    /// Every value found has to contain this text, or be a list with it.
    contains: Option<String>,
    /// Whether anything has to be found at all; the default, without the others, is true.
    exists: Option<bool>,
    /// Every value found has to be a number greater than this.
    above: Option<f64>,
    /// Every value found has to be a number less than this.
    below: Option<f64>,
}

impl Assertion {
    /// What is wrong with the assertion itself.
    pub(crate) fn check(&self) -> Result<(), String> {
        let subjects = [self.jsonpath.is_some(), self.header.is_some(), self.cel.is_some()];
        if subjects.iter().filter(|is_given| **is_given).count() != 1 {
            return Err("wanted exactly one of `jsonpath`, `header` and `cel`".to_owned());
        }
        let has_test = self.equals.is_some() || self.contains.is_some() || self.above.is_some() || self.below.is_some();
        if self.cel.is_some() && (has_test || self.exists.is_some()) {
            return Err("`cel` stands alone: put the comparison into the expression".to_owned());
        }
        if self.exists == Some(false) && has_test {
            return Err("`exists: false` leaves nothing to compare".to_owned());
        }
        if let Some(path) = &self.jsonpath {
            JsonPath::parse(path).map_err(|error| error.to_string())?;
        }
        if let Some(expression) = &self.cel {
            cel::check(expression, &VARIABLES).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// What is wrong with an answer: the value found beside the value wanted.
    pub(crate) fn fault(&self, answer: &Answer<'_>) -> Result<Option<String>, Stop> {
        if let Some(expression) = &self.cel {
            return fault_of_condition(expression, answer);
        }
        if let Some(path) = &self.jsonpath {
            let path_read = JsonPath::parse(path).map_err(|error| Stop::Settings(error.to_string()))?;
            return Ok(match answer.json() {
                Ok(document) => self.fault_of(&format!("`{path}`"), &path_read.select(document)),
                Err(fault) => Some(fault.to_owned()),
            });
        }
        let name = self.header.as_deref().unwrap_or_default();
        let value = answer.response.header(name).map(json::Value::from);
        Ok(self.fault_of(&format!("header `{name}`"), &value.iter().collect::<Vec<_>>()))
    }

    fn fault_of(&self, subject: &str, found: &[&json::Value]) -> Option<String> {
        match (found.first(), self.exists) {
            (Some(value), Some(false)) => return Some(format!("{subject} is {}, wanted none", shown(value))),
            (None, Some(false)) => return None,
            (None, _) => return Some(format!("{subject} is not there, wanted {}", self.wanted())),
            (Some(_), _) => {}
        }
        let wrong = found.iter().find(|value| !self.holds(value))?;
        Some(format!("{subject} is {}, wanted {}", shown(wrong), self.wanted()))
    }

    fn holds(&self, value: &json::Value) -> bool {
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        self.equals.as_ref().is_none_or(|wanted| equal(value, wanted))
            && self.contains.as_ref().is_none_or(|wanted| contains(value, wanted))
            && self.above.is_none_or(|limit| number.is_some_and(|number| number > limit))
            && self.below.is_none_or(|limit| number.is_some_and(|number| number < limit))
    }

    fn wanted(&self) -> String {
        let mut wanted = Vec::new();
        wanted.extend(self.equals.as_ref().map(shown));
        wanted.extend(self.contains.as_ref().map(|text| format!("one with `{text}` in it")));
        wanted.extend(self.above.map(|limit| format!("more than {limit}")));
        wanted.extend(self.below.map(|limit| format!("less than {limit}")));
        if wanted.is_empty() { "any value".to_owned() } else { wanted.join(" and ") }
    }
}

fn fault_of_condition(expression: &str, answer: &Answer<'_>) -> Result<Option<String>, Stop> {
    let variables = answer.variables(expression);
    // Said in place of `json is null`.
    let no_json = || variables.get("json").and_then(|_| answer.json().err()).map(str::to_owned);
    match cel::is_true(expression, &variables) {
        Ok(true) => Ok(None),
        Ok(false) | Err(cel::CelError::Failed(_)) if no_json().is_some() => Ok(no_json()),
        Ok(false) => Ok(Some(format!("`{expression}` is false, wanted true{}", values(&variables)))),
        Err(cel::CelError::Failed(text)) => {
            Ok(Some(format!("`{expression}` has no value: {text}{}", values(&variables))))
        }
        Err(error) => Err(error.into()),
    }
}

/// The variables that were used, as far as they fit into a message.
fn values(variables: &json::Value) -> String {
    let entries = variables.as_object().into_iter().flatten();
    let shown: Vec<String> = entries.map(|(name, value)| format!("{name} is {}", shown(value))).collect();
    if shown.is_empty() { String::new() } else { format!("; {}", shown.join(", ")) }
}

/// Numbers are equal by value: `1` and `1.0`.
fn equal(found: &json::Value, wanted: &json::Value) -> bool {
    found == wanted || (found.is_number() && wanted.is_number() && found.as_f64() == wanted.as_f64())
}

fn contains(value: &json::Value, wanted: &str) -> bool {
    match value {
        json::Value::String(text) => text.contains(wanted),
        json::Value::Array(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
        json::Value::Object(entries) => entries.contains_key(wanted),
        other => other.to_string().contains(wanted),
    }
}

fn shown(value: &json::Value) -> String {
    match value {
        json::Value::String(text) => format!("`{}`", beginning(text)),
        other => format!("`{}`", beginning(&other.to_string())),
    }
}

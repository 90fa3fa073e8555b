//! A variable that a step takes out of its answer, for the steps behind it.

use extrack_answers::{Answer, is_header_name};
use extrack_plugin::json::Value;
use extrack_plugin::jsonpath::JsonPath;
use extrack_plugin::prelude::*;
use extrack_plugin::secrets;
use regex_lite::Regex;

/// A longer value is no token and no id.
const MOST_BYTES: usize = 8 * 1024;

#[derive(Settings)]
pub(crate) struct Extract {
    /// The first value that this JSONPath selects in the body.
    jsonpath: Option<String>,
    /// The first value of this header.
    header: Option<String>,
    /// Regular expression: its first group, or all that it fits, in the body, or in what `jsonpath`
    /// or `header` found.
    regex: Option<String>,
}

impl Extract {
    /// Finds a fault of the settings themselves.
    pub(crate) fn check(&self) -> Result<(), String> {
        match (&self.jsonpath, &self.header, &self.regex) {
            (None, None, None) => {
                return Err("wanted one of `jsonpath`, `header` and `regex`".to_owned());
            }
            (Some(_), Some(_), _) => {
                return Err("wanted `jsonpath` or `header`, not both".to_owned());
            }
            _ => {}
        }
        if let Some(path) = &self.jsonpath {
            JsonPath::parse(path).map_err(|error| error.to_string())?;
        }
        if let Some(name) = self.header.as_ref().filter(|name| !is_header_name(name)) {
            return Err(format!("`{name}` is no name of a header"));
        }
        if let Some(pattern) = &self.regex {
            Regex::new(pattern).map_err(|error| format!("`regex` is wrong: {error}"))?;
        }
        Ok(())
    }

    pub(crate) fn reads_the_body(&self) -> bool {
        self.header.is_none()
    }

    /// Returns the value, or what was found in its place. A text may be a token, and is kept out of
    /// recordings; a number or a boolean of a body is not, which would be no JSON any more.
    pub(crate) fn value(&self, answer: &Answer<'_>) -> Result<String, String> {
        let mut is_text = true;
        let (subject, found) = match (&self.jsonpath, &self.header) {
            (Some(path), _) => {
                let found = selected(path, answer)?;
                is_text = found.is_string();
                (format!("`{path}`"), plain(found))
            }
            (None, Some(name)) => (format!("header `{name}`"), header(name, answer)?),
            (None, None) => ("the body".to_owned(), answer.text()?.to_owned()),
        };
        let value = match &self.regex {
            Some(pattern) => matched(pattern, &found)
                .ok_or_else(|| format!("{subject} does not fit the `regex`"))?,
            None => found,
        };
        if value.len() > MOST_BYTES {
            let bytes = value.len();
            return Err(format!(
                "{subject} has {bytes} bytes, wanted at most {MOST_BYTES}"
            ));
        }
        if is_text {
            secrets::hide(&value);
        }
        Ok(value)
    }
}

fn selected(path: &str, answer: &Answer<'_>) -> Result<Value, String> {
    let parsed = JsonPath::parse(path).map_err(|error| error.to_string())?;
    match parsed.select(answer.json()?).first() {
        Some(found @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => {
            Ok(Value::clone(found))
        }
        Some(Value::Null) => Err(format!("`{path}` is null, wanted a text or a number")),
        Some(_) => Err(format!("`{path}` has parts, wanted a text or a number")),
        None => Err(format!("`{path}` is not there, wanted a text or a number")),
    }
}

fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn header(name: &str, answer: &Answer<'_>) -> Result<String, String> {
    let found = answer.response.header(name).map(str::to_owned);
    found.ok_or_else(|| format!("header `{name}` is not there"))
}

fn matched(pattern: &str, text: &str) -> Option<String> {
    let regex = Regex::new(pattern).ok()?;
    let found = regex.captures(text)?;
    let group = found.get(1).or_else(|| found.get(0))?;
    Some(group.as_str().to_owned())
}

//! One thing that has to be true of an answer: of a value in its JSON, of a header, or in CEL.

use extrack_plugin::jsonpath::JsonPath;
use extrack_plugin::prelude::*;

use crate::answer::Answer;
use crate::names::names;
use crate::values::{contains, equal, has_number, is_same_kind, shown, typed};

/// Names a CEL assertion may use.
const VARIABLES: [&str; 5] = ["status", "headers", "body", "json", "latency_ms"];

/// Lines of one header that a message shows.
const SHOWN_LINES: usize = 3;

#[derive(Settings)]
pub struct Assertion {
    /// Looks at what this JSONPath selects in the body.
    jsonpath: Option<String>,
    /// Looks at this header. Where it comes several times, or is a list, one value that fits is
    /// enough.
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
    /// Finds a fault of the assertion itself.
    pub fn check(&self) -> Result<(), String> {
        let subjects = [
            self.jsonpath.is_some(),
            self.header.is_some(),
            self.cel.is_some(),
        ];
        if subjects.iter().filter(|is_given| **is_given).count() != 1 {
            return Err("wanted exactly one of `jsonpath`, `header` and `cel`".to_owned());
        }
        let has_test = self.equals.is_some()
            || self.contains.is_some()
            || self.above.is_some()
            || self.below.is_some();
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

    /// Whether it looks at the body.
    pub fn reads_the_body(&self) -> bool {
        let in_cel = |expression: &String| names(expression, "json") || names(expression, "body");
        self.jsonpath.is_some() || self.cel.as_ref().is_some_and(in_cel)
    }

    /// Finds a fault of an answer: the value found beside the value wanted.
    pub fn fault(&self, answer: &Answer<'_>) -> Result<Option<String>, Stop> {
        if let Some(expression) = &self.cel {
            return fault_of_condition(expression, answer);
        }
        if let Some(path) = &self.jsonpath {
            let path_read =
                JsonPath::parse(path).map_err(|error| Stop::Settings(error.to_string()))?;
            return Ok(match answer.json() {
                Ok(document) => self.fault_of(&format!("`{path}`"), &path_read.select(document)),
                Err(fault) => Some(fault.to_owned()),
            });
        }
        Ok(self.fault_of_header(self.header.as_deref().unwrap_or_default(), answer))
    }

    fn fault_of(&self, subject: &str, found: &[&json::Value]) -> Option<String> {
        match (found.first(), self.exists) {
            (Some(value), Some(false)) => {
                return Some(format!("{subject} is {}, wanted none", shown(value)));
            }
            (None, Some(false)) => return None,
            (None, _) => {
                return Some(format!(
                    "{subject} is not there, wanted {}",
                    self.wanted(shown)
                ));
            }
            (Some(_), _) => {}
        }
        let wrong = found.iter().find(|value| !self.holds(value))?;
        // `200` beside `200` would not help.
        let is_other_kind = self
            .equals
            .as_ref()
            .is_some_and(|wanted| !is_same_kind(wrong, wanted));
        let show = if is_other_kind { typed } else { shown };
        Some(format!(
            "{subject} is {}, wanted {}",
            show(wrong),
            self.wanted(show)
        ))
    }

    /// Lines of one name are a list, and so are the parts of a line between commas (RFC 9110, 5.3).
    fn fault_of_header(&self, name: &str, answer: &Answer<'_>) -> Option<String> {
        let subject = format!("header `{name}`");
        let headers = answer
            .response
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let lines: Vec<json::Value> = headers.map(|(_, value)| value.trim().into()).collect();
        if lines.is_empty() || self.exists == Some(false) {
            return self.fault_of(&subject, &lines.iter().collect::<Vec<_>>());
        }
        let parts = lines
            .iter()
            .filter_map(json::Value::as_str)
            .flat_map(|line| line.split(','))
            .map(str::trim);
        if lines
            .iter()
            .cloned()
            .chain(parts.map(json::Value::from))
            .any(|value| self.holds_as_text(&value))
        {
            return None;
        }
        let found: Vec<String> = lines.iter().take(SHOWN_LINES).map(shown).collect();
        let more = if lines.len() > SHOWN_LINES {
            " and others"
        } else {
            ""
        };
        Some(format!(
            "{subject} is {}{more}, wanted {}",
            found.join(" and "),
            self.wanted(shown)
        ))
    }

    fn holds(&self, value: &json::Value) -> bool {
        self.equals
            .as_ref()
            .is_none_or(|wanted| equal(value, wanted))
            && self.holds_but_equals(value)
    }

    /// A header is text, whatever it stands for: `5` is met by the number 5.
    fn holds_as_text(&self, value: &json::Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        let is_wanted = |wanted: &json::Value| match wanted {
            json::Value::Number(_) => {
                json::from_str(text).is_ok_and(|found: json::Value| equal(&found, wanted))
            }
            json::Value::Bool(flag) => text.eq_ignore_ascii_case(&flag.to_string()),
            wanted => equal(value, wanted),
        };
        self.equals.as_ref().is_none_or(is_wanted) && self.holds_but_equals(value)
    }

    fn holds_but_equals(&self, value: &json::Value) -> bool {
        self.contains
            .as_ref()
            .is_none_or(|wanted| contains(value, wanted))
            && self
                .above
                .is_none_or(|limit| has_number(value, |number| number > limit))
            && self
                .below
                .is_none_or(|limit| has_number(value, |number| number < limit))
    }

    fn wanted(&self, show: fn(&json::Value) -> String) -> String {
        let mut wanted = Vec::new();
        wanted.extend(self.equals.as_ref().map(show));
        wanted.extend(
            self.contains
                .as_ref()
                .map(|text| format!("one with `{text}` in it")),
        );
        wanted.extend(self.above.map(|limit| format!("more than {limit}")));
        wanted.extend(self.below.map(|limit| format!("less than {limit}")));
        if wanted.is_empty() {
            "any value".to_owned()
        } else {
            wanted.join(" and ")
        }
    }
}

fn fault_of_condition(expression: &str, answer: &Answer<'_>) -> Result<Option<String>, Stop> {
    if names(expression, "body")
        && let Err(reason) = answer.text()
    {
        return Ok(Some(format!("{reason}, wanted text for `{expression}`")));
    }
    let variables = answer.variables(expression);
    let fault = match cel::is_true(expression, &variables) {
        Ok(true) => return Ok(None),
        Ok(false) => format!("`{expression}` is false, wanted true"),
        Err(cel::CelError::Failed(text)) => format!("`{expression}` has no value: {text}"),
        Err(error) => return Err(error.into()),
    };
    // Without JSON, `json` is null, and what follows from that is not what is wrong.
    if names(expression, "json")
        && let Err(fault) = answer.json()
    {
        return Ok(Some(fault.to_owned()));
    }
    Ok(Some(format!("{fault}{}", values(&variables))))
}

/// The variables that were used, as far as they fit into a message.
fn values(variables: &json::Value) -> String {
    let entries = variables.as_object().into_iter().flatten();
    let shown: Vec<String> = entries
        .map(|(name, value)| format!("{name} is {}", shown(value)))
        .collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!("; {}", shown.join(", "))
    }
}

//! Texts in the forms that our files take: durations, and parts of expressions in CEL.

use std::time::Duration;

use serde_json::Value;

use crate::domain::duration::format_duration;

/// Units of Go and of Prometheus, in milliseconds.
const UNITS: [(&str, f64); 11] = [
    ("ns", 1e-6),
    ("us", 1e-3),
    ("µs", 1e-3),
    ("μs", 1e-3),
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 6e4),
    ("h", 3.6e6),
    ("d", 8.64e7),
    ("w", 6.048e8),
    ("y", 3.1536e10),
];

/// Reads a duration as Go and Prometheus write it: `1h30m`, `1.5h`, `500ms`, `0`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total_ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, next) = behind.split_at(end.unwrap_or(behind.len()));
        let (_, unit_ms) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        total_ms += number.parse::<f64>().ok()? * unit_ms;
        rest = next;
    }
    let is_duration = !text.trim().is_empty() && total_ms < 1e12;
    is_duration.then(|| Duration::from_millis(total_ms.round() as u64))
}

/// Returns a duration as our files have it.
pub(super) fn written(duration: Duration) -> Value {
    Value::String(format_duration(duration))
}

/// Returns a text of CEL.
pub(super) fn cel_text(text: &str) -> String {
    let mut quoted = String::from("'");
    for character in text.chars() {
        match character {
            '\\' => quoted.push_str("\\\\"),
            '\'' => quoted.push_str("\\'"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

/// Returns the value that a text stands for where a program compares everything as text: a number
/// or a boolean if it reads as one.
pub(super) fn typed(text: &str) -> Value {
    let number = || {
        let starts = text
            .trim_start_matches('-')
            .starts_with(|c: char| c.is_ascii_digit());
        let is_padded = text.trim_start_matches('-').starts_with('0') && !text.contains('.');
        let is_number = starts && (!is_padded || text.trim_start_matches('-') == "0");
        is_number
            .then(|| serde_json::from_str::<Value>(text).ok())
            .flatten()
            .filter(Value::is_number)
    };
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        text => number().unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// Returns a value of CEL for a text that may stand for a number or a boolean.
pub(super) fn cel_typed(text: &str) -> String {
    match typed(text) {
        Value::String(text) => cel_text(&text),
        other => other.to_string(),
    }
}

/// Returns the regular expression that a pattern with `*` and `?` means; none where it has classes.
pub(super) fn glob_as_regex(pattern: &str) -> Option<String> {
    let mut expression = String::from("(?s)^");
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            '[' => return None,
            '\\' => expression.push_str(&regex::escape(&characters.next()?.to_string())),
            other => expression.push_str(&regex::escape(&other.to_string())),
        }
    }
    expression.push('$');
    Some(expression)
}

/// Returns the text that a regular expression looks for if it is plain: without anchors, and with
/// no character that stands for others. `.` counts as itself.
pub(super) fn plain_text_of(expression: &str) -> Option<String> {
    let trimmed = expression.trim_start_matches('^').trim_end_matches('$');
    let trimmed = trimmed.trim_start_matches(".*").trim_end_matches(".*");
    let mut text = String::new();
    let mut characters = trimmed.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let escaped = characters.next()?;
                if escaped.is_ascii_alphanumeric() {
                    return None;
                }
                text.push(escaped);
            }
            '+' if text.is_empty() => text.push('+'),
            '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => return None,
            other => text.push(other),
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Path into a JSON document.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(u64),
}

impl JsonPath {
    /// Reads keys joined by `.`, with `[NUMBER]` behind them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('$').unwrap_or(text);
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (index, next) = inner.split_once(']')?;
                let index = index.trim();
                steps.push(match index.trim_matches(['\'', '"']) {
                    quoted if quoted.len() + 2 == index.len() => Step::Key(quoted.to_owned()),
                    number => Step::Index(number.parse().ok()?),
                });
                rest = next;
                continue;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (key, next) = rest.split_at(end);
            let is_key = |c: char| c.is_alphanumeric() || "_-@/ ".contains(c);
            if key.is_empty() || !key.chars().all(is_key) {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
            rest = next;
        }
        Some(Self(steps))
    }

    /// Returns the path as RFC 9535 writes it.
    pub(super) fn in_rfc_form(&self) -> String {
        let steps = self.0.iter().map(|step| match step {
            Step::Key(key) if is_name(key) => format!(".{key}"),
            Step::Key(key) => format!("['{}']", key.replace('\\', "\\\\").replace('\'', "\\'")),
            Step::Index(index) => format!("[{index}]"),
        });
        format!("${}", steps.collect::<String>())
    }

    /// Returns the path in CEL, below the variable `json`.
    pub(super) fn in_cel(&self) -> String {
        let steps = self.0.iter().map(|step| match step {
            Step::Key(key) if is_name(key) && !is_reserved(key) => format!(".{key}"),
            Step::Key(key) => format!("[{}]", cel_text(key)),
            Step::Index(index) => format!("[{index}]"),
        });
        format!("json{}", steps.collect::<String>())
    }
}

fn is_name(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Words that CEL keeps for itself.
fn is_reserved(key: &str) -> bool {
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
    .contains(&key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn durations_of_go_and_prometheus_are_read() {
        for (text, ms) in [
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1.5h", Some(5_400_000)),
            ("300ms", Some(300)),
            ("7d", Some(604_800_000)),
            ("0", Some(0)),
            ("", None),
            ("5", None),
            ("m", None),
            ("1x", None),
        ] {
            let found = duration(text).map(|duration| duration.as_millis());
            assert_eq!(found, ms, "{text}");
        }
    }

    #[test]
    fn texts_that_stand_for_values_get_their_type() {
        for (text, value) in [
            ("200", json!(200)),
            ("-1.5", json!(-1.5)),
            ("true", json!(true)),
            ("UP", json!("UP")),
            ("007", json!("007")),
            ("0", json!(0)),
            ("", json!("")),
            ("1.2.3.4", json!("1.2.3.4")),
        ] {
            assert_eq!(typed(text), value, "{text}");
        }
        assert_eq!(cel_typed("it's"), "'it\\'s'");
    }

    #[test]
    fn patterns_become_expressions() {
        assert_eq!(glob_as_regex("john*").unwrap(), "(?s)^john.*$");
        assert_eq!(glob_as_regex("*a.b?").unwrap(), "(?s)^.*a\\.b.$");
        assert_eq!(glob_as_regex("[ab]"), None);
        for (expression, text) in [
            ("^SSH-2.0-", Some("SSH-2.0-")),
            ("^+OK", Some("+OK")),
            ("example\\.com$", Some("example.com")),
            ("OK.*STARTTLS", None),
            ("^220 ([^ ]+)", None),
            ("\\d", None),
            ("", None),
        ] {
            assert_eq!(plain_text_of(expression).as_deref(), text, "{expression}");
        }
    }

    #[test]
    fn paths_are_written_in_both_forms() {
        for (text, rfc, cel) in [
            ("status", "$.status", "json.status"),
            ("$.a.b[0].c-d", "$.a.b[0]['c-d']", "json.a.b[0]['c-d']"),
            ("[0].id", "$[0].id", "json[0].id"),
            ("a['x y'].in", "$.a['x y'].in", "json.a['x y']['in']"),
        ] {
            let path = JsonPath::parse(text).unwrap();
            assert_eq!(path.in_rfc_form(), rfc, "{text}");
            assert_eq!(path.in_cel(), cel, "{text}");
        }
        for text in ["$count(a)", "a[b=1]", "a..b", "*"] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }
}

//! Matchers in Alertmanager's syntax: `severity="critical"`, `service!=shop-api`, `service=~"shop-.*"`, `owner!~"team-[ab]"`.

use std::fmt;

use regex::Regex;

use super::labels::Labels;

/// Longer expressions are hardly meant so, and cost memory once compiled.
const MAX_TEXT: usize = 1_024;
const MAX_REGEX_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Matches,
    DoesNotMatch,
}

impl Operator {
    fn as_str(self) -> &'static str {
        match self {
            Operator::Equal => "=",
            Operator::NotEqual => "!=",
            Operator::Matches => "=~",
            Operator::DoesNotMatch => "!~",
        }
    }
}

/// One condition on one label. An expression has to match the whole value. Where a label has several values, `=` and `=~`
/// want one that fits, `!=` and `!~` none.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub label: String,
    pub operator: Operator,
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Errors say what was expected, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("is longer than {MAX_TEXT} bytes"));
        }
        let text = text.trim();
        let end = text.find(['=', '!']).ok_or_else(|| wrong(text))?;
        let (label, rest) = text.split_at(end);
        let label = label.trim();
        let operators = [Operator::Matches, Operator::DoesNotMatch, Operator::NotEqual, Operator::Equal];
        let operator =
            operators.into_iter().find(|operator| rest.starts_with(operator.as_str())).ok_or_else(|| wrong(text))?;
        if label.is_empty() || !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(wrong(text));
        }
        let value = unquote(rest[operator.as_str().len()..].trim())?;
        Self::new(label, operator, &value)
    }

    pub fn new(label: &str, operator: Operator, value: &str) -> Result<Self, String> {
        let regex = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::DoesNotMatch => {
                let anchored = regex::RegexBuilder::new(&format!("^(?:{value})$"));
                let built = { anchored }.dot_matches_new_line(true).size_limit(MAX_REGEX_BYTES).build();
                // The last line says it; those before point into the anchored text.
                let reason =
                    |error: regex::Error| error.to_string().lines().last().unwrap_or_default().replace("error: ", "");
                Some(built.map_err(|error| format!("`{value}` is not a regular expression: {}", reason(error)))?)
            }
        };
        Ok(Self { label: label.to_owned(), operator, value: value.to_owned(), regex })
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        let values = labels.values(&self.label);
        let fits = |value: &str| match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value == self.value,
        };
        let any = if values.is_empty() { fits("") } else { values.iter().any(|value| fits(value)) };
        any != matches!(self.operator, Operator::NotEqual | Operator::DoesNotMatch)
    }
}

/// All of them; none match everything.
pub fn all_match(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| matcher.matches(labels))
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.label, self.operator, &self.value) == (&other.label, other.operator, &other.value)
    }
}

/// In the form that [`Matcher::parse`] reads.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.label, self.operator.as_str())
    }
}

fn wrong(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    format!("`{shown}` is not a matcher; write e.g. `severity=\"critical\"` or `service=~\"shop-.*\"`")
}

/// `"…"` with `\"`, `\\` and `\n`, or a bare word.
fn unquote(text: &str) -> Result<String, String> {
    let Some(inner) = text.strip_prefix('"') else {
        return match text.contains('"') {
            true => Err(format!("`{text}` has a quotation mark in the middle; put the whole value in quotation marks")),
            false => Ok(text.to_owned()),
        };
    };
    let mut value = String::new();
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Ok(value),
            '"' => break,
            '\\' => match characters.next() {
                Some('n') => value.push('\n'),
                Some(escaped @ ('"' | '\\')) => value.push(escaped),
                // As in Alertmanager, so that `\d` in an expression needs no doubling.
                Some(other) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err(format!("`{text}` does not end with its quotation mark"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn matches_as_alertmanager_does() {
        let labels = Labels::from([("severity", "critical"), ("service", "shop-api"), ("tag", "eu"), ("tag", "paid")]);
        for (text, wanted) in [
            (r#"severity="critical""#, true),
            ("severity=critical", true),
            ("severity = warning", false),
            (r#"severity!="critical""#, false),
            (r#"service=~"shop-.*""#, true),
            (r#"service=~"shop""#, false),
            (r#"service!~"shop""#, true),
            (r#"service=~"a|shop-api""#, true),
            ("tag=eu", true),
            ("tag=paid", true),
            ("tag!=eu", false),
            ("tag!=us", true),
            ("owner=\"\"", true),
            ("owner=~\".+\"", false),
            ("owner!=\"\"", false),
            ("owner!=ops", true),
        ] {
            assert_eq!(Matcher::parse(text).unwrap().matches(&labels), wanted, "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, wanted) in [
            ("severity", "is not a matcher"),
            ("=critical", "is not a matcher"),
            ("a b=c", "is not a matcher"),
            ("severity!critical", "is not a matcher"),
            (r#"severity="critical"#, "does not end with its quotation mark"),
            (r#"severity="crit"ical"#, "does not end with its quotation mark"),
            (r#"severity=cri"tical"#, "in the middle"),
            ("service=~\"(\"", "is not a regular expression"),
        ] {
            let error = Matcher::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_can_be_read_back(value in "\\PC{0,20}|[\"\\\\\n]{0,5}") {
            let matcher = Matcher::new("service", Operator::Equal, &value).unwrap();
            prop_assert_eq!(Matcher::parse(&matcher.to_string()).unwrap(), matcher);
        }
    }
}

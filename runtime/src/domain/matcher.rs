//! Matchers in Alertmanager's syntax: `severity="critical"`, `service!=shop-api`,
//! `service=~"shop-.*"`, `owner!~"team-[ab]"`.

use std::fmt;

use regex::Regex;

use super::labels::Labels;

/// Longer expressions are hardly meant so, and cost memory once compiled.
const MAX_TEXT: usize = 1_024;
const MAX_REGEX_BYTES: usize = 1 << 20;
/// Limit of a text with several matchers.
const MAX_LIST_TEXT: usize = 32 * MAX_TEXT;

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

/// One condition on one label. An expression has to match the whole value. Where a label has
/// several values, `=` and `=~` want one that fits, `!=` and `!~` none.
#[derive(Debug, Clone)]
pub struct Matcher {
    pub label: String,
    pub operator: Operator,
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Reads one matcher or several, as Alertmanager takes them: `{severity="critical",
    /// team="payments"}`, with or without the braces. Errors explain what to write, for people.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        if text.len() > MAX_LIST_TEXT {
            return Err(format!("is longer than {MAX_LIST_TEXT} bytes"));
        }
        let inner = match text.trim().strip_prefix('{') {
            None => text.trim(),
            Some(inner) => inner
                .strip_suffix('}')
                .ok_or_else(|| format!("{}; its `{{` is not closed", wrong(text)))?
                .trim(),
        };
        // Alertmanager allows a comma behind the last one.
        let inner = inner.strip_suffix(',').unwrap_or(inner);
        split_at_commas(inner)
            .into_iter()
            .map(Self::parse)
            .collect()
    }

    /// Exactly one.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEXT {
            return Err(format!("is longer than {MAX_TEXT} bytes"));
        }
        let text = text.trim();
        let end = text.find(['=', '!']).ok_or_else(|| wrong(text))?;
        let (label, rest) = text.split_at(end);
        let label = label.trim();
        let operators = [
            Operator::Matches,
            Operator::DoesNotMatch,
            Operator::NotEqual,
            Operator::Equal,
        ];
        let operator = operators
            .into_iter()
            .find(|operator| rest.starts_with(operator.as_str()))
            .ok_or_else(|| wrong(text))?;
        if label.is_empty() || !label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(wrong(text));
        }
        let value = value_of(label, operator, rest[operator.as_str().len()..].trim())?;
        Self::new(label, operator, &value)
    }

    pub fn new(label: &str, operator: Operator, value: &str) -> Result<Self, String> {
        let regex = match operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::DoesNotMatch => {
                let build = |text: &str| {
                    let mut builder = regex::RegexBuilder::new(text);
                    builder
                        .dot_matches_new_line(true)
                        .size_limit(MAX_REGEX_BYTES)
                        .build()
                };
                // The last line has the reason; those before point into the text.
                let reason = |error: regex::Error| {
                    error
                        .to_string()
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .replace("error: ", "")
                };
                // By itself first: `a)|(b` is an expression only between the parentheses of the
                // anchored one.
                let built = build(value).and_then(|_| build(&format!("^(?:{value})$")));
                Some(built.map_err(|error| {
                    format!("`{value}` is not a regular expression: {}", reason(error))
                })?)
            }
        };
        Ok(Self {
            label: label.to_owned(),
            operator,
            value: value.to_owned(),
            regex,
        })
    }

    /// Returns the text of [`fmt::Display`], with the names of `a|b|c` in alphabetical order.
    pub fn in_order(&self) -> String {
        let are_names = !self.value.contains(|c: char| "\\.+*?()[]{}^$".contains(c));
        if self.regex.is_none() || !are_names {
            return self.to_string();
        }
        let mut names: Vec<&str> = self.value.split('|').collect();
        names.sort_unstable();
        Self {
            value: names.join("|"),
            regex: None,
            ..self.clone()
        }
        .to_string()
    }

    pub fn matches(&self, labels: &Labels) -> bool {
        let values = labels.values(&self.label);
        let fits = |value: &str| match &self.regex {
            Some(regex) => regex.is_match(value),
            None => value == self.value,
        };
        let any = if values.is_empty() {
            fits("")
        } else {
            values.iter().any(|value| fits(value))
        };
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

/// Writes the form that [`Matcher::parse`] reads.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self
            .value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.label, self.operator.as_str())
    }
}

fn wrong(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    format!(
        "`{shown}` is not a matcher; write e.g. `severity=\"critical\"` or `service=~\"shop-.*\"`"
    )
}

/// The parts between commas that stand outside of quotation marks.
fn split_at_commas(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut is_quoted, mut is_escaped) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `"…"` with `\"`, `\\` and `\n`, or a bare word: what a bare word can't mean is a fault, because
/// it would match nothing.
fn value_of(label: &str, operator: Operator, text: &str) -> Result<String, String> {
    match text.strip_prefix('"') {
        Some(inner) => unquote(text, inner),
        None => bare_fault(label, operator, text).map_or_else(|| Ok(text.to_owned()), Err),
    }
}

fn bare_fault(label: &str, operator: Operator, text: &str) -> Option<String> {
    let sign = operator.as_str();
    let is_exact = matches!(operator, Operator::Equal | Operator::NotEqual);
    let written = |sign: &str, value: &str| {
        let value = value
            .trim()
            .trim_matches(['"', '\'', '`'])
            .replace('\\', "\\\\")
            .replace('"', "\\\"");
        format!("`{label}{sign}\"{value}\"`")
    };
    let expression = if operator == Operator::NotEqual {
        "!~"
    } else {
        "=~"
    };
    if let Some(value) = text.strip_prefix(['=', '~', '!']) {
        let value = value.trim_start_matches(['=', '~', '!']);
        let meant = match operator {
            Operator::Equal if text.starts_with('!') => Operator::NotEqual.as_str(),
            _ => sign,
        };
        let wanted = written(meant, value);
        return Some(format!("`{sign}{text}` is no comparison; write {wanted}"));
    }
    let wanted = written(sign, text);
    if text.contains(['"', '\'', '`']) {
        return Some(format!(
            "`{text}` is not in double quotation marks as a whole; write {wanted}"
        ));
    }
    if text.contains('=') || has_join(text) {
        return Some(format!(
            "`{text}` looks like more than one value; put a comma between matchers, and a value such as {wanted} in quotation \
             marks"
        ));
    }
    if !is_exact {
        return None;
    }
    if text.contains('|') {
        let wanted = written(expression, text);
        return Some(format!(
            "`|` is a part of the value here; for one of several write {wanted}"
        ));
    }
    if text.contains('*') {
        let wanted = written(expression, &text.replace(".*", "*").replace('*', ".*"));
        return Some(format!(
            "`*` is a part of the value here; for any text write {wanted}"
        ));
    }
    text.contains(['{', '}'])
        .then(|| format!("`{text}` has a brace; put the value in quotation marks: {wanted}"))
}

/// True if words such as `and` join several values.
fn has_join(text: &str) -> bool {
    let joins = |word: &str| {
        ["and", "or", "&&", "||"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
    };
    text.contains(char::is_whitespace) && text.split_whitespace().any(joins)
}

fn unquote(text: &str, inner: &str) -> Result<String, String> {
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
        let labels = Labels::from([
            ("severity", "critical"),
            ("service", "shop-api"),
            ("tag", "eu"),
            ("tag", "paid"),
        ]);
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
            assert_eq!(
                Matcher::parse(text).unwrap().matches(&labels),
                wanted,
                "{text}"
            );
        }
    }

    #[test]
    fn faults_explain_what_is_wrong() {
        for (text, wanted) in [
            ("severity", "is not a matcher"),
            ("=critical", "is not a matcher"),
            ("a b=c", "is not a matcher"),
            ("severity!critical", "is not a matcher"),
            (
                r#"severity="critical"#,
                "does not end with its quotation mark",
            ),
            (
                r#"severity="crit"ical"#,
                "does not end with its quotation mark",
            ),
            (r#"severity=cri"tical"#, "double quotation marks"),
            ("service=~\"(\"", "is not a regular expression"),
        ] {
            let error = Matcher::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn what_people_write_is_read_as_they_mean_it_or_a_fault_that_shows_how_to_write_it() {
        let labels = Labels::from([
            ("severity", "critical"),
            ("team", "payments"),
            ("service", "shop-api"),
        ]);
        for text in [
            "severity=critical,team=payments",
            "severity=critical, team=payments",
            r#"{severity="critical", team="payments"}"#,
            r#"{ severity="critical",team=~"pay.*", }"#,
            "{severity=critical}",
        ] {
            let matchers = Matcher::parse_list(text).unwrap();
            assert!(all_match(&matchers, &labels), "{text}");
            assert_eq!(
                matchers.len(),
                1 + usize::from(text.contains("team")),
                "{text}"
            );
            assert!(
                !all_match(
                    &matchers,
                    &Labels::from([("severity", "warning"), ("team", "payments")])
                ),
                "{text}"
            );
        }
        for (text, wanted) in [
            ("severity='critical'", r#"write `severity="critical"`"#),
            ("severity=`critical`", r#"write `severity="critical"`"#),
            ("severity==critical", r#"write `severity="critical"`"#),
            ("severity=!critical", r#"write `severity!="critical"`"#),
            ("severity!==critical", r#"write `severity!="critical"`"#),
            (r#"service=~"a)|(b""#, "is not a regular expression"),
            (
                "severity=critical|warning",
                r#"write `severity=~"critical|warning"`"#,
            ),
            (
                "severity!=critical|warning",
                r#"write `severity!~"critical|warning"`"#,
            ),
            ("service=shop-*", r#"write `service=~"shop-.*"`"#),
            (
                "severity=critical team=payments",
                "put a comma between matchers",
            ),
            ("severity=critical and team", "put a comma between matchers"),
            ("severity=critical}", "has a brace"),
            ("{severity=critical", "is not closed"),
            ("{}", "is not a matcher"),
            ("severity=critical,,team=payments", "is not a matcher"),
            ("service=~a{2,3}", "is not a regular expression"),
            ("severity: critical", "is not a matcher"),
        ] {
            let error = Matcher::parse_list(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        // A comma, an equals sign or a star in quotation marks is a part of the value.
        for value in ["a,b", "a=b", "shop-*", "{x}", "it's", "a\\\"b"] {
            let found = Matcher::parse_list(&format!("service=\"{value}\"")).unwrap();
            assert_eq!(
                (found.len(), found[0].value.replace('"', "\\\"")),
                (1, value.to_owned())
            );
        }
    }

    proptest! {
        #[test]
        fn a_list_never_panics(text in "[a=~!,\"'`{}\\\\ |*é]{0,24}") {
            let _ = Matcher::parse_list(&text);
        }

        #[test]
        fn what_is_shown_can_be_read_back(value in "\\PC{0,20}|[\"\\\\\n]{0,5}") {
            let matcher = Matcher::new("service", Operator::Equal, &value).unwrap();
            prop_assert_eq!(Matcher::parse(&matcher.to_string()).unwrap(), matcher);
        }
    }
}

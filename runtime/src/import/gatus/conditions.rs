//! Conditions of gatus, such as `[BODY].status == UP`, taken apart.

use crate::import::text::JsonPath;

/// Meaning of a placeholder.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Subject {
    Status,
    ResponseTime,
    Ip,
    /// The body, or what is at a path of its JSON.
    Body(Option<JsonPath>),
    Length(Option<JsonPath>),
    Has(Option<JsonPath>),
    Connected,
    Certificate,
    Domain,
    ResponseCode,
}

/// Value that a subject is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    Text(String),
    Pattern(String),
    AnyOf(Vec<String>),
    Subject(Subject),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    AtMost,
    AtLeast,
    Above,
    Below,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    pub(super) subject: Subject,
    pub(super) operator: Operator,
    pub(super) wanted: Wanted,
}

/// Signs in the order in which gatus looks for them.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    (">", Operator::Above),
    ("<", Operator::Below),
];

impl Operator {
    pub(super) fn as_str(self) -> &'static str {
        let found = OPERATORS.iter().find(|(_, operator)| *operator == self);
        found.map_or("==", |(text, _)| text)
    }

    /// Returns the operator for the sides the other way round.
    fn mirrored(self) -> Self {
        match self {
            Self::AtMost => Self::AtLeast,
            Self::AtLeast => Self::AtMost,
            Self::Above => Self::Below,
            Self::Below => Self::Above,
            other => other,
        }
    }

    pub(super) fn holds(self, found: f64, wanted: f64) -> bool {
        match self {
            Self::Equal => found == wanted,
            Self::NotEqual => found != wanted,
            Self::AtMost => found <= wanted,
            Self::AtLeast => found >= wanted,
            Self::Above => found > wanted,
            Self::Below => found < wanted,
        }
    }
}

impl Condition {
    /// The error is why it can't be read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let split = OPERATORS.iter().find_map(|(sign, operator)| {
            let (left, right) = text.split_once(&format!(" {sign} "))?;
            Some((left.trim(), *operator, right.trim()))
        });
        let (left, operator, right) = split.ok_or("is no comparison")?;
        match (subject(left)?, subject(right)?) {
            (Some(found), Some(other)) => Ok(Self {
                subject: found,
                operator,
                wanted: Wanted::Subject(other),
            }),
            (Some(found), None) => Ok(Self {
                subject: found,
                operator,
                wanted: wanted(right),
            }),
            (None, Some(found)) => Ok(Self {
                subject: found,
                operator: operator.mirrored(),
                wanted: wanted(left),
            }),
            (None, None) => Err("compares nothing of the answer".to_owned()),
        }
    }
}

/// Returns what a side of the comparison looks at; none if it is a text.
fn subject(text: &str) -> Result<Option<Subject>, String> {
    let inner = |function: &str| text.strip_prefix(function)?.strip_suffix(')');
    if let Some(inner) = inner("len(") {
        return Ok(Some(Subject::Length(body(inner)?)));
    }
    if let Some(inner) = inner("has(") {
        return Ok(Some(Subject::Has(body(inner)?)));
    }
    let upper = text.to_uppercase();
    if upper.starts_with("[BODY]") {
        return Ok(Some(Subject::Body(body(text)?)));
    }
    if upper.starts_with("[CONTEXT]") {
        return Err("looks at the context of a suite".to_owned());
    }
    Ok(match upper.as_str() {
        "[STATUS]" => Some(Subject::Status),
        "[RESPONSE_TIME]" => Some(Subject::ResponseTime),
        "[IP]" => Some(Subject::Ip),
        "[CONNECTED]" => Some(Subject::Connected),
        "[CERTIFICATE_EXPIRATION]" => Some(Subject::Certificate),
        "[DOMAIN_EXPIRATION]" => Some(Subject::Domain),
        "[DNS_RCODE]" => Some(Subject::ResponseCode),
        _ => None,
    })
}

/// Returns the path behind `[BODY]`; none for the body as a whole.
fn body(text: &str) -> Result<Option<JsonPath>, String> {
    const BODY: &str = "[BODY]";
    let is_body = text
        .get(..BODY.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(BODY));
    if !is_body {
        return Err(format!("`{text}` is not a part of the body"));
    }
    let path = &text[BODY.len()..];
    if path.is_empty() {
        return Ok(None);
    }
    let parsed = JsonPath::parse(path);
    parsed
        .map(Some)
        .ok_or_else(|| format!("`{path}` is no path"))
}

fn wanted(text: &str) -> Wanted {
    let inner = |function: &str| text.strip_prefix(function)?.strip_suffix(')');
    if let Some(pattern) = inner("pat(") {
        return Wanted::Pattern(pattern.to_owned());
    }
    if let Some(options) = inner("any(") {
        let options = options.split(',').map(|option| option.trim().to_owned());
        return Wanted::AnyOf(options.collect());
    }
    Wanted::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_taken_apart() {
        let path = |text: &str| JsonPath::parse(text);
        let text = |text: &str| Wanted::Text(text.to_owned());
        for (condition, subject, operator, wanted) in [
            (
                "[STATUS] == 200",
                Subject::Status,
                Operator::Equal,
                text("200"),
            ),
            (
                "200 < [STATUS]",
                Subject::Status,
                Operator::Above,
                text("200"),
            ),
            (
                "[BODY].data[0].id != any(1, 2)",
                Subject::Body(path("data[0].id")),
                Operator::NotEqual,
                Wanted::AnyOf(vec!["1".to_owned(), "2".to_owned()]),
            ),
            (
                "len([body].data) <= 5",
                Subject::Length(path("data")),
                Operator::AtMost,
                text("5"),
            ),
            (
                "has([BODY].errors) == false",
                Subject::Has(path("errors")),
                Operator::Equal,
                text("false"),
            ),
            (
                "[BODY] == pat(*<h1>a == b</h1>*)",
                Subject::Body(None),
                Operator::Equal,
                Wanted::Pattern("*<h1>a == b</h1>*".to_owned()),
            ),
        ] {
            let found = Condition::parse(condition).unwrap();
            assert_eq!(
                found,
                Condition {
                    subject,
                    operator,
                    wanted
                },
                "{condition}"
            );
        }
        for condition in [
            "[STATUS]=200",
            "1 == 1",
            "[CONTEXT].a == 1",
            "len([IP]) > 1",
        ] {
            assert!(Condition::parse(condition).is_err(), "{condition}");
        }
    }
}

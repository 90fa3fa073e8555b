//! Meaning of an expression: one of our rules, and the services it looks at.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::expression::{Expression, Selector};
use super::linear::{Aggregate, Linear, Metric, Series, metric};
use crate::domain::duration::format_duration;
use crate::import::text::cel_text;

const DAY_S: f64 = 86_400.0;

/// One of our rules.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rule {
    /// CEL.
    Condition(String),
    Certificate {
        days: f64,
    },
    Availability {
        percent: f64,
        window: Duration,
    },
    ResponseTime {
        ms: f64,
        quantile: f64,
        window: Duration,
    },
    Absence,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Meaning {
    pub(super) rule: Rule,
    selectors: Vec<Selector>,
    /// Difference to the expression, for people.
    pub(super) note: Option<&'static str>,
}

/// Meaning of a part of an expression.
struct Part {
    /// Rule; none if it holds always.
    rule: Option<Rule>,
    selectors: Vec<Selector>,
    note: Option<&'static str>,
}

impl Meaning {
    /// The error is why no rule of ours means it.
    pub(super) fn of(expression: &Expression) -> Result<Self, String> {
        let part = part(expression)?;
        Ok(Self {
            rule: part.rule.ok_or("is true of every answer")?,
            selectors: part.selectors,
            note: part.note,
        })
    }

    /// Returns the keys that choose services. A label `job` is a tag, and `instance` the name of a
    /// service, as the import of the blackbox exporter gives them.
    pub(super) fn scope(&self) -> Result<Map<String, Value>, String> {
        let mut tags = Vec::new();
        let mut conditions = Vec::new();
        for Selector {
            label,
            operator,
            value,
        } in &self.selectors
        {
            let text = cel_text(value);
            let expression = cel_text(&format!("^(?:{value})$"));
            let not = if operator.starts_with('!') { "!" } else { "" };
            let is_exact = !operator.ends_with('~');
            match (label.as_str(), is_exact) {
                ("job", true) if not.is_empty() => tags.push(value.clone()),
                ("job", true) => conditions.push(format!("!({text} in service.tags)")),
                ("job", false) => conditions.push(format!(
                    "{not}service.tags.exists(tag, tag.matches({expression}))"
                )),
                ("instance", true) => {
                    conditions.push(format!("{not}(service.name == {text})"));
                }
                ("instance", false) => {
                    conditions.push(format!("{not}service.name.matches({expression})"));
                }
                (label, _) => {
                    return Err(format!(
                        "selects by the label `{label}`, which no rule does"
                    ));
                }
            }
        }
        let mut scope = Map::new();
        if !tags.is_empty() {
            scope.insert("tags".to_owned(), json!(tags));
        }
        if !conditions.is_empty() {
            scope.insert("where".to_owned(), json!(conditions.join(" && ")));
        }
        Ok(scope)
    }
}

fn part(expression: &Expression) -> Result<Part, String> {
    match expression {
        Expression::Binary(operator @ ("and" | "or"), left, right) => {
            joined(operator, part(left)?, part(right)?)
        }
        // `0 <= x < 20` keeps what fulfils the first comparison, and compares that again.
        Expression::Binary(operator, left, right) if is_comparison(operator) => {
            match (left.as_ref(), right.as_ref()) {
                (Expression::Binary(inner, low, value), high) if is_comparison(inner) => {
                    let vector = if Linear::of(low)?.series.is_some() {
                        low
                    } else {
                        value
                    };
                    let first = comparison(inner, low, value)?;
                    joined("and", first, comparison(operator, vector, high)?)
                }
                (left, right) => comparison(operator, left, right),
            }
        }
        Expression::Call(name, arguments) if name == "absent" || name == "absent_over_time" => {
            let [Expression::Vector(vector)] = arguments.as_slice() else {
                return Err(format!("calls `{name}` with more than a metric"));
            };
            metric(&vector.metric)?;
            Ok(Part {
                rule: Some(Rule::Absence),
                selectors: vector.selectors.clone(),
                note: None,
            })
        }
        _ => Err("compares nothing".to_owned()),
    }
}

fn is_comparison(operator: &str) -> bool {
    ["==", "!=", "<=", ">=", "<", ">"].contains(&operator)
}

fn joined(operator: &str, left: Part, right: Part) -> Result<Part, String> {
    if left.selectors != right.selectors {
        return Err(format!(
            "has different selectors on both sides of `{operator}`"
        ));
    }
    let note = left.note.or(right.note);
    let sign = if operator == "and" { "&&" } else { "||" };
    let rule = match (left.rule, right.rule) {
        (None, rule) | (rule, None) if operator == "and" => rule,
        (Some(Rule::Condition(left)), Some(Rule::Condition(right))) => {
            Some(Rule::Condition(format!("({left}) {sign} ({right})")))
        }
        _ => return Err(format!("joins by `{operator}` what is two rules here")),
    };
    Ok(Part {
        rule,
        selectors: left.selectors,
        note,
    })
}

fn comparison(operator: &str, left: &Expression, right: &Expression) -> Result<Part, String> {
    let difference = Linear::of(left)?.plus(Linear::of(right)?, -1.0)?;
    let Linear {
        series,
        factor,
        time,
        constant,
    } = difference;
    let series = series
        .filter(|_| factor != 0.0)
        .ok_or("compares no metric of a probe")?;
    // factor * x + constant OPERATOR 0
    let limit = -constant / factor;
    let operator = if factor < 0.0 {
        mirrored(operator)
    } else {
        operator
    };
    let is_about_time = series.metric == Metric::CertificateEnd;
    let wanted_time = if is_about_time { -factor } else { 0.0 };
    if (time - wanted_time).abs() > 1e-9 {
        return Err("compares a metric with the time in a way that no rule does".to_owned());
    }
    let selectors = series.selectors.clone();
    let (rule, note) = match series.metric {
        Metric::Success => success(&series, operator, limit),
        Metric::Duration => latency(&series, operator, limit * 1_000.0),
        Metric::HttpStatus => status(&series, operator, limit),
        Metric::CertificateEnd => certificate(&series, operator, limit),
    }?;
    Ok(Part {
        rule,
        selectors,
        note,
    })
}

/// A rule, none if it always holds, and what differs.
type Found = Result<(Option<Rule>, Option<&'static str>), String>;

fn condition(text: impl Into<String>) -> Found {
    Ok((Some(Rule::Condition(text.into())), None))
}

fn success(series: &Series, operator: &str, limit: f64) -> Found {
    let holds = |value: f64| holds(value, operator, limit);
    let Some((aggregate, window)) = series.over else {
        return match (holds(0.0), holds(1.0)) {
            (true, false) => condition("status in ['unhealthy', 'error']"),
            (false, true) => condition("status in ['healthy', 'degraded']"),
            (true, true) => Ok((None, None)),
            (false, false) => Err("is never true".to_owned()),
        };
    };
    let text = format_duration(window);
    match (aggregate, operator) {
        (Aggregate::Average, "<" | "<=") => Ok((
            Some(Rule::Availability {
                percent: rounded(limit * 100.0),
                window,
            }),
            None,
        )),
        (Aggregate::Least, _) if holds(0.0) && !holds(1.0) => {
            condition(format!("failures('{text}') > 0"))
        }
        (Aggregate::Greatest, _) if holds(0.0) && !holds(1.0) => condition(format!(
            "runs('{text}') > 0 && failures('{text}') == runs('{text}')"
        )),
        _ => Err("compares success over a time in a way that no rule does".to_owned()),
    }
}

fn latency(series: &Series, operator: &str, ms: f64) -> Found {
    let ms = rounded(ms);
    let Some((aggregate, window)) = series.over else {
        return condition(format!("latency_ms {operator} {ms:?}"));
    };
    let (quantile, note) = match aggregate {
        Aggregate::Average => (
            0.5,
            Some(
                "is about the average; the rule takes the median, which single slow runs do not move",
            ),
        ),
        Aggregate::Least => (0.0, None),
        Aggregate::Greatest => (1.0, None),
        Aggregate::Quantile(quantile) => (quantile, None),
    };
    let rule = if operator.starts_with('>') {
        Rule::ResponseTime {
            ms,
            quantile,
            window,
        }
    } else {
        let text = format_duration(window);
        Rule::Condition(format!("latency('{text}', {quantile:?}) {operator} {ms:?}"))
    };
    Ok((Some(rule), note))
}

/// Compares statuses. Without an answer one is 0 there, and missing here.
fn status(series: &Series, operator: &str, limit: f64) -> Found {
    if series.over.is_some() {
        return Err("looks at statuses over a time, which no rule does".to_owned());
    }
    let limit = rounded(limit);
    let compared = format!("http_status {operator} {limit}");
    if holds(0.0, operator, limit) {
        return condition(format!("status == 'error' || {compared}"));
    }
    condition(compared)
}

fn certificate(series: &Series, operator: &str, seconds: f64) -> Found {
    if series.over.is_some() {
        return Err("looks at certificates over a time, which no rule does".to_owned());
    }
    match operator {
        "<" | "<=" => {
            let days = rounded(seconds / DAY_S).max(0.0);
            Ok((Some(Rule::Certificate { days }), None))
        }
        // What has ended already counts for our rule as well.
        ">" | ">=" => Ok((None, Some("counts certificates that have ended as well"))),
        _ => Err("compares the end of a certificate in a way that no rule does".to_owned()),
    }
}

fn holds(value: f64, operator: &str, limit: f64) -> bool {
    match operator {
        "==" => value == limit,
        "!=" => value != limit,
        "<=" => value <= limit,
        ">=" => value >= limit,
        "<" => value < limit,
        _ => value > limit,
    }
}

fn mirrored(operator: &str) -> &str {
    match operator {
        "<=" => ">=",
        ">=" => "<=",
        "<" => ">",
        ">" => "<",
        other => other,
    }
}

/// Takes off what reckoning with fractions leaves.
fn rounded(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

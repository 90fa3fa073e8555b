//! Sides of a comparison, as far as they are a metric times a number, and numbers.

use std::time::Duration;

use super::expression::{Expression, Selector, Vector};

/// Metrics of the blackbox exporter that we measure too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    Success,
    /// Seconds.
    Duration,
    HttpStatus,
    /// Seconds since 1970.
    CertificateEnd,
}

/// Function over the values of a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aggregate {
    Average,
    Least,
    Greatest,
    Quantile(f64),
}

/// A metric, now or over a time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) metric: Metric,
    pub(super) over: Option<(Aggregate, Duration)>,
    pub(super) selectors: Vec<Selector>,
}

/// `factor * series + time * time() + constant`
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Linear {
    pub(super) series: Option<Series>,
    pub(super) factor: f64,
    pub(super) time: f64,
    pub(super) constant: f64,
}

impl Linear {
    pub(super) fn of(expression: &Expression) -> Result<Self, String> {
        match expression {
            Expression::Number(number) => Ok(Self {
                constant: *number,
                ..Self::default()
            }),
            Expression::Vector(vector) => series(vector, None).map(Self::series),
            Expression::Call(name, arguments) => call(name, arguments),
            Expression::Binary(operator, left, right) => {
                arithmetic(operator, Self::of(left)?, Self::of(right)?)
            }
        }
    }

    fn series(series: Series) -> Self {
        Self {
            series: Some(series),
            factor: 1.0,
            ..Self::default()
        }
    }

    fn times(self, number: f64) -> Self {
        Self {
            factor: self.factor * number,
            time: self.time * number,
            constant: self.constant * number,
            ..self
        }
    }

    /// Returns the sum with a multiple of another one.
    pub(super) fn plus(self, other: Self, sign: f64) -> Result<Self, String> {
        if self.series.is_some() && other.series.is_some() {
            return Err("reckons with two metrics".to_owned());
        }
        let other = other.times(sign);
        Ok(Self {
            series: self.series.or(other.series),
            factor: self.factor + other.factor,
            time: self.time + other.time,
            constant: self.constant + other.constant,
        })
    }

    fn number(&self) -> Option<f64> {
        (self.series.is_none() && self.time == 0.0).then_some(self.constant)
    }
}

fn arithmetic(operator: &str, left: Linear, right: Linear) -> Result<Linear, String> {
    match (operator, left.number(), right.number()) {
        ("+", ..) => left.plus(right, 1.0),
        ("-", ..) => left.plus(right, -1.0),
        ("*", Some(number), _) => Ok(right.times(number)),
        ("*", _, Some(number)) => Ok(left.times(number)),
        ("/", _, Some(number)) if number != 0.0 => Ok(left.times(1.0 / number)),
        (operator, ..) => Err(format!("has a `{operator}` that no rule has")),
    }
}

fn call(name: &str, arguments: &[Expression]) -> Result<Linear, String> {
    match (name, arguments) {
        ("time", []) => Ok(Linear {
            time: 1.0,
            ..Linear::default()
        }),
        // What is rounded differs by less than it matters.
        ("round" | "floor" | "ceil", [first, ..]) => Linear::of(first),
        ("vector" | "scalar", [first]) => Linear::of(first),
        ("quantile_over_time", [Expression::Number(quantile), Expression::Vector(vector)])
            if (0.0..=1.0).contains(quantile) =>
        {
            series(vector, Some(Aggregate::Quantile(*quantile))).map(Linear::series)
        }
        ("last_over_time", [Expression::Vector(vector)]) => {
            let mut last = series(vector, Some(Aggregate::Average))?;
            last.over = None;
            Ok(Linear::series(last))
        }
        ("avg_over_time" | "min_over_time" | "max_over_time", [Expression::Vector(vector)]) => {
            let aggregate = match name {
                "avg_over_time" => Aggregate::Average,
                "min_over_time" => Aggregate::Least,
                _ => Aggregate::Greatest,
            };
            series(vector, Some(aggregate)).map(Linear::series)
        }
        (name, _) => Err(format!("calls `{name}`, for which there is no rule")),
    }
}

fn series(vector: &Vector, aggregate: Option<Aggregate>) -> Result<Series, String> {
    let metric = metric(&vector.metric)?;
    let over = match (aggregate, vector.range) {
        (None, None) => None,
        (Some(aggregate), Some(range)) => Some((aggregate, range)),
        _ => {
            return Err(format!(
                "`{}` has a range at the wrong place",
                vector.metric
            ));
        }
    };
    Ok(Series {
        metric,
        over,
        selectors: vector.selectors.clone(),
    })
}

pub(super) fn metric(name: &str) -> Result<Metric, String> {
    Ok(match name {
        "probe_success" => Metric::Success,
        "probe_duration_seconds" => Metric::Duration,
        "probe_http_status_code" => Metric::HttpStatus,
        "probe_ssl_earliest_cert_expiry" => Metric::CertificateEnd,
        other => {
            return Err(format!(
                "asks for the metric `{other}`, which is not measured here"
            ));
        }
    })
}

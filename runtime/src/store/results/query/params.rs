//! Values of parameters: typed as JSON has them, put beside the statement and never into its text.

use duckdb::Statement;
use duckdb::types::{TimeUnit, Value as Bound};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::Fault;
use crate::store::results::error::QueryError;

/// More parameters than any statement of people has.
const MAX_PARAMS: usize = 200;
/// Text of all values together.
const MAX_BYTES: usize = 64 * 1024;

/// Values of `$1`, `$2`, … by their place, or of `$name` by their name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum QueryParams {
    Positional(Vec<Value>),
    Named(Map<String, Value>),
}

impl Default for QueryParams {
    fn default() -> Self {
        Self::Positional(Vec::new())
    }
}

impl QueryParams {
    /// Returns the value of a parameter, by its identifier in the statement.
    pub(in crate::store::results) fn get(&self, identifier: &str) -> Option<&Value> {
        match self {
            Self::Positional(values) => {
                let place: usize = identifier.parse().ok()?;
                values.get(place.checked_sub(1)?)
            }
            Self::Named(values) => values.get(identifier),
        }
    }

    fn identifiers(&self) -> Vec<String> {
        match self {
            Self::Positional(values) => (1..=values.len()).map(|place| place.to_string()).collect(),
            Self::Named(values) => values.keys().cloned().collect(),
        }
    }

    /// Compares the values with the parameters of a statement, and reports all faults together.
    pub(in crate::store::results) fn check(&self, wanted: &[String]) -> Result<(), QueryError> {
        let given = self.identifiers();
        let mut faults = Vec::new();
        for identifier in wanted {
            if !given.contains(identifier) {
                faults.push(self.missing(identifier));
            }
        }
        let mut bytes = 0;
        for identifier in &given {
            let pointer = self.pointer(identifier);
            if !wanted.contains(identifier) {
                let message = format!("the statement has no parameter `${identifier}`");
                faults.push(Fault::new(pointer, message));
                continue;
            }
            match self.get(identifier) {
                Some(Value::Array(_) | Value::Object(_)) => {
                    let message = format!(
                        "`${identifier}` must be a text, a number, true, false or null; pass a list as text, and write e.g. \
                         `unnest(${identifier}::JSON::VARCHAR[])`"
                    );
                    faults.push(Fault::new(pointer, message));
                }
                Some(Value::String(text)) => bytes += text.len(),
                _ => {}
            }
        }
        if given.len() > MAX_PARAMS {
            let message = format!("must have at most {MAX_PARAMS} values");
            faults.push(Fault::new("/params", message));
        }
        if bytes > MAX_BYTES {
            let message = format!("must be at most {} KiB of text", MAX_BYTES / 1024);
            faults.push(Fault::new("/params", message));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(QueryError::Params(faults))
        }
    }

    fn missing(&self, identifier: &str) -> Fault {
        let is_place = identifier.parse::<usize>().is_ok();
        let message = match (self, is_place) {
            (Self::Named(_), true) => format!(
                "`${identifier}` has no value; give `params` as a list, or name the parameter in the statement"
            ),
            (Self::Positional(values), false) if values.is_empty() => {
                format!("`${identifier}` has no value; give e.g. `{{\"{identifier}\": 1}}`")
            }
            (Self::Positional(_), false) => format!(
                "`${identifier}` has no value; give `params` as an object with the key `{identifier}`"
            ),
            _ => format!("`${identifier}` has no value"),
        };
        Fault::new(self.pointer(identifier), message)
    }

    /// JSON Pointer of a value in a request.
    fn pointer(&self, identifier: &str) -> String {
        match (self, identifier.parse::<usize>()) {
            (Self::Positional(_), Ok(place)) => format!("/params/{}", place.saturating_sub(1)),
            _ => format!(
                "/params/{}",
                identifier.replace('~', "~0").replace('/', "~1")
            ),
        }
    }
}

/// Returns the values in the order of a prepared statement's parameters.
pub(in crate::store::results) fn values(
    statement: &Statement<'_>,
    params: &QueryParams,
) -> duckdb::Result<Vec<Bound>> {
    (1..=statement.parameter_count())
        .map(|index| {
            let identifier = statement.parameter_name(index)?;
            Ok(params.get(&identifier).map_or(Bound::Null, bound))
        })
        .collect()
}

fn bound(value: &Value) -> Bound {
    match value {
        Value::Null => Bound::Null,
        Value::Bool(value) => Bound::Boolean(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Bound::BigInt(number),
            (_, Some(number)) => Bound::UBigInt(number),
            _ => number.as_f64().map_or(Bound::Null, Bound::Double),
        },
        Value::String(text) => match utc(text) {
            Some(micros) => Bound::Timestamp(TimeUnit::Microsecond, micros),
            None => Bound::Text(text.clone()),
        },
        // Refused before.
        other => Bound::Text(other.to_string()),
    }
}

/// Returns the microseconds of a moment with an offset, which a cast to TIMESTAMP would drop.
fn utc(text: &str) -> Option<i64> {
    let starts_with_date = text.len() >= 11 && text.as_bytes()[4] == b'-';
    let moment: jiff::Timestamp = starts_with_date.then(|| text.parse().ok()).flatten()?;
    Some(moment.as_microsecond())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_moment_with_an_offset_is_bound_in_utc_and_other_texts_as_they_are() {
        let micros = 1_767_254_400_000_000;
        for (text, wanted) in [
            ("2026-01-01T10:00:00+02:00", Some(micros)),
            ("2026-01-01 08:00:00Z", Some(micros)),
            ("2026-01-01T08:00:00", None),
            ("2026-01-01", None),
            ("shop-api", None),
            ("ä2026-01-01T10:00:00Z", None),
        ] {
            let wanted = match wanted {
                Some(micros) => Bound::Timestamp(TimeUnit::Microsecond, micros),
                None => Bound::Text(text.to_owned()),
            };
            assert_eq!(bound(&json!(text)), wanted, "{text}");
        }
        assert_eq!(bound(&json!(u64::MAX)), Bound::UBigInt(u64::MAX));
        assert_eq!(bound(&json!(-1)), Bound::BigInt(-1));
        assert_eq!(bound(&json!(1.5)), Bound::Double(1.5));
    }

    #[test]
    fn faults_name_the_parameter() {
        let wanted = |names: &[&str]| -> Vec<String> {
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let faults = |params: QueryParams, names: &[&str]| match params.check(&wanted(names)) {
            Ok(()) => Vec::new(),
            Err(QueryError::Params(faults)) => {
                faults.into_iter().map(|fault| fault.pointer).collect()
            }
            Err(other) => panic!("{other}"),
        };
        let list = |values: Value| QueryParams::Positional(values.as_array().unwrap().clone());
        let named = |values: Value| QueryParams::Named(values.as_object().unwrap().clone());
        assert!(faults(list(json!([1, "x"])), &["1", "2"]).is_empty());
        assert_eq!(faults(list(json!([1])), &["1", "2"]), ["/params/1"]);
        assert_eq!(faults(list(json!([1, 2])), &["1"]), ["/params/1"]);
        assert_eq!(faults(list(json!([[1]])), &["1"]), ["/params/0"]);
        assert_eq!(
            faults(named(json!({"a": 1, "c/d": 2})), &["a", "b"]),
            ["/params/b", "/params/c~1d"]
        );
    }
}

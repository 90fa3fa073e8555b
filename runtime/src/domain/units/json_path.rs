//! Paths into JSON, as settings write them: `$.usage.total`, `$.items[*].quantity`, `$['odd name'][0]`.

use rust_decimal::Decimal;
use serde_json::Value;

use super::amount::{amount_of, is_unit_name};

/// Steps of one path.
const MAX_STEPS: usize = 16;
const MAX_PATH_BYTES: usize = 512;
/// Values that one path finds in one document; more are too many to be usage.
const MAX_FOUND: usize = 10_000;

/// Where the amount of a unit stands in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPath {
    pub unit: String,
    /// As it was written.
    pub path: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
    /// Each value of a list or an object.
    All,
}

impl UnitPath {
    /// Reads a path; an error says what is wrong with it, for people.
    pub fn new(unit: &str, path: &str) -> Result<Self, String> {
        if !is_unit_name(unit) {
            return Err(format!(
                "`{unit}` is no name of a unit; write lower-case letters, digits and `_`, e.g. `input_tokens`"
            ));
        }
        let steps = parse(path).ok_or_else(|| {
            format!("`{path}` is no path; write e.g. `$.usage.total` or `$.items[*].quantity`")
        })?;
        Ok(Self {
            unit: unit.to_owned(),
            path: path.to_owned(),
            steps,
        })
    }

    /// Returns the sum of the amounts found; none if there are none.
    pub(super) fn sum(&self, document: &Value) -> Option<Decimal> {
        let mut found = vec![document];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in found {
                match (step, value) {
                    (Step::Name(name), Value::Object(object)) => next.extend(object.get(name)),
                    (Step::Index(index), Value::Array(list)) => next.extend(list.get(*index)),
                    (Step::All, Value::Array(list)) => next.extend(list),
                    (Step::All, Value::Object(object)) => next.extend(object.values()),
                    _ => {}
                }
                if next.len() > MAX_FOUND {
                    return None;
                }
            }
            found = next;
        }
        let amounts = found.into_iter().filter_map(amount_of);
        amounts.reduce(Decimal::saturating_add)
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    if path.len() > MAX_PATH_BYTES {
        return None;
    }
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let step;
        (step, rest) = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            (name(&after[..end])?, &after[end..])
        } else {
            bracket(rest.strip_prefix('[')?)?
        };
        steps.push(step);
        if steps.len() > MAX_STEPS {
            return None;
        }
    }
    (!steps.is_empty()).then_some(steps)
}

fn name(text: &str) -> Option<Step> {
    match text {
        "" => None,
        "*" => Some(Step::All),
        name => Some(Step::Name(name.to_owned())),
    }
}

/// Reads what stands between brackets, and returns what follows them.
fn bracket(text: &str) -> Option<(Step, &str)> {
    let quote = text.chars().next().filter(|first| "'\"".contains(*first));
    if let Some(quote) = quote {
        let (name, rest) = text[1..].split_once(quote)?;
        return Some((Step::Name(name.to_owned()), rest.strip_prefix(']')?));
    }
    let (inside, rest) = text.split_once(']')?;
    match inside {
        "*" => Some((Step::All, rest)),
        index => Some((Step::Index(index.parse().ok()?), rest)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_amounts_and_add_them_up() {
        let document = json!({
            "usage": {"total": 7, "odd name": "2.5"},
            "items": [{"quantity": 1}, {"quantity": 2.25}, {"quantity": null}],
        });
        for (path, sum) in [
            ("$.usage.total", Some("7")),
            ("$['usage'][\"odd name\"]", Some("2.5")),
            ("$.items[*].quantity", Some("3.25")),
            ("$.items[1].quantity", Some("2.25")),
            ("$.items.*.quantity", Some("3.25")),
            ("$.items[9].quantity", None),
            ("$.usage", None),
        ] {
            let path = UnitPath::new("n", path).unwrap();
            assert_eq!(
                path.sum(&document).map(|sum| sum.to_string()).as_deref(),
                sum,
                "{path:?}"
            );
        }
    }

    #[test]
    fn what_is_no_path_is_refused_with_an_example() {
        for path in ["", "$", "usage", "$..a", "$.a[", "$.a[x]", "$['a]", "$.a."] {
            let error = UnitPath::new("n", path).unwrap_err();
            assert!(error.contains("`$.usage.total`"), "{path}: {error}");
        }
        assert!(
            UnitPath::new("No", "$.a")
                .unwrap_err()
                .contains("`input_tokens`")
        );
    }
}

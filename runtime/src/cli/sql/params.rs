//! `--param NAME=VALUE`

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use crate::api_types::sql::SqlParams;

/// Returns the values by name, or as a list when all names are numbers.
pub(in crate::cli) fn parse(params: &[String]) -> Result<Option<SqlParams>> {
    let mut values = Map::new();
    for param in params {
        let Some((name, value)) = param.split_once('=') else {
            bail!("`--param {param}` has no value; write `--param {param}=VALUE`");
        };
        let name = name.trim_start_matches('$');
        if values.insert(name.to_owned(), value_of(value)).is_some() {
            bail!("`--param {name}=…` is given twice; leave one of them out");
        }
    }
    if values.is_empty() {
        return Ok(None);
    }
    let places = (1..=values.len()).map(|place| place.to_string());
    let listed: Option<Vec<Value>> = places.map(|place| values.get(&place).cloned()).collect();
    Ok(Some(match listed {
        Some(listed) => SqlParams::Positional(listed),
        None => SqlParams::Named(values),
    }))
}

/// A value as JSON has it; all else is text.
fn value_of(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(params: &[&str]) -> Value {
        let params: Vec<String> = params.iter().map(|param| (*param).to_owned()).collect();
        json!(parse(&params).unwrap())
    }

    #[test]
    fn values_have_their_types_and_numbers_are_places() {
        assert_eq!(
            parsed(&[
                "service=shop-api",
                "n=5",
                "code=\"404\"",
                "none=null",
                "$x=a=b"
            ]),
            json!({"service": "shop-api", "n": 5, "code": "404", "none": null, "x": "a=b"})
        );
        assert_eq!(
            parsed(&["2=true", "1=2026-01-01"]),
            json!(["2026-01-01", true])
        );
        assert_eq!(parsed(&[]), json!(null));
        for bad in [&["n"][..], &["n=1", "n=2"]] {
            let bad: Vec<String> = bad.iter().map(|param| (*param).to_owned()).collect();
            assert!(parse(&bad).is_err());
        }
    }
}

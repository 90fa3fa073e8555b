//! What may be asked of the catalog: nothing that grows, waits or reads elsewhere. It holds no
//! results, so tables need no list.

use std::collections::HashSet;

use serde_json::Value;

use super::functions::{is_scalar_allowed, is_table_allowed};
use super::refused;
use crate::store::results::error::QueryError;

/// `ours` are the names of the catalog's own functions.
pub(super) fn check(node: &Value, ours: &HashSet<String>) -> Result<(), QueryError> {
    match node {
        Value::Array(items) => items.iter().try_for_each(|item| check(item, ours)),
        Value::Object(object) => {
            let word = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
            let is_fine = match (word("class"), word("type")) {
                ("CONSTANT", _) => return Ok(()),
                ("FUNCTION" | "WINDOW", _) => {
                    let name = word("function_name").to_ascii_lowercase();
                    is_scalar_allowed(&name) || ours.contains(&name)
                }
                (_, "TABLE_FUNCTION") => {
                    let function = object.get("function").unwrap_or(&Value::Null);
                    let name = function["function_name"].as_str().unwrap_or_default();
                    let arguments = &function["children"];
                    if !(is_table_allowed(name) || ours.contains(name)) {
                        return Err(not_answered(name));
                    }
                    return check(arguments, ours);
                }
                (_, "RECURSIVE_CTE_NODE") => return Err(not_answered("WITH RECURSIVE")),
                _ => true,
            };
            if !is_fine {
                return Err(not_answered(word("function_name")));
            }
            object.values().try_for_each(|child| check(child, ours))
        }
        _ => Ok(()),
    }
}

/// Has the estimate of the cost take our `array_to_string` for small: the catalog's own answers with
/// some kilobytes at most.
pub(super) fn make_small(node: &mut Value) {
    match node {
        Value::Array(items) => items.iter_mut().for_each(make_small),
        Value::Object(object) => {
            if let Some(Value::String(name)) = object.get_mut("function_name")
                && name.eq_ignore_ascii_case("array_to_string")
            {
                *name = "length".to_owned();
            }
            object.values_mut().for_each(make_small);
        }
        _ => {}
    }
}

fn not_answered(name: &str) -> QueryError {
    refused(format!("the catalog does not answer with `{name}`"))
}

//! Values of JSON, compared and shown.

use extrack_plugin::json::Value;

use crate::answer::beginning;

/// Numbers are equal by value: `1` and `1.0`. Whole ones are compared to the last digit, however
/// large.
pub fn equal(found: &Value, wanted: &Value) -> bool {
    let (Value::Number(found_number), Value::Number(wanted_number)) = (found, wanted) else {
        return found == wanted;
    };
    match (found_number.as_i128(), wanted_number.as_i128()) {
        (Some(found), Some(wanted)) => found == wanted,
        _ => found_number == wanted_number || found_number.as_f64() == wanted_number.as_f64(),
    }
}

/// A number, or a text that is one, for which something is true.
pub fn has_number(value: &Value, is_right: impl FnOnce(f64) -> bool) -> bool {
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())
        .is_some_and(is_right)
}

pub fn contains(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text.contains(wanted),
        Value::Array(items) => items.iter().any(|item| item.as_str() == Some(wanted)),
        Value::Object(entries) => entries.contains_key(wanted),
        other => other.to_string().contains(wanted),
    }
}

pub fn is_same_kind(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}

pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{}`", beginning(text)),
        other => format!("`{}`", beginning(&other.to_string())),
    }
}

/// Text of the value with its type, where that is what differs.
pub fn typed(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {}", beginning(&number.to_string())),
        Value::String(text) => format!("the text \"{}\"", beginning(text)),
        Value::Array(_) => format!("the list {}", shown(value)),
        Value::Object(_) => format!("the object {}", shown(value)),
    }
}

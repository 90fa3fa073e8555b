//! Texts with an offset that would become a TIMESTAMP: DuckDB drops the offset without a word, and
//! the answer is hours off.

use serde_json::Value;

use super::{QueryError, refused_at};

type Checked = Result<(), QueryError>;

pub(super) fn check(node: &Value) -> Checked {
    match node {
        Value::Array(items) => items.iter().try_for_each(check),
        Value::Object(object) => {
            let children: Vec<&Value> = object.values().flat_map(children).collect();
            let is_moment = match object.get("class").and_then(Value::as_str) {
                Some("CONSTANT") => return Ok(()),
                Some("CAST") => drops_offset(object["cast_type"]["id"].as_str()),
                Some("COMPARISON" | "BETWEEN" | "OPERATOR") => {
                    children.iter().any(|child| is_moment_column(child))
                }
                _ => false,
            };
            if is_moment {
                children.iter().try_for_each(|child| constant(child))?;
            }
            object.values().try_for_each(check)
        }
        _ => Ok(()),
    }
}

fn children(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

fn drops_offset(type_id: Option<&str>) -> bool {
    type_id.is_some_and(|id| {
        id == "DATE" || id.starts_with("TIMESTAMP") && id != "TIMESTAMP WITH TIME ZONE"
    })
}

/// Columns of moments in our views.
fn is_moment_column(node: &Value) -> bool {
    let name = node["column_names"]
        .as_array()
        .and_then(|names| names.last());
    let name = name.and_then(Value::as_str).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    name == "ts" || name.ends_with("_ts") || name == "started" || name == "ended"
}

fn constant(node: &Value) -> Checked {
    let text = (node["class"] == "CONSTANT").then(|| node["value"]["value"].as_str());
    let Some(text) = text.flatten().map(str::trim) else {
        return Ok(());
    };
    let has_offset = text.len() > 16
        && text.is_ascii()
        && text[10..].contains(['+', '-'])
        && !text.ends_with("+00:00")
        && !text.ends_with("+00");
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) if has_offset => Err(refused_at(
            format!(
                "a TIMESTAMP has no offset, and that of `{text}` would be lost; write `{moment}`, or give it as a parameter"
            ),
            node,
            Vec::new(),
        )),
        _ => Ok(()),
    }
}

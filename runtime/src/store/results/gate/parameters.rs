//! Parameters of a parsed statement. For the judgement their values stand in their places, as if
//! they had been written there; what runs has the parameters.

use serde_json::{Value, json};

/// Returns the identifiers of all parameters, each once.
pub(super) fn of(tree: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(tree, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    if let Some(identifier) = identifier(value) {
        if !found.iter().any(|known| known == identifier) {
            found.push(identifier.to_owned());
        }
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(object) if object.get("class") != Some(&json!("CONSTANT")) => {
            object.values().for_each(|child| collect(child, found));
        }
        _ => {}
    }
}

/// Puts values in the places of parameters.
pub(super) fn put(tree: &mut Value, value_of: &mut dyn FnMut(&str) -> Option<Value>) {
    if let Some(identifier) = identifier(tree) {
        let value = value_of(identifier).unwrap_or_default();
        *tree = json!({
            "class": "CONSTANT",
            "type": "VALUE_CONSTANT",
            "alias": tree["alias"],
            "value": { "is_null": value.is_null(), "value": value },
        });
        return;
    }
    match tree {
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, value_of)),
        Value::Object(object) if object.get("class") != Some(&json!("CONSTANT")) => {
            object.values_mut().for_each(|child| put(child, value_of));
        }
        _ => {}
    }
}

fn identifier(node: &Value) -> Option<&str> {
    (node.get("class")? == "PARAMETER").then(|| node["identifier"].as_str())?
}

//! What changed in something that people described, field by field.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fault::child;

/// In place of a value that is not shown.
const HIDDEN: &str = "***";

/// A field with its values before and after. A secret is `***` in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// JSON Pointer.
    pub field: String,
    /// Null: it was not there.
    pub before: Value,
    /// Null: it is no longer there.
    pub after: Value,
}

impl FieldChange {
    /// Fields in one list; more of them are counted.
    pub const MAX: usize = 100;

    /// Returns the fields that differ, by their pointers. Each side comes as it is, which is
    /// compared, and as it is shown, which the values are from: a secret that changed is a field,
    /// and its values are masks.
    pub fn between(before: (&Value, &Value), after: (&Value, &Value)) -> Vec<Self> {
        let (old, new) = (leaves(before.0), leaves(after.0));
        let mut fields: Vec<&String> = old.keys().chain(new.keys()).collect();
        fields.sort();
        fields.dedup();
        let changed = fields
            .into_iter()
            .filter(|field| old.get(*field) != new.get(*field));
        changed
            .map(|field| Self {
                field: field.clone(),
                before: value(field, &old, before.1),
                after: value(field, &new, after.1),
            })
            .collect()
    }
}

/// Returns the value of a field as it is shown; a mask where what is shown has another shape.
fn value(field: &str, leaves: &BTreeMap<String, &Value>, shown: &Value) -> Value {
    match (leaves.get(field), shown.pointer(field)) {
        (None, _) => Value::Null,
        (Some(_), Some(value)) => value.clone(),
        (Some(_), None) => HIDDEN.into(),
    }
}

/// Returns all values that hold no others, by their pointers.
fn leaves(value: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), value)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Object(members) if !members.is_empty() => {
                let inner = members.iter();
                open.extend(inner.map(|(key, value)| (child(&pointer, key), value)));
            }
            Value::Array(items) if !items.is_empty() => {
                let inner = items.iter().enumerate();
                open.extend(inner.map(|(index, value)| (child(&pointer, index), value)));
            }
            Value::Null if pointer.is_empty() => {}
            value => {
                found.insert(pointer, value);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(changes: &[FieldChange]) -> Vec<String> {
        changes
            .iter()
            .map(|change| format!("{} {} -> {}", change.field, change.before, change.after))
            .collect()
    }

    #[test]
    fn fields_that_differ_are_named_and_secrets_are_not_shown() {
        let before = json!({"name": "a", "tags": ["x"], "auth": {"token": "one", "in": "header"}, "links": {}});
        let after = json!({"name": "a", "tags": ["x", "y"], "auth": {"token": "two", "in": "header"}, "team": "t"});
        let masked = |value: &Value| {
            let mut shown = value.clone();
            shown["auth"]["token"] = json!("***");
            shown
        };
        let changes = FieldChange::between((&before, &masked(&before)), (&after, &masked(&after)));
        assert_eq!(
            texts(&changes),
            [
                r#"/auth/token "***" -> "***""#,
                "/links {} -> null",
                r#"/tags/1 null -> "y""#,
                r#"/team null -> "t""#,
            ]
        );
        assert_eq!(
            FieldChange::between((&before, &before), (&before, &before)),
            []
        );
    }

    #[test]
    fn a_value_that_is_masked_as_a_whole_is_not_shown_in_parts() {
        let (before, after) = (json!({"settings": {"a": 1}}), json!({"settings": {"a": 2}}));
        let shown = json!({"settings": "***"});
        let changes = FieldChange::between((&before, &shown), (&after, &shown));
        assert_eq!(texts(&changes), [r#"/settings/a "***" -> "***""#]);
    }

    #[test]
    fn what_is_new_has_all_its_fields() {
        let after = json!({"name": "a"});
        let changes = FieldChange::between((&Value::Null, &Value::Null), (&after, &after));
        assert_eq!(texts(&changes), [r#"/name null -> "a""#]);
    }
}

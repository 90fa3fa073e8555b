//! Names of tables and functions in a statement, in lower case.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a statement is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store::results) struct Names {
    /// Tables and functions whose rows or values it needs, as far as they are ours; also names of
    /// others.
    pub(in crate::store::results) needed: BTreeSet<String>,
    /// `SHOW TABLES`: the names of all tables, and no rows.
    pub(in crate::store::results) has_list: bool,
}

pub(super) fn of(query: &Value) -> Names {
    let mut names = Names::default();
    walk(query, &mut names);
    names
}

fn walk(value: &Value, names: &mut Names) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, names)),
        Value::Object(object) => {
            for key in ["table_name", "function_name"] {
                if let Some(name) = object.get(key).and_then(Value::as_str) {
                    names.needed.insert(name.to_ascii_lowercase());
                }
            }
            names.has_list |= object.get("type").and_then(Value::as_str) == Some("SHOW_REF");
            object.values().for_each(|child| walk(child, names));
        }
        _ => {}
    }
}

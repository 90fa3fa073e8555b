//! Parts of a JSON Schema (2020-12, and the older spellings) that apply to a value, and to what is
//! inside it.

use std::collections::{BTreeMap, HashSet};
use std::sync::{LazyLock, Mutex, PoisonError};

use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_json::Value;

/// Keywords with one schema that applies to the same value.
const SAME_VALUE: [&str; 3] = ["if", "then", "else"];
/// Keywords with a list of such schemas.
const SAME_VALUE_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords with such schemas by name.
const SAME_VALUE_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// A schema with its references.
pub(super) struct Schemas<'a> {
    root: &'a Value,
    id: Option<&'a str>,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self {
            root,
            id: root.get("$id").and_then(Value::as_str),
        }
    }

    /// Returns these schemas, and all that apply to the same value because of them; each once.
    pub(super) fn applicable(&self, schemas: &[&'a Value]) -> Vec<&'a Value> {
        let mut found: Vec<&'a Value> = Vec::with_capacity(schemas.len());
        let mut waiting: Vec<&'a Value> = schemas.iter().rev().copied().collect();
        while let Some(schema) = waiting.pop() {
            if found.iter().any(|known| std::ptr::eq(*known, schema)) {
                continue;
            }
            found.push(schema);
            waiting.extend(self.beside(schema));
        }
        found
    }

    fn beside(&self, schema: &'a Value) -> Vec<&'a Value> {
        let references = REFERENCES
            .iter()
            .filter_map(|key| self.target(schema.get(key)?.as_str()?));
        let single = SAME_VALUE.iter().filter_map(|key| schema.get(key));
        let listed = SAME_VALUE_LISTS
            .iter()
            .filter_map(|key| schema.get(key)?.as_array())
            .flatten();
        let named = SAME_VALUE_MAPS
            .iter()
            .filter_map(|key| schema.get(key)?.as_object())
            .flat_map(|map| map.values());
        references
            .chain(single)
            .chain(listed)
            .chain(named)
            .collect()
    }

    /// Returns the target of a reference into this schema.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let own = self.id.map(|id| id.trim_end_matches('#'));
        let reference = own
            .and_then(|id| reference.strip_prefix(id))
            .unwrap_or(reference);
        let fragment = match reference {
            "" => "",
            reference => reference.strip_prefix('#')?,
        };
        let fragment = percent_decode_str(fragment).decode_utf8().ok()?;
        if fragment.is_empty() || fragment.starts_with('/') {
            return self.root.pointer(&fragment);
        }
        let mut found = None;
        every_node(self.root, &mut String::new(), &mut |_, node| {
            let is_named = |key: &str| node.get(key).and_then(Value::as_str) == Some(&*fragment);
            if found.is_none() && (is_named("$anchor") || is_named("$dynamicAnchor")) {
                found = Some(node);
            }
        });
        found
    }

    /// Every schema that [`super::visit_marked`] may look at.
    pub(super) fn reached(&self) -> HashSet<*const Value> {
        let mut reached = HashSet::new();
        let mut waiting = vec![self.root];
        while let Some(schema) = waiting.pop() {
            if reached.insert(std::ptr::from_ref(schema)) {
                waiting.extend(self.beside(schema));
                waiting.extend(inside(schema));
            }
        }
        reached
    }

    /// References that lead elsewhere, and bases that change where they lead.
    pub(super) fn unfollowed(&self) -> Vec<String> {
        let mut faults = Vec::new();
        every_node(self.root, &mut String::new(), &mut |pointer, node| {
            for key in REFERENCES {
                if let Some(reference) = node.get(key).and_then(Value::as_str)
                    && self.target(reference).is_none()
                {
                    faults.push(format!(
                        "`{key}` at `{pointer}` leads to `{reference}`, where the host can't look for marks; \
                         write `#/$defs/…`"
                    ));
                }
            }
            if !pointer.is_empty() && node.get("$id").is_some_and(Value::is_string) {
                faults.push(format!(
                    "`$id` at `{pointer}` changes where references lead; only the whole schema may have one"
                ));
            }
        });
        faults
    }
}

/// The schemas of one property.
pub(super) fn of_property<'a>(schema: &'a Value, name: &str) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = schema
        .get("properties")
        .and_then(|properties| properties.get(name))
        .into_iter()
        .collect();
    let patterns = schema
        .get("patternProperties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    found.extend(
        patterns
            .filter(|(pattern, _)| matches(pattern, name))
            .map(|(_, inner)| inner),
    );
    if found.is_empty() {
        found.extend(schema.get("additionalProperties"));
    }
    found.extend(schema.get("unevaluatedProperties"));
    found
}

/// The schemas of one item of a list.
pub(super) fn of_item(schema: &Value, index: usize) -> Vec<&Value> {
    let mut found = Vec::new();
    let first = match schema.get("items") {
        Some(Value::Array(items)) => Some(items),
        _ => schema.get("prefixItems").and_then(Value::as_array),
    };
    match first.and_then(|first| first.get(index)) {
        Some(item) => found.push(item),
        None => found.extend(schema.get("items").filter(|items| !items.is_array())),
    }
    found.extend(
        ["additionalItems", "unevaluatedItems", "contains"]
            .into_iter()
            .filter_map(|key| schema.get(key)),
    );
    found
}

/// The schemas of whatever may be inside.
fn inside(schema: &Value) -> Vec<&Value> {
    let maps = ["properties", "patternProperties"].into_iter();
    let named = maps
        .filter_map(|key| schema.get(key)?.as_object())
        .flat_map(|map| map.values());
    let listed = ["prefixItems", "items"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten();
    let single = [
        "additionalProperties",
        "unevaluatedProperties",
        "items",
        "additionalItems",
        "unevaluatedItems",
        "contains",
    ];
    named
        .chain(listed)
        .chain(single.into_iter().filter_map(|key| schema.get(key)))
        .collect()
}

/// Every object in a schema, keyword or not, with its JSON pointer.
pub(super) fn every_node<'a>(
    node: &'a Value,
    pointer: &mut String,
    found: &mut impl FnMut(&str, &'a Value),
) {
    let length = pointer.len();
    match node {
        Value::Object(members) => {
            found(pointer, node);
            for (name, member) in members {
                pointer.push('/');
                pointer.push_str(&super::escaped(name));
                every_node(member, pointer, found);
                pointer.truncate(length);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointer.push_str(&format!("/{index}"));
                every_node(item, pointer, found);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

/// Patterns kept compiled, over all plugins; beyond it all are dropped.
const MAX_PATTERNS: usize = 1_000;

/// Whether a name fits a pattern. One that this crate can't read fits every name.
fn matches(pattern: &str, name: &str) -> bool {
    static PATTERNS: LazyLock<Mutex<BTreeMap<String, Option<Regex>>>> =
        LazyLock::new(Mutex::default);
    let mut patterns = PATTERNS.lock().unwrap_or_else(PoisonError::into_inner);
    if patterns.len() >= MAX_PATTERNS && !patterns.contains_key(pattern) {
        patterns.clear();
    }
    let compiled = patterns
        .entry(pattern.to_owned())
        .or_insert_with(|| Regex::new(pattern).ok());
    compiled
        .as_ref()
        .is_none_or(|compiled| compiled.is_match(name))
}

//! The outcome of an import: entries of our files, each with the place it comes from.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::secrets::Variable;
use crate::domain::Fault;

/// Lists of our files that entries go into; the first is that of `services.yaml`.
const LISTS: [&str; 4] = ["services", "alerts", "inhibit", "maintenance"];
/// Mappings of `alerts.yaml`.
const MAPPINGS: [&str; 2] = ["channels", "muteTimes"];

/// Entry of one of our lists.
#[derive(Debug)]
pub struct Entry {
    pub(super) value: Value,
    /// Place of what it comes from, without a message.
    pub(super) source: Fault,
}

/// Entries of our files, and notes.
#[derive(Debug, Default)]
pub struct Imported {
    pub(super) lists: BTreeMap<&'static str, Vec<Entry>>,
    pub(super) mappings: BTreeMap<&'static str, Map<String, Value>>,
    pub(super) route: Option<Value>,
    /// Parts that were not carried over, or not as they were.
    pub notes: Vec<Fault>,
    /// Variables that the entries name.
    pub variables: Vec<Variable>,
    /// Number of entries of the other program's file.
    pub found: usize,
    /// Number of those that have become entries of ours.
    pub carried: usize,
}

impl Imported {
    /// Returns the content of `services.yaml`; none without services.
    pub fn services_file(&self) -> Option<Map<String, Value>> {
        let services = self.values(LISTS[0]);
        (!services.is_empty())
            .then(|| Map::from_iter([(LISTS[0].to_owned(), Value::Array(services))]))
    }

    /// Returns the content of `alerts.yaml`; none if nothing belongs there.
    pub fn alerts_file(&self) -> Option<Map<String, Value>> {
        let mut file = Map::new();
        for name in MAPPINGS {
            if let Some(members) = self.mappings.get(name).filter(|map| !map.is_empty()) {
                file.insert(name.to_owned(), Value::Object(members.clone()));
            }
        }
        if let Some(route) = &self.route {
            file.insert("route".to_owned(), route.clone());
        }
        for name in &LISTS[1..] {
            let values = self.values(name);
            if !values.is_empty() {
                file.insert((*name).to_owned(), Value::Array(values));
            }
        }
        (!file.is_empty()).then_some(file)
    }

    /// Leaves out the entries that faults of our check are about, with a note for each. False if a
    /// fault is about none of them.
    pub fn leave_out(&mut self, faults: &[Fault]) -> bool {
        let mut refused: BTreeMap<(&'static str, usize), String> = BTreeMap::new();
        for fault in faults {
            let mut parts = fault.pointer.split('/').skip(1);
            let list = parts.next().unwrap_or_default();
            let list = LISTS.into_iter().find(|name| *name == list);
            let index = parts.next().and_then(|index| index.parse().ok());
            let (Some(list), Some(index)) = (list, index) else {
                return false;
            };
            let rest: Vec<&str> = parts.collect();
            let message = format!("`{}`: {}", rest.join("."), fault.message);
            refused.entry((list, index)).or_insert(message);
        }
        // From the end, so that those in front keep their index.
        for ((list, index), message) in refused.into_iter().rev() {
            let entries = self.lists.entry(list).or_default();
            if index >= entries.len() {
                return false;
            }
            let mut note = entries.remove(index).source;
            note.message = format!("would be refused ({message}); left out");
            self.notes.push(note);
            self.carried = self.carried.saturating_sub(1);
        }
        true
    }

    fn values(&self, list: &str) -> Vec<Value> {
        let entries = self.lists.get(list).into_iter().flatten();
        entries.map(|entry| entry.value.clone()).collect()
    }
}

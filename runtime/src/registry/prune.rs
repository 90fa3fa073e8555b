//! Takes out what is known to be wrong, so that the rest of an entry can still be judged and all faults are told at once.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::{Fault, Report, segments};

/// Reads the entry that stands at `prefix`. `None` when too little of it is left; then the report says why.
pub fn prune_and_parse<T: DeserializeOwned>(mut entry: Value, prefix: &str, report: &mut Report) -> Option<T> {
    let mut pruned = report.left_out > 0;
    for fault in &report.faults {
        if let Some(pointer) =
            fault.pointer.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            remove(&mut entry, pointer);
            pruned = true;
        }
    }
    match serde_json::from_value(entry) {
        Ok(parsed) => Some(parsed),
        Err(_) if pruned => None,
        Err(error) => {
            report.add(Fault::new(prefix, format!("can't be read: {error}")));
            None
        }
    }
}

/// An element of a list leaves a gap, so that those after it keep their index.
fn remove(value: &mut Value, pointer: &str) {
    let mut keys = segments(pointer);
    let Some(last) = keys.pop() else {
        *value = Value::Null;
        return;
    };
    let mut parent = value;
    for key in keys {
        let next = match parent {
            Value::Object(members) => members.get_mut(&key),
            Value::Array(items) => key.parse::<usize>().ok().and_then(|index| items.get_mut(index)),
            _ => None,
        };
        match next {
            Some(next) => parent = next,
            None => return,
        }
    }
    match parent {
        Value::Object(members) => {
            members.remove(&last);
        }
        Value::Array(items) => {
            if let Some(item) = last.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

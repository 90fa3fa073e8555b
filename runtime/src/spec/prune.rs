//! Removes what is known to be wrong, so that the rest of an entry can still be checked and all
//! faults are reported at once.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::fault::{Fault, FaultReport, segments};

/// Keys without which an entry can't be read. An empty text takes their place; that it is wrong has
/// been reported.
const REQUIRED: [&str; 4] = ["name", "baseUrl", "plugin", "channel"];

/// Reads the entry that stands at `prefix`. `None` when too little of it is left; then the report
/// has the reason.
pub fn prune_and_parse<T: DeserializeOwned>(
    mut entry: Value,
    prefix: &str,
    report: &mut FaultReport,
) -> Option<T> {
    let mut pruned = report.left_out > 0;
    for fault in &report.faults {
        if let Some(pointer) = fault
            .pointer
            .strip_prefix(prefix)
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        {
            // A credential without a type has no meaning.
            let is_credential =
                |parent: &&str| *parent == "/authentication" || parent.starts_with("/credentials/");
            remove(
                &mut entry,
                pointer
                    .strip_suffix("/type")
                    .filter(is_credential)
                    .unwrap_or(pointer),
            );
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
            Value::Array(items) => key
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index)),
            _ => None,
        };
        match next {
            Some(next) => parent = next,
            None => return,
        }
    }
    match parent {
        Value::Object(members) if REQUIRED.contains(&last.as_str()) => {
            members.insert(last, Value::from(""));
        }
        Value::Object(members) => {
            members.remove(&last);
        }
        Value::Array(items) => {
            if let Some(item) = last
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
            {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::ServiceSpec;

    #[test]
    fn reads_what_is_left() {
        let mut report = FaultReport::default();
        for pointer in [
            "/s/0/baseUrl",
            "/s/0/tags",
            "/s/0/authentication/type",
            "/s/1/name",
            "/s/0/zzz",
        ] {
            report.fault(pointer, "is wrong");
        }
        let entry =
            json!({"name": "a", "tags": 3, "zzz": 1, "authentication": {"type": 1}, "owner": "o"});
        let spec: ServiceSpec = prune_and_parse(entry, "/s/0", &mut report).unwrap();
        assert_eq!(
            (
                spec.name.as_str(),
                spec.base_url.as_str(),
                spec.owner.as_deref()
            ),
            ("a", "", Some("o"))
        );
        assert!(spec.authentication.is_none());
        assert_eq!(report.faults.len(), 5);
    }

    #[test]
    fn what_can_not_be_read_is_reported_once() {
        let mut report = FaultReport::default();
        assert!(prune_and_parse::<ServiceSpec>(json!({"name": 1}), "/s/0", &mut report).is_none());
        assert!(prune_and_parse::<ServiceSpec>(json!({"name": 1}), "/s/0", &mut report).is_none());
        assert_eq!(report.faults.len(), 1);
    }
}

//! Secrets of other programs' files: in ours a variable stands in place of each.

use std::collections::BTreeMap;

use serde_json::Value;

/// Values that stand in for variables while the output is checked: a URL, and any other text.
const SAMPLE_URL: &str = "https://placeholder.invalid/";
const SAMPLE_TEXT: &str = "placeholder-0123456789";

/// Variable that an entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// A value of its kind, with which the entries can be checked where it is not set.
    pub sample: &'static str,
}

/// Variables by name, with the secrets they stand for, so that a secret that is used twice has one
/// name.
#[derive(Default)]
pub(super) struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Returns the reference that stands for a secret. One that has a variable already stays as it
    /// is.
    pub(super) fn reference(&mut self, wanted: &str, secret: &str) -> String {
        if !references(secret).is_empty() {
            return secret.to_owned();
        }
        let wanted = variable_name(wanted);
        let mut name = wanted.clone();
        for number in 2.. {
            match self.0.get(&name) {
                Some(known) if known != secret => name = format!("{wanted}_{number}"),
                _ => break,
            }
        }
        self.0.insert(name.clone(), secret.to_owned());
        format!("${{{name}}}")
    }
}

/// Returns a name of a variable: capital letters, digits and `_`.
pub(super) fn variable_name(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars().flat_map(char::to_uppercase) {
        if character.is_ascii_alphanumeric() {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return name.to_owned();
    }
    format!("SECRET_{name}")
}

/// Returns the names of the variables in a text; `$${` is none.
pub(super) fn references(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("${") {
        if text[..at].ends_with('$') {
            continue;
        }
        let inner = text[at + 2..].split('}').next().unwrap_or_default();
        names.push(inner.split(":-").next().unwrap_or_default());
    }
    names
}

/// Returns the variables that texts of a value name.
pub(super) fn variables_in(value: &Value) -> Vec<Variable> {
    let mut found = BTreeMap::new();
    collect(value, "", &mut found);
    let found = found.into_iter();
    found
        .map(|(name, sample)| Variable { name, sample })
        .collect()
}

fn collect(value: &Value, key: &str, found: &mut BTreeMap<String, &'static str>) {
    match value {
        Value::String(text) => {
            for name in references(text) {
                let is_whole = text.len() == name.len() + 3;
                let is_url = is_whole && is_url_key(key);
                let sample = if is_url { SAMPLE_URL } else { SAMPLE_TEXT };
                found.entry(name.to_owned()).or_insert(sample);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        Value::Object(members) => members
            .iter()
            .for_each(|(key, item)| collect(item, key, found)),
        _ => {}
    }
}

fn is_url_key(key: &str) -> bool {
    ["baseUrl", "url", "webhook", "tokenUrl"].contains(&key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_has_one_name_and_no_two_share_one() {
        let mut secrets = Secrets::default();
        assert_eq!(secrets.reference("ops slack", "a"), "${OPS_SLACK}");
        assert_eq!(secrets.reference("ops slack", "b"), "${OPS_SLACK_2}");
        assert_eq!(secrets.reference("ops-slack", "a"), "${OPS_SLACK}");
        assert_eq!(secrets.reference("x", "Bearer ${T}"), "Bearer ${T}");
        assert_eq!(secrets.reference("9", "$${T}"), "${SECRET_9}");
    }

    #[test]
    fn variables_are_found_with_a_value_of_their_kind() {
        let value = json!({"a": {"baseUrl": "${A}", "name": "x ${B:-c} $${C}"}});
        let found = variables_in(&value);
        let found: Vec<_> = found
            .iter()
            .map(|variable| (variable.name.as_str(), variable.sample))
            .collect();
        assert_eq!(found, [("A", SAMPLE_URL), ("B", SAMPLE_TEXT)]);
    }
}

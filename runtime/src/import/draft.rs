//! Collects what an import finds: entries, channels, secrets and notes.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::imported::{Entry, Imported};
use super::item::Item;
use super::monitor::Monitor;
use super::secrets::{Secrets, references, variables_in};
use crate::domain::slug;

/// More notes than anyone reads; the rest is counted.
const MAX_NOTES: usize = 5_000;

#[derive(Default)]
pub(super) struct Draft {
    pub(super) imported: Imported,
    secrets: Secrets,
    slugs: BTreeSet<String>,
    /// Things that are noted once, however often they come.
    once: BTreeSet<String>,
    notes_beyond: usize,
}

impl Draft {
    pub(super) fn note(&mut self, item: &Item<'_>, message: impl Into<String>) {
        if self.imported.notes.len() < MAX_NOTES {
            self.imported.notes.push(item.note(message));
        } else {
            self.notes_beyond += 1;
        }
    }

    /// Notes that something has no counterpart.
    pub(super) fn left_out(&mut self, item: &Item<'_>, reason: &str) {
        self.note(item, format!("{reason}; left out"));
    }

    /// Notes it the first time.
    pub(super) fn note_once(&mut self, item: &Item<'_>, message: &str) {
        if self.once.insert(message.to_owned()) {
            self.note(item, message);
        }
    }

    /// Notes once how mail is sent here.
    pub(super) fn note_mail_server(&mut self, item: &Item<'_>) {
        let message = "mail goes through the server that `SMTP_HOST`, `SMTP_USERNAME` and `SMTP_PASSWORD` name";
        self.note_once(item, message);
    }

    /// Notes each of these keys that is there.
    pub(super) fn without_counterpart(&mut self, item: &Item<'_>, keys: &[&str]) {
        for key in keys {
            if let Some(found) = item
                .get(key)
                .filter(|found| *found.value != Value::Bool(false))
            {
                self.left_out(&found, "has no counterpart");
            }
        }
    }

    /// Notes each key that is none of these.
    pub(super) fn unknown_keys(&mut self, item: &Item<'_>, known: &[&str]) {
        for (key, found) in item.members() {
            if !known.contains(&key) {
                self.left_out(&found, "has no counterpart");
            }
        }
    }

    /// Returns the reference to the variable that stands for a secret, e.g. `${SLACK_WEBHOOK_URL}`.
    pub(super) fn secret(&mut self, item: &Item<'_>, name: &str, secret: &str) -> String {
        let reference = self.secrets.reference(name, secret);
        if references(secret).is_empty() {
            let name = reference.trim_start_matches("${").trim_end_matches('}');
            let message = format!("is secret; set `{name}` to it in the environment or in `.env`");
            if self.once.insert(format!("secret {name}")) {
                self.note(item, message);
            }
        }
        reference
    }

    /// Returns the secret at a key, or the one in the file that the key with `_file` behind it
    /// names.
    pub(super) fn secret_of(&mut self, item: &Item<'_>, key: &str, name: &str) -> Option<String> {
        if let Some(found) = item.get(key) {
            let text = found.text()?;
            return Some(self.secret(&found, name, &text));
        }
        let found = item.get(&format!("{key}_file"))?;
        let path = found.text()?;
        // The path makes it known again.
        let reference = self.secrets.reference(name, &format!("file {path}"));
        let name = reference.trim_start_matches("${").trim_end_matches('}');
        let message = format!("is read from a file; set `{name}_FILE` to `{path}`");
        if self.once.insert(format!("secret {name}")) {
            self.note(&found, message);
        }
        Some(reference)
    }

    /// Counts an entry of the other program's file.
    pub(super) fn found(&mut self) {
        self.imported.found += 1;
    }

    /// Adds a service, and returns its slug.
    pub(super) fn service(&mut self, item: &Item<'_>, monitor: Monitor) -> String {
        let group = monitor.group.clone().unwrap_or_default();
        let own = self.unique_slug(&monitor.name, &group);
        let found = own.clone().unwrap_or_else(|| slug(&monitor.name));
        self.entry("services", item, monitor.into_value(own));
        found
    }

    /// Adds an entry to one of our lists.
    pub(super) fn entry(&mut self, list: &'static str, item: &Item<'_>, value: Value) {
        let source = item.note("");
        let entries = self.imported.lists.entry(list).or_default();
        entries.push(Entry { value, source });
        self.imported.carried += 1;
    }

    /// Adds a member to one of our mappings, and returns the name it has got there.
    pub(super) fn member(&mut self, mapping: &'static str, wanted: &str, value: Value) -> String {
        let members = self.imported.mappings.entry(mapping).or_default();
        let name = unique(wanted, |name| members.contains_key(name));
        members.insert(name.clone(), value);
        name
    }

    pub(super) fn finish(mut self) -> Imported {
        let files = [self.imported.services_file(), self.imported.alerts_file()];
        let whole: Map<String, Value> = files.into_iter().flatten().flatten().collect();
        self.imported.variables = variables_in(&Value::Object(whole));
        if self.notes_beyond > 0
            && let Some(mut last) = self.imported.notes.last().cloned()
        {
            last.message = format!("and {} more", self.notes_beyond);
            self.imported.notes.push(last);
        }
        self.imported
    }

    /// Returns the slug that a service needs where that of its name is taken, or is none; none if
    /// that of its name is right.
    fn unique_slug(&mut self, name: &str, group: &str) -> Option<String> {
        let plain = slug(name);
        if !plain.is_empty() && self.slugs.insert(plain.clone()) {
            return None;
        }
        let wanted = slug(&format!("{group} {plain}"));
        let wanted = if wanted.is_empty() {
            "service".to_owned()
        } else {
            wanted
        };
        let found = unique(&wanted, |name| self.slugs.contains(name));
        self.slugs.insert(found.clone());
        Some(found)
    }
}

/// Returns the wanted name, or that with a number behind it where it is taken.
pub(super) fn unique(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    for number in 2.. {
        if !is_taken(&name) {
            break;
        }
        name = format!("{wanted}-{number}");
    }
    name
}

/// Returns a mapping of what is there.
pub(super) fn mapping<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    let members = members.into_iter();
    members
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}

//! Fields of the builder, and the entry that they are: what is empty was not filled in. Pure.

use serde_json::{Map, Value, json};

use crate::spec::{ReportSectionSpec, ReportSpec};

/// Sections of a form; the check bounds them again.
const MAX_SECTIONS: usize = 30;

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Draft {
    /// Name of the report that is edited; empty: a new one.
    pub(super) replaces: String,
    pub(super) name: String,
    pub(super) bundled: String,
    pub(super) title: String,
    pub(super) schedule: String,
    pub(super) at: String,
    pub(super) timezone: String,
    pub(super) span: String,
    pub(super) channels: Vec<String>,
    pub(super) formats: Vec<String>,
    pub(super) sections: Vec<Part>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Part {
    /// Key of the section.
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) value: String,
    pub(super) bars: bool,
}

/// What a button of the form asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Save,
    Add,
    Up(usize),
    Down(usize),
    Remove(usize),
}

impl Draft {
    /// Reads the fields of a form, with the button that was pressed.
    pub(super) fn read(fields: Vec<(String, String)>) -> (Self, Act) {
        let mut draft = Self::default();
        let mut act = Act::Save;
        for (key, value) in fields {
            let value = value.replace("\r\n", "\n");
            if let Some((field, index)) = key.split_once('.')
                && let Ok(index) = index.parse::<usize>()
                && index < MAX_SECTIONS
            {
                if draft.sections.len() <= index {
                    draft.sections.resize(index + 1, Part::default());
                }
                let part = &mut draft.sections[index];
                match field {
                    "kind" => part.kind = value,
                    "title" => part.title = value,
                    "value" => part.value = value,
                    "bars" => part.bars = true,
                    _ => {}
                }
                continue;
            }
            match key.as_str() {
                "replaces" => draft.replaces = value,
                "name" => draft.name = value,
                "bundled" => draft.bundled = value,
                "title" => draft.title = value,
                "schedule" => draft.schedule = value,
                "at" => draft.at = value,
                "timezone" => draft.timezone = value,
                "span" => draft.span = value,
                "channel" => draft.channels.push(value),
                "format" => draft.formats.push(value),
                "act" => act = act_of(&value),
                _ => {}
            }
        }
        (draft, act)
    }

    /// Takes over what a button asks for.
    pub(super) fn apply(&mut self, act: Act) {
        let count = self.sections.len();
        match act {
            Act::Add if count < MAX_SECTIONS => self.sections.push(Part {
                kind: "table".to_owned(),
                ..Part::default()
            }),
            Act::Up(index) if index > 0 && index < count => self.sections.swap(index, index - 1),
            Act::Down(index) if index + 1 < count => self.sections.swap(index, index + 1),
            Act::Remove(index) if index < count => drop(self.sections.remove(index)),
            _ => {}
        }
    }

    pub(super) fn of(spec: &ReportSpec, replaces: &str) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let words = |value: Value| match value {
            Value::Array(words) => words.iter().filter_map(word).collect(),
            other => word(&other).into_iter().collect::<Vec<String>>(),
        };
        Self {
            replaces: replaces.to_owned(),
            name: spec.name.clone(),
            bundled: text(&spec.bundled),
            title: text(&spec.title),
            schedule: text(&spec.schedule),
            at: text(&spec.at),
            timezone: text(&spec.timezone),
            span: words(json!(spec.span)).concat(),
            channels: spec.channels.clone(),
            formats: words(json!(spec.formats)),
            sections: spec.sections.iter().map(Part::of).collect(),
        }
    }

    /// Returns the first section that can't be read, with the reason.
    pub(super) fn section_fault(&self) -> Option<String> {
        let mut parts = self.sections.iter().enumerate();
        parts.find_map(|(index, part)| {
            let read = serde_json::from_value::<ReportSectionSpec>(part.spec());
            Some(format!("Section {}: {}", index + 1, read.err()?))
        })
    }

    /// Returns the entry.
    pub(super) fn spec(&self) -> Value {
        let mut spec = Map::new();
        spec.insert("name".to_owned(), json!(self.name.trim()));
        for (key, value) in [
            ("bundled", &self.bundled),
            ("title", &self.title),
            ("schedule", &self.schedule),
            ("at", &self.at),
            ("timezone", &self.timezone),
            ("span", &self.span),
        ] {
            if !value.trim().is_empty() {
                spec.insert(key.to_owned(), json!(value.trim()));
            }
        }
        if !self.channels.is_empty() {
            spec.insert("channels".to_owned(), json!(self.channels));
        }
        if !self.formats.is_empty() {
            spec.insert("formats".to_owned(), json!(self.formats));
        }
        if !self.sections.is_empty() {
            let sections = self.sections.iter().map(Part::spec);
            spec.insert("sections".to_owned(), sections.collect());
        }
        Value::Object(spec)
    }
}

fn act_of(text: &str) -> Act {
    let (verb, index) = text.split_once('.').unwrap_or((text, ""));
    match (verb, index.parse().ok()) {
        ("add", _) => Act::Add,
        ("up", Some(index)) => Act::Up(index),
        ("down", Some(index)) => Act::Down(index),
        ("remove", Some(index)) => Act::Remove(index),
        _ => Act::Save,
    }
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

impl Part {
    fn of(spec: &ReportSectionSpec) -> Self {
        let found = match json!(spec) {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let kinds = ["numbers", "chart", "table", "sql", "query", "text"];
        let kind = kinds.into_iter().find(|kind| found.contains_key(*kind));
        let kind = kind.unwrap_or("table");
        let value = match found.get(kind) {
            Some(Value::Array(words)) => {
                let words: Vec<String> = words.iter().filter_map(word).collect();
                words.join(", ")
            }
            other => other.and_then(word).unwrap_or_default(),
        };
        Self {
            kind: kind.to_owned(),
            title: spec.title.clone().unwrap_or_default(),
            value,
            bars: spec.bars,
        }
    }

    fn spec(&self) -> Value {
        let mut spec = Map::new();
        if !self.title.trim().is_empty() {
            spec.insert("title".to_owned(), json!(self.title.trim()));
        }
        let value = match self.kind.as_str() {
            "numbers" => self
                .value
                .split([',', ' ', '\n'])
                .filter(|word| !word.is_empty())
                .collect(),
            _ => json!(self.value.trim()),
        };
        spec.insert(self.kind.clone(), value);
        if self.bars {
            spec.insert("bars".to_owned(), json!(true));
        }
        Value::Object(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_form_is_an_entry_and_back() {
        let (draft, act) = Draft::read(fields(&[
            ("name", "mine"),
            ("schedule", "weekly"),
            ("channel", "ops"),
            ("channel", "cto"),
            ("kind.0", "numbers"),
            ("value.0", "availability, cost"),
            ("kind.1", "sql"),
            ("value.1", "SELECT 1\r\n"),
            ("bars.1", "on"),
            ("act", "save"),
        ]));
        assert_eq!(act, Act::Save);
        let wanted = json!({
            "name": "mine", "schedule": "weekly", "channels": ["ops", "cto"],
            "sections": [{"numbers": ["availability", "cost"]}, {"sql": "SELECT 1", "bars": true}],
        });
        assert_eq!(draft.spec(), wanted);
        let spec: ReportSpec = serde_json::from_value(wanted.clone()).unwrap();
        assert_eq!(Draft::of(&spec, "").spec(), wanted);
    }

    #[test]
    fn a_section_that_can_not_be_read_is_named() {
        let (mut draft, _) = Draft::read(fields(&[
            ("kind.0", "table"),
            ("value.0", "services"),
            ("kind.1", "chart"),
            ("value.1", "nope"),
        ]));
        let fault = draft.section_fault().unwrap();
        assert!(
            fault.starts_with("Section 2: ") && fault.contains("nope"),
            "{fault}"
        );
        draft.apply(Act::Remove(1));
        assert_eq!(draft.section_fault(), None);
    }

    #[test]
    fn sections_are_added_moved_and_removed() {
        let mut draft = Draft::default();
        for name in ["a", "b", "c"] {
            draft.apply(Act::Add);
            draft.sections.last_mut().unwrap().value = name.to_owned();
        }
        let order = |draft: &Draft| {
            let values = draft.sections.iter().map(|part| part.value.clone());
            values.collect::<String>()
        };
        for (act, wanted) in [
            (Act::Up(2), "acb"),
            (Act::Down(0), "cab"),
            (Act::Up(0), "cab"),
            (Act::Down(2), "cab"),
            (Act::Remove(1), "cb"),
            (Act::Remove(7), "cb"),
        ] {
            draft.apply(act);
            assert_eq!(order(&draft), wanted, "{act:?}");
        }
    }
}

//! A value of a file of another program, with its place.

use serde_json::Value;

use crate::config::ForeignFile;
use crate::domain::Fault;
use crate::domain::fault::child;

/// One value.
#[derive(Clone)]
pub(super) struct Item<'a> {
    file: &'a ForeignFile,
    pub(super) value: &'a Value,
    pointer: String,
}

impl<'a> Item<'a> {
    pub(super) fn root(file: &'a ForeignFile) -> Self {
        Self {
            file,
            value: file.value(),
            pointer: String::new(),
        }
    }

    fn below(&self, key: impl std::fmt::Display, value: &'a Value) -> Self {
        Self {
            file: self.file,
            value,
            pointer: child(&self.pointer, key),
        }
    }

    /// Returns the value of a key. One that is null, or an empty text, is none.
    pub(super) fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key)?;
        let is_nothing = value.is_null() || value.as_str().is_some_and(str::is_empty);
        (!is_nothing).then(|| self.below(key, value))
    }

    /// Returns the entries of a list, or the values of a mapping. A single value is a list of one.
    pub(super) fn items(&self) -> Vec<Self> {
        match self.value {
            Value::Array(items) => {
                let items = items.iter().enumerate();
                let items = items.filter(|(_, item)| !item.is_null());
                items.map(|(index, item)| self.below(index, item)).collect()
            }
            Value::Object(_) => self.members().into_iter().map(|(_, item)| item).collect(),
            Value::Null => Vec::new(),
            _ => vec![self.clone()],
        }
    }

    /// Returns the entries of the list at a key.
    pub(super) fn list(&self, key: &str) -> Vec<Self> {
        self.get(key).map_or_else(Vec::new, |list| list.items())
    }

    /// Returns the keys of a mapping with their values, in the order of the file.
    pub(super) fn members(&self) -> Vec<(&'a str, Self)> {
        let members = self.value.as_object().into_iter().flatten();
        let members = members.filter(|(_, value)| !value.is_null());
        members
            .map(|(key, value)| (key.as_str(), self.below(key, value)))
            .collect()
    }

    /// Returns a text, a number or a boolean as text.
    pub(super) fn text(&self) -> Option<String> {
        match self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(self.value.to_string()),
            _ => None,
        }
    }

    pub(super) fn text_of(&self, key: &str) -> Option<String> {
        self.get(key)?.text()
    }

    /// Returns the texts of a list, or those between commas of one text.
    pub(super) fn texts_of(&self, key: &str) -> Vec<String> {
        let texts = self.list(key).into_iter().filter_map(|item| item.text());
        texts
            .flat_map(|text| {
                text.split(',')
                    .map(|part| part.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .filter(|text| !text.is_empty())
            .collect()
    }

    pub(super) fn is_true(&self, key: &str) -> bool {
        let value = self.value.get(key);
        value.is_some_and(|value| *value == true || *value == "true" || *value == 1)
    }

    pub(super) fn is_false(&self, key: &str) -> bool {
        let value = self.value.get(key);
        value.is_some_and(|value| *value == false || *value == "false" || *value == 0)
    }

    /// Returns a number, or a text that is one.
    pub(super) fn number_of(&self, key: &str) -> Option<f64> {
        let value = self.value.get(key)?;
        value
            .as_f64()
            .or_else(|| value.as_str()?.trim().parse().ok())
            .filter(|number| number.is_finite())
    }

    /// Returns a note about this value: the file, its line and its key.
    pub(super) fn note(&self, message: impl Into<String>) -> Fault {
        self.file.place(&self.pointer, message)
    }
}

//! Reading settings: places, faults, and objects whose every key is accounted for.

use serde_json::{Map, Value};

use super::{Fault, Setting};

/// Faults found so far.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_list(self) -> Vec<Fault> {
        self.0
    }

    pub fn add(&mut self, place: &Place<'_>, message: impl Into<String>) {
        self.0.push(Fault::new(place.pointer(), message));
    }

    /// Passes a value on, or notes that another one was wanted.
    pub fn expect<T>(
        &mut self,
        read: Option<T>,
        found: &Value,
        place: &Place<'_>,
        wanted: &str,
    ) -> Option<T> {
        if read.is_none() {
            self.add(place, format!("is {}, wanted {wanted}", shown(found)));
        }
        read
    }
}

/// Shows a value to people; a long one is only named.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("`{value}`"),
        Value::String(text) if text.len() <= 40 => format!("`{text}`"),
        Value::String(_) => "a long text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "keys with values".to_owned(),
    }
}

/// Place of a value in the settings.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a>(Step<'a>);

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a Place<'a>, &'a str),
    Item(&'a Place<'a>, usize),
}

impl<'a> Place<'a> {
    /// Place of the whole settings.
    pub const ROOT: Place<'static> = Place(Step::Root);

    pub fn key(&'a self, key: &'a str) -> Place<'a> {
        Place(Step::Key(self, key))
    }

    pub fn item(&'a self, index: usize) -> Place<'a> {
        Place(Step::Item(self, index))
    }

    /// Returns the place as a JSON Pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        match &self.0 {
            Step::Root => String::new(),
            Step::Key(parent, key) => format!(
                "{}/{}",
                parent.pointer(),
                key.replace('~', "~0").replace('/', "~1")
            ),
            Step::Item(parent, index) => format!("{}/{index}", parent.pointer()),
        }
    }
}

/// An object being read key by key.
pub struct Object<'a> {
    entries: &'a Map<String, Value>,
    place: &'a Place<'a>,
    known: Vec<&'static str>,
}

impl<'a> Object<'a> {
    pub fn open(value: &'a Value, place: &'a Place<'a>, faults: &mut Faults) -> Option<Self> {
        let entries = faults.expect(value.as_object(), value, place, "keys with values")?;
        Some(Self {
            entries,
            place,
            known: Vec::new(),
        })
    }

    /// Reads one key. Absent, it is `default` (JSON text), or what its type makes of it.
    pub fn field<T: Setting>(
        &mut self,
        key: &'static str,
        default: Option<&str>,
        limits: Limits,
        faults: &mut Faults,
    ) -> Option<T> {
        self.known.push(key);
        let place = self.place.key(key);
        let value = match self.entries.get(key) {
            Some(Value::Null) | None => match default {
                Some(text) => &serde_json::from_str(text).unwrap_or(Value::Null),
                None => {
                    let absent = T::absent();
                    if absent.is_none() {
                        faults.add(&place, "is missing");
                    }
                    return absent;
                }
            },
            Some(value) => value,
        };
        limits.check(value, T::size(value), &place, faults);
        T::read(value, &place, faults)
    }

    /// Reads the key that names an alternative.
    pub fn tag(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.push(key);
        self.entries.get(key).and_then(Value::as_str)
    }

    /// Notes that a key does not name one of the alternatives.
    pub fn wrong_tag(&self, key: &'static str, wanted: &str, faults: &mut Faults) {
        let place = self.place.key(key);
        match self.entries.get(key) {
            Some(found) => faults.add(&place, format!("is {}, wanted {wanted}", shown(found))),
            None => faults.add(&place, format!("is missing, wanted {wanted}")),
        }
    }

    /// Notes keys that were never asked for.
    pub fn close(self, faults: &mut Faults) {
        for key in self
            .entries
            .keys()
            .filter(|key| !self.known.contains(&key.as_str()))
        {
            faults.add(
                &self.place.key(key),
                format!("is not a setting; known are {}", list(&self.known)),
            );
        }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// Bounds, all included.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Smallest number, and its text: formatting numbers adds some kilobytes to a plugin.
    pub min: Option<(f64, &'static str)>,
    /// Largest number, and its text.
    pub max: Option<(f64, &'static str)>,
    /// Fewest characters of a text, or entries of a list or of keys with values.
    pub min_size: Option<u64>,
    pub max_size: Option<u64>,
}

impl Limits {
    fn check(
        self,
        value: &Value,
        size: Option<(usize, &str)>,
        place: &Place<'_>,
        faults: &mut Faults,
    ) {
        if let Some((size, what)) = size {
            self.check_size(size as u64, what, place, faults);
        }
        let Some(number) = value.as_f64() else { return };
        if let Some((_, min)) = self.min.filter(|(min, _)| number < *min) {
            faults.add(place, format!("is `{value}`, wanted at least {min}"));
        }
        if let Some((_, max)) = self.max.filter(|(max, _)| number > *max) {
            faults.add(place, format!("is `{value}`, wanted at most {max}"));
        }
    }

    fn check_size(self, size: u64, what: &str, place: &Place<'_>, faults: &mut Faults) {
        if let Some(min) = self.min_size.filter(|min| size < *min) {
            faults.add(place, format!("has {size} {what}, wanted at least {min}"));
        }
        if let Some(max) = self.max_size.filter(|max| size > *max) {
            faults.add(place, format!("has {size} {what}, wanted at most {max}"));
        }
    }
}

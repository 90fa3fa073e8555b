//! Settings of a plugin: a JSON Schema for people and tools, and a reader that names every fault
//! with its place.

mod read;
mod schema_text;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

pub use read::{Faults, Limits, Object, Place};

pub use crate::wit::types::Fault;

impl Fault {
    /// `path` is a JSON Pointer into the settings; empty for the whole.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            attributes: Vec::new(),
        }
    }
}

/// Type of a setting. `#[derive(Settings)]` implements it for structs with named fields and for
/// enums; write it by hand for any other shape.
pub trait Setting: Sized {
    /// JSON Schema (2020-12) as text; always an object.
    fn schema() -> String;

    /// Reads a value. A wrong one adds a fault with its place, and returns none.
    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self>;

    /// Returns the value of an absent key; none if the key is required.
    fn absent() -> Option<Self> {
        None
    }

    /// Returns the size of a value that a field's `min_size` and `max_size` bound, and what is
    /// counted; none where nothing can be.
    fn size(value: &Value) -> Option<(usize, &'static str)> {
        match value {
            Value::String(text) => Some((text.chars().count(), "characters")),
            Value::Array(items) => Some((items.len(), "entries")),
            Value::Object(entries) => Some((entries.len(), "entries")),
            _ => None,
        }
    }

    /// Reads settings from JSON text, as the host hands them over. For tests.
    fn from_json(text: &str) -> Result<Self, Vec<Fault>> {
        parse(text)
    }
}

/// Reads JSON text; the faults are all there are, not only the first.
pub fn parse<T: Setting>(text: &str) -> Result<T, Vec<Fault>> {
    let value: Value = serde_json::from_str(text)
        .map_err(|error| vec![Fault::new("", format!("not JSON: {error}"))])?;
    let mut faults = Faults::default();
    let read = T::read(&value, &Place::ROOT, &mut faults);
    match read {
        Some(settings) if faults.is_empty() => Ok(settings),
        _ => Err(faults.into_list()),
    }
}

/// Adds the schema of a field: the members that the field sets, and those of its type that it does
/// not replace. For the derive.
#[doc(hidden)]
pub fn push_schema(schema: &mut String, of_field: &[(&str, &str)], of_type: &str) {
    let mut separator = '{';
    for (name, value) in of_field {
        schema.push(separator);
        separator = ',';
        for part in ["\"", name, "\":", value] {
            schema.push_str(part);
        }
    }
    for member in schema_text::members(of_type) {
        let name = schema_text::name(member);
        if of_field.iter().all(|(set, _)| *set != name) {
            schema.push(separator);
            separator = ',';
            schema.push_str(member);
        }
    }
    if separator == '{' {
        schema.push('{');
    }
    schema.push('}');
}

/// Settings of a plugin that has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoSettings;

impl Setting for NoSettings {
    fn schema() -> String {
        r#"{"type":"object","additionalProperties":false}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        Object::open(value, place, faults)?.close(faults);
        Some(NoSettings)
    }
}

/// A secret, which never enters the plugin: it names a setting, and the host writes the value where
/// it leaves. See [`crate::http::Text`] and [`crate::signatures`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pointer: String,
    /// The secret of a test, which has no host that keeps it.
    #[cfg(not(target_arch = "wasm32"))]
    value: String,
}

impl Secret {
    /// JSON Pointer of the setting.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Bytes of the secret in UTF-8, for protocols that put the length of a text in front of it. 0
    /// if the settings have no secret there.
    #[cfg(target_arch = "wasm32")]
    pub fn length(&self) -> usize {
        self.open().map_or(0, |handle| handle.length() as usize)
    }

    /// Bytes of the secret in UTF-8, for protocols that put the length of a text in front of it.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn length(&self) -> usize {
        crate::fake::secret_length(self)
    }

    /// The handle by which the host knows it; none if the settings have no secret there.
    #[cfg(target_arch = "wasm32")]
    pub(crate) fn open(&self) -> Option<crate::wit::secrets::Secret> {
        crate::wit::secrets::open(&self.pointer)
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn value(&self) -> &str {
        &self.value
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Setting for Secret {
    fn schema() -> String {
        r#"{"type":"string","minLength":1,"x-secret":true}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let pointer = value
            .as_object()
            .filter(|marker| marker.len() == 1)
            .and_then(|marker| marker.get("$secret")?.as_str());
        let secret = match pointer {
            Some(pointer) => Some(Self {
                pointer: pointer.to_owned(),
                #[cfg(not(target_arch = "wasm32"))]
                value: String::new(),
            }),
            #[cfg(not(target_arch = "wasm32"))]
            None => value.as_str().map(|text| Self {
                pointer: place.pointer(),
                value: text.to_owned(),
            }),
            #[cfg(target_arch = "wasm32")]
            None => None,
        };
        faults.expect(secret, value, place, "a secret")
    }

    /// The host has checked what a handle stands for.
    fn size(value: &Value) -> Option<(usize, &'static str)> {
        value
            .as_str()
            .map(|text| (text.chars().count(), "characters"))
    }
}

/// One or several texts that never enter the plugin. Several while a sender changes its secret: the
/// new one and the old one.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets(Vec<Secret>);

impl AsRef<[Secret]> for Secrets {
    fn as_ref(&self) -> &[Secret] {
        &self.0
    }
}

impl AsRef<[Secret]> for Secret {
    fn as_ref(&self) -> &[Secret] {
        std::slice::from_ref(self)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Setting for Secrets {
    fn schema() -> String {
        r#"{"anyOf":[{"type":"string","minLength":1},{"type":"array","items":{"type":"string","minLength":1},"minItems":1,"maxItems":8}],"x-secret":true}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let secrets = match value {
            Value::Array(_) => Vec::read(value, place, faults)?,
            _ => vec![Secret::read(value, place, faults)?],
        };
        let some = (!secrets.is_empty()).then_some(Secrets(secrets));
        faults.expect(some, value, place, "one secret or several")
    }

    fn size(value: &Value) -> Option<(usize, &'static str)> {
        Some((value.as_array().map_or(1, Vec::len), "entries"))
    }
}

impl Setting for String {
    fn schema() -> String {
        r#"{"type":"string"}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        faults.expect(value.as_str().map(str::to_owned), value, place, "a text")
    }
}

impl Setting for bool {
    fn schema() -> String {
        r#"{"type":"boolean"}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        faults.expect(value.as_bool(), value, place, "true or false")
    }
}

impl Setting for f64 {
    fn schema() -> String {
        r#"{"type":"number"}"#.to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        faults.expect(value.as_f64(), value, place, "a number")
    }
}

macro_rules! integers {
    ($($type:ty: $range:literal),*) => {$(
        impl Setting for $type {
            fn schema() -> String {
                concat!(r#"{"type":"integer""#, $range, "}").to_owned()
            }

            fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
                let whole = value.as_i64().and_then(|number| <$type>::try_from(number).ok());
                faults.expect(whole, value, place, "a whole number in range")
            }
        }
    )*};
}
// Where a field sets its own limits, they stand in place of these.
integers!(i32: "", i64: "", u8: "", u16: "", u32: "", u64: "");

impl Setting for Duration {
    fn schema() -> String {
        r#"{"type":"string","minLength":2,"pattern":"^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$","examples":["500ms","2s","1h30m"]}"#
            .to_owned()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let duration = value.as_str().and_then(crate::time::parse);
        faults.expect(
            duration,
            value,
            place,
            "a duration such as `500ms`, `2s`, `5m`, `1h30m` or `7d`",
        )
    }
}

impl Setting for Value {
    fn schema() -> String {
        "{}".to_owned()
    }

    fn read(value: &Value, _place: &Place<'_>, _faults: &mut Faults) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: Setting> Setting for Option<T> {
    fn schema() -> String {
        T::schema()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        T::read(value, place, faults).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }

    fn size(value: &Value) -> Option<(usize, &'static str)> {
        T::size(value)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn schema() -> String {
        [r#"{"type":"array","items":"#, &T::schema(), "}"].concat()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let items = faults.expect(value.as_array(), value, place, "a list")?;
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| T::read(item, &place.item(index), faults))
            .collect();
        read.into_iter().collect()
    }
}

impl<T: Setting> Setting for BTreeMap<String, T> {
    fn schema() -> String {
        [
            r#"{"type":"object","additionalProperties":"#,
            &T::schema(),
            "}",
        ]
        .concat()
    }

    fn read(value: &Value, place: &Place<'_>, faults: &mut Faults) -> Option<Self> {
        let entries = faults.expect(value.as_object(), value, place, "keys with values")?;
        let read: Vec<Option<(String, T)>> = entries
            .iter()
            .map(|(key, value)| Some((key.clone(), T::read(value, &place.key(key), faults)?)))
            .collect();
        read.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;

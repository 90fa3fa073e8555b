//! One typed value: a metric, a detail, an attribute.

use crate::wit::types;
pub use crate::wit::types::{Entry, Value};

impl From<&str> for types::Value {
    fn from(text: &str) -> Self {
        types::Value::Text(text.to_owned())
    }
}

impl From<String> for types::Value {
    fn from(text: String) -> Self {
        types::Value::Text(text)
    }
}

impl From<bool> for types::Value {
    fn from(flag: bool) -> Self {
        types::Value::Boolean(flag)
    }
}

impl From<f64> for types::Value {
    fn from(number: f64) -> Self {
        types::Value::Number(number)
    }
}

macro_rules! from_integer {
    ($($type:ty),*) => {$(
        impl From<$type> for types::Value {
            fn from(number: $type) -> Self {
                types::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
    )*};
}
from_integer!(i32, i64, u16, u32, u64, usize);

/// Cuts off the byte order mark that some write before UTF-8 (RFC 8259, section 8.1).
pub(crate) fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Looks a key up among entries.
pub fn find<'a>(entries: &'a [Entry], key: &str) -> Option<&'a Value> {
    entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| &entry.value)
}

/// Returns the text of a key among entries, if it is there and a text.
pub fn text<'a>(entries: &'a [Entry], key: &str) -> Option<&'a str> {
    match find(entries, key) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

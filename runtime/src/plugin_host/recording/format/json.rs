//! Bytes in JSON: `list<u8>` is written as `{"utf8": "…"}` where it is text, else as `{"base64":
//! "…"}`, so that people can read a body and a file is not four times as large as what it holds.

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};

use super::weight::weight;

/// A value that a call log keeps until it is known whether it is wanted.
pub(in crate::plugin_host) trait Json: Send + Sync {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;

    /// Returns roughly how many bytes it takes in memory.
    fn weigh(&self) -> usize;
}

impl<T: Serialize + Send + Sync> Json for T {
    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        self.serialize(&mut Serializer::with_formatter(
            out,
            BytesFormatter::default(),
        ))
    }

    fn weigh(&self) -> usize {
        weight(self)
    }
}

pub(in crate::plugin_host) fn to_value(value: &dyn Json) -> serde_json::Result<Value> {
    let mut text = Vec::new();
    value.write(&mut text)?;
    serde_json::from_slice(&text)
}

/// The reverse, into a type of the contract.
pub(in crate::plugin_host) fn from_value<T: DeserializeOwned>(
    mut value: Value,
) -> serde_json::Result<T> {
    spell_out(&mut value);
    serde_json::from_value(value)
}

/// Makes a list of numbers of each `{"utf8": …}` and `{"base64": …}`. No record of the contract has
/// one field of such a name.
fn spell_out(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(spell_out),
        Value::Object(fields) => {
            if let Some(bytes) = bytes(fields) {
                *value = Value::from(bytes);
                return;
            }
            fields.values_mut().for_each(spell_out);
        }
        _ => {}
    }
}

fn bytes(fields: &serde_json::Map<String, Value>) -> Option<Vec<u8>> {
    let (name, text) = fields.iter().next().filter(|_| fields.len() == 1)?;
    match (name.as_str(), text.as_str()?) {
        ("utf8", text) => Some(text.as_bytes().to_vec()),
        ("base64", text) => STANDARD.decode(text).ok(),
        _ => None,
    }
}

/// Holds back the bracket of a list until its first item shows whether these are bytes.
#[derive(Default)]
struct BytesFormatter {
    list: List,
}

#[derive(Default)]
enum List {
    /// Open values are written as usual.
    #[default]
    Written,
    /// `[` is not written yet.
    Opened,
    Bytes(Vec<u8>),
}

impl BytesFormatter {
    /// Writes what was held back, as something else than a byte comes.
    fn written<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        match std::mem::take(&mut self.list) {
            List::Written => Ok(()),
            List::Opened => out.write_all(b"["),
            // No list of bytes after all, but a tuple that begins with one.
            List::Bytes(bytes) => {
                out.write_all(b"[")?;
                bytes.iter().try_for_each(|byte| write!(out, "{byte},"))
            }
        }
    }
}

macro_rules! as_usual {
    ($($name:ident($($argument:ident: $type:ty),*));* $(;)?) => {$(
        fn $name<W: ?Sized + Write>(&mut self, out: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.written(out)?;
            CompactFormatter.$name(out $(, $argument)*)
        }
    )*};
}

impl Formatter for BytesFormatter {
    as_usual! {
        write_null();
        write_bool(value: bool);
        write_i8(value: i8);
        write_i16(value: i16);
        write_i32(value: i32);
        write_i64(value: i64);
        write_u16(value: u16);
        write_u32(value: u32);
        write_u64(value: u64);
        write_f32(value: f32);
        write_f64(value: f64);
        begin_string();
        write_string_fragment(fragment: &str);
        write_char_escape(escape: CharEscape);
        begin_object();
        write_raw_fragment(fragment: &str);
    }

    fn write_u8<W: ?Sized + Write>(&mut self, out: &mut W, value: u8) -> io::Result<()> {
        match &mut self.list {
            List::Written => CompactFormatter.write_u8(out, value),
            List::Opened => {
                self.list = List::Bytes(vec![value]);
                Ok(())
            }
            List::Bytes(bytes) => {
                bytes.push(value);
                Ok(())
            }
        }
    }

    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.written(out)?;
        self.list = List::Opened;
        Ok(())
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        match self.list {
            List::Written if !first => out.write_all(b","),
            _ => Ok(()),
        }
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        match std::mem::take(&mut self.list) {
            List::Written => out.write_all(b"]"),
            List::Opened => out.write_all(b"[]"),
            List::Bytes(bytes) => {
                let (name, text) = match std::str::from_utf8(&bytes) {
                    Ok(text) => ("utf8", text.to_owned()),
                    Err(_) => ("base64", STANDARD.encode(&bytes)),
                };
                write!(out, "{{\"{name}\":{}}}", Value::from(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Record {
        body: Option<Vec<u8>>,
        pieces: Vec<Vec<u8>>,
        pairs: Vec<(String, u8)>,
        reversed: (u8, String),
        numbers: Vec<u32>,
        nothing: Vec<u8>,
        level: u8,
    }

    fn record(body: Option<&[u8]>) -> Record {
        Record {
            body: body.map(<[u8]>::to_vec),
            pieces: vec![b"one".to_vec(), Vec::new(), b"\xff".to_vec()],
            pairs: vec![("a".into(), 1), ("b".into(), 2)],
            reversed: (3, "c".into()),
            numbers: vec![1, 2],
            nothing: Vec::new(),
            level: 7,
        }
    }

    #[test]
    fn bytes_are_text_where_they_are_text() {
        let mut text = Vec::new();
        Json::write(&record(Some("{\"ok\": \"né\"}".as_bytes())), &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"body":{"utf8":"{\"ok\": \"né\"}"},"pieces":[{"utf8":"one"},[],{"base64":"/w=="}],"pairs":[["a",1],["b",2]],"reversed":[3,"c"],"numbers":[1,2],"nothing":[],"level":7}"#
        );
    }

    #[test]
    fn what_was_written_is_read_back() {
        for body in [
            None,
            Some(&b""[..]),
            Some(b"text"),
            Some(b"\x00\xfe\xff"),
            Some(&[0; 300]),
        ] {
            let written = record(body);
            let value = to_value(&written).unwrap();
            assert_eq!(from_value::<Record>(value).unwrap(), written);
        }
    }
}

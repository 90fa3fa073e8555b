//! How much memory a recorded value takes: counted through `serde`, so that no type, field or error
//! can be left out.

use std::fmt::Display;

use serde::Serialize;
use serde::ser;

/// Returns about how many bytes the value takes: its texts and bytes, and the words that hold them.
pub(in crate::plugin_host) fn weight<T: Serialize + ?Sized>(value: &T) -> usize {
    let mut scale = Scale(0);
    // A value that can't be serialised is kept as nothing.
    let _ = value.serialize(&mut scale);
    scale.0
}

/// A length and two pointers, as texts and lists have them.
const LIST_BYTES: usize = size_of::<String>();

struct Scale(usize);

/// An error of a type's own `Serialize`.
#[derive(Debug)]
struct Unweighed;

impl Display for Unweighed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value can't be weighed")
    }
}

impl std::error::Error for Unweighed {}

impl ser::Error for Unweighed {
    fn custom<T: Display>(_message: T) -> Self {
        Self
    }
}

type Weighed = Result<(), Unweighed>;

impl Scale {
    fn add(&mut self, bytes: usize) -> Weighed {
        self.0 += bytes;
        Ok(())
    }
}

macro_rules! scalars {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        fn $name(self, _value: $type) -> Weighed {
            self.add(size_of::<$type>())
        }
    )*};
}

impl ser::Serializer for &mut Scale {
    type Ok = ();
    type Error = Unweighed;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    scalars! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64, serialize_f32: f32,
        serialize_f64: f64, serialize_char: char,
    }

    fn serialize_str(self, text: &str) -> Weighed {
        self.add(LIST_BYTES + text.len())
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Weighed {
        self.add(LIST_BYTES + bytes.len())
    }

    fn serialize_none(self) -> Weighed {
        self.add(size_of::<u64>())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Weighed {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Weighed {
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Weighed {
        Ok(())
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
    ) -> Weighed {
        self.add(size_of::<u64>())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Weighed {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Weighed {
        self.add(size_of::<u64>())?;
        value.serialize(self)
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Self, Unweighed> {
        self.add(LIST_BYTES)?;
        Ok(self)
    }

    fn serialize_tuple(self, _length: usize) -> Result<Self, Unweighed> {
        Ok(self)
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Self, Unweighed> {
        Ok(self)
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self, Unweighed> {
        Ok(self)
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Self, Unweighed> {
        self.add(LIST_BYTES)?;
        Ok(self)
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Self, Unweighed> {
        Ok(self)
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self, Unweighed> {
        Ok(self)
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Weighed {
        self.serialize_str(&value.to_string())
    }
}

macro_rules! parts {
    ($($kind:ident: $name:ident),* $(,)?) => {$(
        impl ser::$kind for &mut Scale {
            type Ok = ();
            type Error = Unweighed;

            fn $name<T: Serialize + ?Sized>(&mut self, value: &T) -> Weighed {
                value.serialize(&mut **self)
            }

            fn end(self) -> Weighed {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field,
}

impl ser::SerializeMap for &mut Scale {
    type Ok = ();
    type Error = Unweighed;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Weighed {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Weighed {
        value.serialize(&mut **self)
    }

    fn end(self) -> Weighed {
        Ok(())
    }
}

macro_rules! fields {
    ($($kind:ident),*) => {$(
        impl ser::$kind for &mut Scale {
            type Ok = ();
            type Error = Unweighed;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, _name: &'static str, value: &T) -> Weighed {
                value.serialize(&mut **self)
            }

            fn end(self) -> Weighed {
                Ok(())
            }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin_host::capabilities::http::{Body, Request};
    use crate::plugin_host::capabilities::text::Text;
    use crate::plugin_host::contract::bindings::imports::net::NetError;
    use crate::plugin_host::contract::bindings::imports::types::{Entry, Value};

    const LARGE: usize = 1 << 20;

    fn large() -> String {
        "x".repeat(LARGE)
    }

    #[test]
    fn whatever_is_large_in_a_request_or_an_answer_has_its_weight() {
        let blank = || Request {
            method: String::new(),
            url: Text::default(),
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
            auth: None,
            basic_auth: None,
            signature: None,
            options: Vec::new(),
        };
        let option = |key: String, value: Value| vec![Entry { key, value }];
        let requests = [
            Request {
                method: large(),
                ..blank()
            },
            Request {
                url: large().into(),
                ..blank()
            },
            Request {
                headers: vec![(large(), Text::default())],
                ..blank()
            },
            Request {
                headers: vec![(String::new(), large().into())],
                ..blank()
            },
            Request {
                body: Some(Body::Bytes(large().into_bytes())),
                ..blank()
            },
            Request {
                auth: Some(large()),
                ..blank()
            },
            Request {
                options: option(large(), Value::Integer(1)),
                ..blank()
            },
            Request {
                options: option(String::new(), Value::Text(large())),
                ..blank()
            },
        ];
        for request in &requests {
            assert!(
                (LARGE..LARGE + 1_000).contains(&weight(request)),
                "{}",
                weight(request)
            );
        }
        assert!(weight(&blank()) < 200);
        assert!(
            weight(&Err::<(), _>(NetError::Protocol(large()))) >= LARGE,
            "errors weigh too"
        );
    }

    #[test]
    fn a_list_of_small_things_weighs_what_holds_them() {
        assert!(weight(&vec![String::new(); 1_000]) >= 1_000 * size_of::<String>());
        assert!(weight(&vec![0_u64; 1_000]) >= 8_000);
        assert_eq!(weight(&()), 0);
    }
}

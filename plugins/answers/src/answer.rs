//! An answer as assertions see it. What is costly is made when the first assertion asks for it.

use std::borrow::Cow;
use std::cell::OnceCell;

use extrack_plugin::json::{Map, Value};
use extrack_plugin::{http, json};

use crate::names::names;

/// Longest part of a body that is shown in a message.
const SHOWN_CHARACTERS: usize = 120;

pub struct Answer<'a> {
    pub response: &'a http::Response,
    text: Cow<'a, str>,
    is_private: bool,
    json: OnceCell<Result<Value, String>>,
}

impl<'a> Answer<'a> {
    pub fn new(response: &'a http::Response) -> Self {
        Self {
            response,
            text: response.text(),
            is_private: false,
            json: OnceCell::new(),
        }
    }

    /// Keeps the body out of messages: it may hold a token that is taken out of it.
    pub fn private(mut self, is_private: bool) -> Self {
        self.is_private = is_private;
        self
    }

    /// The body as text, or why it is none. Where its coding or charset is not known, it is text
    /// all the same if it reads so.
    pub fn text(&self) -> Result<&str, &str> {
        match &self.response.unread {
            Some(reason) if std::str::from_utf8(&self.response.body).is_err() => Err(reason),
            _ => Ok(&self.text),
        }
    }

    /// The body as JSON, or why it is none.
    pub fn json(&self) -> Result<&Value, &str> {
        let parse = || {
            self.text()
                .map_err(|reason| format!("{reason}, wanted JSON"))?;
            self.response.json().map_err(|error| {
                if self.response.truncated {
                    "body is longer than `maxBodyBytes` and was cut off, wanted JSON".to_owned()
                } else {
                    format!("body is {}, wanted JSON: {error}", self.shown())
                }
            })
        };
        self.json
            .get_or_init(parse)
            .as_ref()
            .map_err(String::as_str)
    }

    /// The beginning of the body, for people, and what may be wrong with reading it.
    pub fn shown(&self) -> String {
        let shown = match self.text() {
            Err(_) => "not readable".to_owned(),
            Ok("") => "empty".to_owned(),
            Ok(_) if self.is_private => "not shown, as values are taken from it".to_owned(),
            Ok(text) => format!("`{}`", beginning(text)),
        };
        match &self.response.unread {
            Some(reason) => format!("{shown} ({reason})"),
            None => shown,
        }
    }

    /// The variables that an expression names, for CEL.
    pub fn variables(&self, expression: &str) -> Value {
        let mut variables = Map::new();
        let mut add = |name: &str, value: &dyn Fn() -> Value| {
            if names(expression, name) {
                variables.insert(name.to_owned(), value());
            }
        };
        add("status", &|| self.response.status.into());
        add("headers", &|| self.headers());
        add("body", &|| self.text.as_ref().into());
        add("json", &|| self.json().cloned().unwrap_or(Value::Null));
        add("latency_ms", &|| {
            (self.response.latency().as_micros() as f64 / 1_000.0).into()
        });
        Value::Object(variables)
    }

    /// Names in lower case; several values of one are joined by commas.
    fn headers(&self) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.response.headers {
            match headers.entry(name.to_ascii_lowercase()) {
                json::map::Entry::Vacant(entry) => {
                    entry.insert(value.as_str().into());
                }
                json::map::Entry::Occupied(mut entry) => {
                    let joined = format!("{}, {value}", entry.get().as_str().unwrap_or_default());
                    entry.insert(joined.into());
                }
            }
        }
        Value::Object(headers)
    }
}

/// The first line or so of a text.
pub fn beginning(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

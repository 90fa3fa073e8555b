//! The body of an answer in pieces: one JSON document, or server-sent events, each of which may have
//! usage fields.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use super::usage_fields::Fields;
use crate::domain::CallUnits;

/// Of a JSON document; a longer one is given up.
const MAX_DOCUMENT_BYTES: usize = 256 << 10;
/// Of one event. Longer ones are passed over: no usage field is that long, but its event may be.
const MAX_EVENT_BYTES: usize = 256 << 10;

/// Form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Events,
    /// A document a line.
    Lines,
}

impl Form {
    /// Returns the form of a media type; none: it can't be read.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        let media = media.to_ascii_lowercase();
        match media.as_str() {
            "text/event-stream" => Some(Form::Events),
            "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                Some(Form::Lines)
            }
            "application/json" | "text/json" => Some(Form::Json),
            media if media.ends_with("+json") => Some(Form::Json),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Body {
    form: Option<Form>,
    fields: Fields,
    /// The document, or the data of the event under way.
    buffer: Vec<u8>,
    /// The line under way.
    line: Vec<u8>,
    is_line_too_long: bool,
    /// The event under way is too long, and passed over.
    is_event_too_long: bool,
    has_passed_over: bool,
    is_given_up: bool,
}

impl Body {
    pub(super) fn new(form: Form, fields: Fields) -> Self {
        Self {
            form: Some(form),
            fields,
            ..Self::default()
        }
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        match self.form {
            Some(Form::Json) if !self.is_given_up => {
                if self.buffer.len() + piece.len() > MAX_DOCUMENT_BYTES {
                    self.is_given_up = true;
                    self.buffer = Vec::new();
                } else {
                    self.buffer.extend_from_slice(piece);
                }
            }
            Some(Form::Events | Form::Lines) => self.feed_lines(piece),
            _ => {}
        }
    }

    /// Returns what was used at least, of a body that is not followed any more.
    pub(super) fn least(self) -> BTreeMap<String, Decimal> {
        self.fields.amounts().0
    }

    /// `is_whole`: nothing is missing at its end, as far as its encoding shows.
    pub(super) fn finish(mut self, is_whole: bool) -> CallUnits {
        let mut is_certain = is_whole && !self.is_given_up && !self.has_passed_over;
        match self.form {
            Some(Form::Json) => {
                // An empty body, of a 204 for example, has no usage.
                let is_empty = self.buffer.iter().all(u8::is_ascii_whitespace);
                match serde_json::from_slice(&self.buffer) {
                    Ok(document) => self.fields.read_document(&document),
                    Err(_) => is_certain &= is_empty,
                }
            }
            Some(Form::Events) => {
                if !self.line.is_empty() {
                    self.end_line();
                }
                self.end_event();
                is_certain &= self.fields.has_ended();
            }
            Some(Form::Lines) => {
                self.end_line();
                is_certain &= self.fields.has_ended();
            }
            None => is_certain = false,
        }
        let (amounts, is_consistent) = self.fields.amounts();
        if is_certain && is_consistent {
            CallUnits::Known(amounts)
        } else {
            CallUnits::AtLeast(amounts)
        }
    }

    fn feed_lines(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.extend_line(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.extend_line(rest);
    }

    fn extend_line(&mut self, part: &[u8]) {
        if self.is_line_too_long {
            return;
        }
        if self.line.len() + part.len() > MAX_EVENT_BYTES {
            self.is_line_too_long = true;
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(part);
        }
    }

    fn end_line(&mut self) {
        if std::mem::take(&mut self.is_line_too_long) {
            self.is_event_too_long = true;
            if self.form == Some(Form::Lines) {
                self.end_event();
            }
            return;
        }
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if self.form == Some(Form::Lines) {
            self.buffer.clear();
            self.buffer.extend_from_slice(&line);
            self.end_event();
        } else if line.is_empty() {
            self.end_event();
        } else if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            if self.buffer.len() + data.len() > MAX_EVENT_BYTES {
                self.is_event_too_long = true;
            } else {
                if !self.buffer.is_empty() {
                    self.buffer.push(b'\n');
                }
                self.buffer.extend_from_slice(data);
            }
        }
        line.clear();
        self.line = line;
    }

    fn end_event(&mut self) {
        if std::mem::take(&mut self.is_event_too_long) {
            self.has_passed_over = true;
            self.buffer.clear();
            return;
        }
        if self.buffer.is_empty() {
            return;
        }
        if self.buffer == b"[DONE]" {
            self.fields.note_end();
        } else if self.fields.may_have_any(&self.buffer)
            && let Ok(event) = serde_json::from_slice::<Value>(&self.buffer)
        {
            self.fields.read_event(&event);
        }
        self.buffer.clear();
    }
}

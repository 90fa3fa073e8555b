//! Messages to clients, collected until they are sent.

use super::error::WireError;
use super::types::PgType;

/// A column of an answer, as it was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: PgType,
    pub(super) is_binary: bool,
}

/// What transactions look like to a client; all of ours see what is there, and change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transaction {
    None,
    Open,
    /// A statement failed: nothing runs until its end.
    Failed,
}

/// Messages that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Replies(pub(super) Vec<u8>);

impl Replies {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a message; its length is filled in afterwards.
    fn message<T>(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        self.0.push(kind);
        let start = self.0.len();
        self.0.extend([0; 4]);
        let written = body(&mut self.0);
        // A message is at most a row, and the bytes of an answer are limited.
        let length = (self.0.len() - start) as u32;
        self.0[start..start + 4].copy_from_slice(&length.to_be_bytes());
        written
    }

    fn empty(&mut self, kind: u8) {
        self.message(kind, |_| ());
    }

    pub(super) fn password_wanted(&mut self) {
        self.message(b'R', |body| body.extend(3_u32.to_be_bytes()));
    }

    pub(super) fn signed_in(&mut self) {
        self.message(b'R', |body| body.extend(0_u32.to_be_bytes()));
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        self.message(b'S', |body| {
            text(body, name);
            text(body, value);
        });
    }

    pub(super) fn key(&mut self, pid: u32, secret: u32) {
        self.message(b'K', |body| {
            body.extend(pid.to_be_bytes());
            body.extend(secret.to_be_bytes());
        });
    }

    /// Version 3.0 is spoken, and none of these options of the client.
    pub(super) fn negotiate(&mut self, options: &[&str]) {
        self.message(b'v', |body| {
            body.extend(0x0003_0000_u32.to_be_bytes());
            body.extend((options.len() as u32).to_be_bytes());
            for option in options {
                text(body, option);
            }
        });
    }

    pub(super) fn ready(&mut self, transaction: Transaction) {
        let status = match transaction {
            Transaction::None => b'I',
            Transaction::Open => b'T',
            Transaction::Failed => b'E',
        };
        self.message(b'Z', |body| body.push(status));
    }

    pub(super) fn parsed(&mut self) {
        self.empty(b'1');
    }

    pub(super) fn bound(&mut self) {
        self.empty(b'2');
    }

    pub(super) fn closed(&mut self) {
        self.empty(b'3');
    }

    pub(super) fn suspended(&mut self) {
        self.empty(b's');
    }

    pub(super) fn empty_query(&mut self) {
        self.empty(b'I');
    }

    pub(super) fn no_data(&mut self) {
        self.empty(b'n');
    }

    pub(super) fn done(&mut self, tag: &str) {
        self.message(b'C', |body| text(body, tag));
    }

    pub(super) fn parameter_types(&mut self, types: &[PgType]) {
        self.message(b't', |body| {
            body.extend((types.len() as u16).to_be_bytes());
            for kind in types {
                body.extend(kind.oid().to_be_bytes());
            }
        });
    }

    pub(super) fn columns(&mut self, fields: &[Field]) {
        self.message(b'T', |body| {
            body.extend((fields.len() as u16).to_be_bytes());
            for field in fields {
                text(body, &field.name);
                // Neither a table nor a column of one.
                body.extend(0_u32.to_be_bytes());
                body.extend(0_u16.to_be_bytes());
                body.extend(field.kind.oid().to_be_bytes());
                body.extend(field.kind.size().to_be_bytes());
                body.extend((-1_i32).to_be_bytes());
                body.extend(u16::from(field.is_binary).to_be_bytes());
            }
        });
    }

    /// Adds a row of values, each of which is written by `value`, which returns false for NULL.
    pub(super) fn row(
        &mut self,
        count: usize,
        mut value: impl FnMut(usize, &mut Vec<u8>) -> Result<bool, WireError>,
    ) -> Result<(), WireError> {
        let start = self.0.len();
        let written = self.message(b'D', |body| -> Result<(), WireError> {
            body.extend((count as u16).to_be_bytes());
            for index in 0..count {
                let at = body.len();
                body.extend([0; 4]);
                // Values are limited as above.
                let length = if value(index, body)? {
                    (body.len() - at - 4) as i32
                } else {
                    -1
                };
                body[at..at + 4].copy_from_slice(&length.to_be_bytes());
            }
            Ok(())
        });
        if written.is_err() {
            self.0.truncate(start);
        }
        written
    }

    /// A copy in text with so many columns begins.
    pub(super) fn copy_begins(&mut self, columns: usize) {
        self.message(b'H', |body| {
            body.push(0);
            body.extend((columns as u16).to_be_bytes());
            body.extend(std::iter::repeat_n(0, columns * 2));
        });
    }

    pub(super) fn copy_line(&mut self, line: &[u8]) {
        self.message(b'd', |body| body.extend_from_slice(line));
    }

    pub(super) fn copy_ends(&mut self) {
        self.empty(b'c');
    }

    pub(super) fn error(&mut self, error: &WireError) {
        let severity = if error.is_fatal { "FATAL" } else { "ERROR" };
        self.message(b'E', |body| {
            let mut field = |kind: u8, value: &str| {
                body.push(kind);
                text(body, value);
            };
            field(b'S', severity);
            field(b'V', severity);
            field(b'C', error.code);
            field(b'M', &error.message);
            if let Some(hint) = &error.hint {
                field(b'H', hint);
            }
            if let Some(position) = error.position {
                field(b'P', &position.to_string());
            }
            body.push(0);
        });
    }
}

/// A text and the NUL that ends it. One inside would end it too early.
fn text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.bytes().filter(|byte| *byte != 0));
    body.push(0);
}

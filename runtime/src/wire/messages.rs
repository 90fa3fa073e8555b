//! Messages of clients, each within its own frame: a length that lies reaches no other message.

use super::error::WireError;

/// A message after the start-up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Query(String),
    Parse(Parse),
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        max_rows: usize,
    },
    Close(Target),
    Flush,
    Sync,
    Terminate,
    /// Rest of a copy that was refused.
    Copy,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parse {
    pub(super) name: String,
    pub(super) sql: String,
    pub(super) types: Vec<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<u16>,
    pub(super) values: Vec<Option<Vec<u8>>>,
    pub(super) result_formats: Vec<u16>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

/// Reads the body of a message of this type.
pub(super) fn message(kind: u8, body: &[u8]) -> Result<Message, WireError> {
    let mut body = Body(body);
    let message = match kind {
        b'Q' => Message::Query(body.text()?),
        b'P' => Message::Parse(Parse {
            name: body.text()?,
            sql: body.text()?,
            types: body.list(Body::u32)?,
        }),
        b'B' => Message::Bind(Bind {
            portal: body.text()?,
            statement: body.text()?,
            formats: body.list(Body::u16)?,
            values: body.list(Body::value)?,
            result_formats: body.list(Body::u16)?,
        }),
        b'D' => Message::Describe(body.target()?),
        b'E' => Message::Execute {
            portal: body.text()?,
            // None, and numbers that make no sense, mean all.
            max_rows: usize::try_from(body.u32()?.cast_signed()).unwrap_or(0),
        },
        b'C' => Message::Close(body.target()?),
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'd' | b'c' | b'f' => Message::Copy,
        other => {
            let message = format!("a message of type {other} is not known here");
            return Err(WireError::protocol(message));
        }
    };
    Ok(message)
}

/// Reads what follows the version in the first message: names and values.
pub(super) fn start_parameters(body: &[u8]) -> Result<Vec<(String, String)>, WireError> {
    let mut body = Body(body);
    let mut found = Vec::new();
    loop {
        let name = body.text()?;
        if name.is_empty() {
            return Ok(found);
        }
        found.push((name, body.text()?));
    }
}

/// Reads a password in clear text.
pub(super) fn password(body: &[u8]) -> Result<String, WireError> {
    Body(body).text()
}

/// What is left of a message's body.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(cut)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        let bytes = self.take(2)?.try_into().map_err(|_| cut())?;
        Ok(u16::from_be_bytes(bytes))
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        let bytes = self.take(4)?.try_into().map_err(|_| cut())?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn text(&mut self) -> Result<String, WireError> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
        let text = std::str::from_utf8(self.take(end)?);
        let text = text.map(str::to_owned).map_err(|_| {
            WireError::new("22021", "a text is not UTF-8")
                .with_hint("set the client's encoding to UTF8")
        })?;
        self.take(1)?;
        Ok(text)
    }

    /// A length and as many bytes; none: NULL.
    fn value(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        match usize::try_from(self.u32()?.cast_signed()) {
            Ok(length) => Ok(Some(self.take(length)?.to_vec())),
            Err(_) => Ok(None),
        }
    }

    /// A count and as many items. Each takes a byte at least, so that the count can't lie.
    fn list<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let count = self.u16()?;
        (0..count).map(|_| item(self)).collect()
    }

    fn target(&mut self) -> Result<Target, WireError> {
        match self.take(1)? {
            b"S" => Ok(Target::Statement(self.text()?)),
            b"P" => Ok(Target::Portal(self.text()?)),
            _ => Err(WireError::protocol(
                "only statements and portals can be described and closed",
            )),
        }
    }
}

fn cut() -> WireError {
    WireError::protocol("a message is shorter than it claims")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_lies_about_its_lengths_is_an_error() {
        let whole = b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x01x\xff\xff\xff\xff\0\x01\0\x01";
        let wanted = Bind {
            portal: "p".to_owned(),
            statement: "s".to_owned(),
            formats: vec![1],
            values: vec![Some(b"x".to_vec()), None],
            result_formats: vec![1],
        };
        assert_eq!(message(b'B', whole).unwrap(), Message::Bind(wanted));
        for kind in *b"QPBDEC" {
            for end in 0..whole.len() {
                // None of them panics; most are errors.
                let _ = message(kind, &whole[..end]);
            }
        }
        for end in 0..whole.len() {
            assert!(message(b'B', &whole[..end]).is_err(), "{end}");
        }
        assert!(message(b'B', b"\0\0\0\0\0\x01\x7f\xff\xff\xff").is_err());
        assert!(message(b'?', b"").is_err());
    }
}

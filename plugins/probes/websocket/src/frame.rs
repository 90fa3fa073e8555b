//! Frames of a WebSocket (RFC 6455, 5).

use extrack_plugin::prelude::*;
use extrack_plugin::stream::Connection;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const NORMAL_CLOSURE: u16 = 1000;

/// Limit of a message.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

pub(crate) enum Frame {
    /// A whole text or binary message.
    Message(Vec<u8>),
    Pong(Vec<u8>),
    /// The reason, for people.
    Close(String),
}

pub(crate) fn text(connection: &Connection, text: &str) -> Result<(), NetError> {
    write(connection, TEXT, text.as_bytes())
}

/// Sends a ping with at most 125 bytes.
pub(crate) fn ping(connection: &Connection, payload: &[u8]) -> Result<(), NetError> {
    write(connection, PING, payload)
}

pub(crate) fn close(connection: &Connection) -> Result<(), NetError> {
    write(connection, CLOSE, &NORMAL_CLOSURE.to_be_bytes())
}

/// Frames of a client are masked.
fn write(connection: &Connection, opcode: u8, payload: &[u8]) -> Result<(), NetError> {
    let mut frame = vec![FINAL | opcode];
    match payload.len() {
        length @ ..=125 => frame.push(MASKED | length as u8),
        length @ ..=0xffff => {
            frame.push(MASKED | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(MASKED | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    let mask = random::bytes(4);
    frame.extend(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    connection.write(frame)
}

/// Reads the next message, pong or close; pings are answered.
pub(crate) fn read(connection: &mut Connection) -> Result<Frame, Stop> {
    let mut message: Option<Vec<u8>> = None;
    loop {
        let head = connection.read_exact(2)?;
        let (opcode, is_final) = (head[0] & 0x0f, head[0] & FINAL != 0);
        if head[1] & MASKED != 0 || head[0] & 0x70 != 0 {
            return Err(Stop::unhealthy(
                "server sent a frame that is masked or of an extension, which it must not",
            ));
        }
        let length = length(connection, head[1])?;
        let joined = length.saturating_add(message.as_ref().map_or(0, Vec::len));
        if joined > MAX_MESSAGE_BYTES || (opcode & 0x8 != 0 && length > 125) {
            return Err(Stop::unhealthy(format!(
                "server sent a message of {joined} bytes, which is too long"
            )));
        }
        let payload = connection.read_exact(length)?;
        match (opcode, message.as_mut()) {
            (TEXT | BINARY, None) => message = Some(payload),
            (CONTINUATION, Some(message)) => message.extend(payload),
            (PING, _) => {
                write(connection, PONG, &payload)?;
                continue;
            }
            (PONG, _) => return Ok(Frame::Pong(payload)),
            (CLOSE, _) => return Ok(Frame::Close(reason(&payload))),
            _ => {
                return Err(Stop::unhealthy(format!(
                    "server sent a frame of kind {opcode:#x}, which does not belong here"
                )));
            }
        }
        if is_final {
            return Ok(Frame::Message(message.take().unwrap_or_default()));
        }
    }
}

fn length(connection: &mut Connection, second: u8) -> Result<usize, Stop> {
    let bytes = match second & 0x7f {
        126 => connection.read_exact(2)?,
        127 => connection.read_exact(8)?,
        short => return Ok(usize::from(short)),
    };
    let length = bytes
        .iter()
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

/// The code of a close frame, and its text.
fn reason(payload: &[u8]) -> String {
    match payload {
        [high, low, text @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let text = String::from_utf8_lossy(text);
            format!("{code} {text}").trim_end().to_owned()
        }
        _ => "without a reason".to_owned(),
    }
}

//! What a ping says, and the text that came with it.

/// What a job reports with a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// It ended well.
    Success,
    /// It begins.
    Start,
    /// It failed; with the exit status, where it is given.
    Fail { exit_status: Option<u8> },
}

impl Signal {
    /// Reads the last part of the address: `start`, `fail`, or an exit status.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "start" => Some(Signal::Start),
            "fail" => Some(Signal::Fail { exit_status: None }),
            // `+3` is a number too, and no exit status.
            status if status.bytes().all(|byte| byte.is_ascii_digit()) => {
                match status.parse().ok()? {
                    0 => Some(Signal::Success),
                    status => Some(Signal::Fail {
                        exit_status: Some(status),
                    }),
                }
            }
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Signal::Success => "success",
            Signal::Start => "start",
            Signal::Fail { .. } => "fail",
        }
    }
}

/// One call of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    pub signal: Signal,
    /// Text for people, see [`Ping::text_of`].
    pub message: Option<String>,
}

impl Ping {
    /// Bytes of a body that are kept.
    pub const MAX_MESSAGE_BYTES: usize = 10 * 1024;

    /// Returns the text of a body: its first [`Self::MAX_MESSAGE_BYTES`], without control characters
    /// other than tabs and line breaks, which could change what a terminal shows. None: it is empty.
    pub fn text_of(body: &[u8]) -> Option<String> {
        let kept = &body[..body.len().min(Self::MAX_MESSAGE_BYTES)];
        let mut text = String::new();
        for c in String::from_utf8_lossy(kept).chars() {
            if c.is_control() && !matches!(c, '\n' | '\t') {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
            if text.len() >= Self::MAX_MESSAGE_BYTES {
                break;
            }
        }
        let text = text.trim_end();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

//! Replies of SMTP (RFC 5321, 4.2).

use extrack_plugin::prelude::*;
use extrack_plugin::stream::{Connection, Piece};

/// RFC 5321 allows 512 bytes.
const MAX_LINE_BYTES: usize = 4096;
const MAX_LINES: usize = 128;
/// Limit of the characters of an answer that are shown in a message.
const SHOWN_CHARACTERS: usize = 80;

pub(crate) struct Reply {
    code: u16,
    /// Texts behind the code.
    lines: Vec<String>,
}

/// Sends a command and reads the reply.
pub(crate) fn command(connection: &mut Connection, command: &str) -> Result<Reply, Stop> {
    connection.write(format!("{command}\r\n"))?;
    Reply::read(connection)
}

/// Logs in by `AUTH PLAIN` (RFC 4616) and reads the reply.
pub(crate) fn log_in(
    connection: &mut Connection,
    username: &str,
    password: &Secret,
) -> Result<Reply, Stop> {
    let plain = http::Text::from(format!("\0{username}\0")).secret(password);
    connection.write_pieces(["AUTH PLAIN ".into(), Piece::Base64(plain), "\r\n".into()])?;
    Reply::read(connection)
}

impl Reply {
    pub(crate) fn read(connection: &mut Connection) -> Result<Self, Stop> {
        let mut lines = Vec::new();
        while lines.len() < MAX_LINES {
            let line = connection.read_line(MAX_LINE_BYTES)?;
            let no_smtp = || Stop::unhealthy(format!("answer is {}, wanted SMTP", shown(&line)));
            let code: u16 = line
                .get(..3)
                .and_then(|code| code.parse().ok())
                .ok_or_else(no_smtp)?;
            let (is_last, text) = match line.split_at(3).1 {
                "" => (true, ""),
                rest => match rest.split_at_checked(1) {
                    Some((" ", text)) => (true, text),
                    Some(("-", text)) => (false, text),
                    _ => return Err(no_smtp()),
                },
            };
            lines.push(text.to_owned());
            if is_last {
                return Ok(Self { code, lines });
            }
        }
        Err(Stop::unhealthy(format!(
            "answer has more than {MAX_LINES} lines"
        )))
    }

    /// The reply, if it has this code.
    pub(crate) fn wanted(self, code: u16, to: &str) -> Result<Self, Stop> {
        if self.code == code {
            return Ok(self);
        }
        let found = format!("{} {}", self.code, self.first_line());
        Err(Stop::unhealthy(format!(
            "answer to {to} is {}, wanted {code}",
            shown(&found)
        )))
    }

    pub(crate) fn first_line(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    pub(crate) fn has(&self, keyword: &str) -> bool {
        self.offers()
            .any(|(word, _)| word.eq_ignore_ascii_case(keyword))
    }

    /// The parameters of an offered extension; none if it is not offered.
    pub(crate) fn words_after(&self, keyword: &str) -> Vec<&str> {
        self.offers()
            .filter(|(word, _)| word.eq_ignore_ascii_case(keyword))
            .flat_map(|(_, rest)| rest.split_whitespace())
            .collect()
    }

    /// Extensions with their parameters: the lines of an answer to `EHLO` behind the first.
    fn offers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.lines
            .iter()
            .skip(1)
            .map(|line| line.split_once([' ', '=']).unwrap_or((line.as_str(), "")))
    }
}

fn shown(answer: &str) -> String {
    let shown: String = answer
        .chars()
        .take(SHOWN_CHARACTERS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("`{}`", shown.trim())
}

//! TCP connections, plain or with TLS from any moment on, for protocols that the host does not
//! speak.
#![cfg_attr(
    not(target_arch = "wasm32"),
    expect(
        clippy::useless_conversion,
        reason = "the fake has the right errors already"
    )
)]

use std::time::Duration;

use crate::http::Text;
use crate::net::{self, NetError, Phases};
use crate::probe::{Check, Stop};
use crate::settings::{Fault, Secret};
use crate::time::millis;
use crate::url;
use crate::wit::stream as wit;

pub use crate::wit::stream::Session;

#[cfg(not(target_arch = "wasm32"))]
use crate::fake::Connection as Inner;
#[cfg(target_arch = "wasm32")]
use crate::wit::stream::Connection as Inner;

/// Bytes asked for at once by the functions that read up to a mark.
const PIECE_BYTES: u32 = 16 << 10;

/// An open connection; dropping it closes it.
pub struct Connection {
    inner: Inner,
    /// Bytes that were read beyond a mark.
    ahead: Vec<u8>,
}

/// A piece of bytes with secrets in them.
///
/// ```
/// # use extrack_plugin::prelude::*;
/// # use extrack_plugin::stream::{Connection, Piece};
/// # fn log_in(connection: &Connection, password: &Secret) -> Result<(), NetError> {
/// let plain = http::Text::from("\0me\0").secret(password);
/// connection.write_pieces(["AUTH PLAIN ".into(), Piece::Base64(plain), "\r\n".into()])
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "wasm32"), derive(serde::Serialize), serde(untagged))]
pub enum Piece {
    Bytes(Vec<u8>),
    /// The secret as it is.
    Secret(#[cfg_attr(not(target_arch = "wasm32"), serde(serialize_with = "place"))] Secret),
    /// The base64 of a text with secrets.
    Base64(#[cfg_attr(not(target_arch = "wasm32"), serde(serialize_with = "encoded"))] Text),
}

impl From<&str> for Piece {
    fn from(text: &str) -> Self {
        Piece::Bytes(text.as_bytes().to_vec())
    }
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Piece::Bytes(text.into_bytes())
    }
}

impl From<Vec<u8>> for Piece {
    fn from(bytes: Vec<u8>) -> Self {
        Piece::Bytes(bytes)
    }
}

impl From<&Secret> for Piece {
    fn from(secret: &Secret) -> Self {
        Piece::Secret(secret.clone())
    }
}

/// How a connection continues with TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Name to ask for and to check, in place of the host.
    pub server_name: Option<String>,
    /// Completes even with a certificate that is not trusted; then `untrusted` in the session has
    /// the reason.
    pub accept_untrusted: bool,
    /// Protocols to offer (ALPN), the preferred one first.
    pub alpn: Vec<String>,
}

/// Opens a connection to a name or an address. Without a time-out it has what is left of the run.
pub fn connect(host: &str, port: u16, timeout: Option<Duration>) -> Result<Connection, NetError> {
    let inner = Inner::connect(&net::target(host, port, timeout)).map_err(NetError::from)?;
    Ok(Connection {
        inner,
        ahead: Vec::new(),
    })
}

/// Connects and makes a TLS handshake, to look at the certificates: completes even with one that is
/// not trusted.
pub fn handshake(
    host: &str,
    port: u16,
    server_name: Option<&str>,
    timeout: Option<Duration>,
) -> Result<Session, NetError> {
    connect(host, port, timeout)?.start_tls(&Tls {
        server_name: server_name.map(str::to_owned),
        accept_untrusted: true,
        alpn: Vec::new(),
    })
}

/// Returns the host and port to connect to: those of the setting if there is one, else of the base
/// URL.
pub fn target(
    check: &Check,
    setting: Option<&str>,
    default_port: u16,
) -> Result<(String, u16), Stop> {
    let text = setting.unwrap_or(&check.service.base_url);
    match url::host_and_port(text) {
        Some((host, port)) => Ok((host, port.unwrap_or(default_port))),
        None => Err(Stop::Settings(format!(
            "`{text}` names no host; set `target` to `host:port`"
        ))),
    }
}

/// Returns the fault of a setting `target` that is no `host:port`.
pub fn target_fault(setting: Option<&str>) -> Option<Fault> {
    let text = setting.filter(|text| url::host_and_port(text).is_none())?;
    Some(Fault::new(
        "/target",
        format!("is `{text}`, wanted `host:port`"),
    ))
}

impl Session {
    /// Returns the whole days until the server's certificate ends, rounded down, so that 0 is the
    /// last day.
    pub fn days_left(&self) -> Option<i64> {
        self.chain.first().map(net::Certificate::days_left)
    }
}

impl Connection {
    /// Continues with TLS, once at most. Bytes that came before are an error: they were not
    /// protected, and would pass for an answer inside TLS.
    pub fn start_tls(&mut self, tls: &Tls) -> Result<Session, NetError> {
        if !self.ahead.is_empty() {
            return Err(NetError::Protocol(
                "the server sent more before the TLS handshake than it was asked for".to_owned(),
            ));
        }
        let options = wit::TlsOptions {
            server_name: tls.server_name.clone(),
            accept_untrusted: tls.accept_untrusted,
            alpn: tls.alpn.clone(),
            timeout_ms: None,
            attributes: Vec::new(),
        };
        self.inner.start_tls(&options).map_err(NetError::from)
    }

    /// Writes all bytes.
    pub fn write(&self, bytes: impl AsRef<[u8]>) -> Result<(), NetError> {
        self.inner.write(bytes.as_ref()).map_err(NetError::from)
    }

    /// Writes bytes with secrets in them. A secret goes to the service's own host and to hosts that
    /// are written out in the settings, over TLS, or without it where the address has a scheme
    /// without TLS (`redis://`) or is this machine's.
    pub fn write_pieces(&self, pieces: impl IntoIterator<Item = Piece>) -> Result<(), NetError> {
        let pieces: Vec<Piece> = pieces.into_iter().collect();
        #[cfg(target_arch = "wasm32")]
        return wire::write(&self.inner, &pieces);
        #[cfg(not(target_arch = "wasm32"))]
        self.inner.write_pieces(&pieces)
    }

    /// Returns at most `max` bytes, as soon as some are there; empty when the other side closed.
    /// After a time-out the connection can still be used.
    pub fn read(&mut self, max: u32, timeout: Option<Duration>) -> Result<Vec<u8>, NetError> {
        if self.ahead.is_empty() {
            return self
                .inner
                .read(max, timeout.map(millis))
                .map_err(NetError::from);
        }
        let count = self.ahead.len().min(max as usize);
        Ok(self.ahead.drain(..count).collect())
    }

    /// Reads up to and with `wanted`, and returns all of it; less when the other side closed or
    /// `max` bytes are there.
    pub fn read_until(&mut self, wanted: &[u8], max: usize) -> Result<Vec<u8>, NetError> {
        let mut read: Vec<u8> = Vec::new();
        while read.len() < max {
            let most = u32::try_from(max - read.len()).unwrap_or(u32::MAX);
            let bytes = self.read(most.min(PIECE_BYTES), None)?;
            if bytes.is_empty() {
                break;
            }
            // What was there before was looked at, but for a part that may begin at its end.
            let new = read.len().saturating_sub(wanted.len().saturating_sub(1));
            read.extend(bytes);
            let found = read[new..]
                .windows(wanted.len().max(1))
                .position(|window| window == wanted);
            if let Some(found) = found {
                self.put_back(read.split_off(new + found + wanted.len()));
                break;
            }
        }
        Ok(read)
    }

    /// Reads a line and returns it without its end (`\r\n` or `\n`).
    pub fn read_line(&mut self, max: usize) -> Result<String, NetError> {
        let mut line = self.read_until(b"\n", max)?;
        match line.pop() {
            Some(b'\n') => {
                line.pop_if(|last| *last == b'\r');
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
            Some(_) if line.len() + 1 >= max => Err(NetError::TooLarge(format!(
                "the server sent a line of more than {max} bytes"
            ))),
            Some(_) => Err(closed("in the middle of a line")),
            None => Err(closed("without an answer")),
        }
    }

    /// Reads exactly so many bytes.
    pub fn read_exact(&mut self, count: usize) -> Result<Vec<u8>, NetError> {
        let mut read = Vec::new();
        while read.len() < count {
            let most = u32::try_from(count - read.len()).unwrap_or(u32::MAX);
            let bytes = self.read(most, None)?;
            if bytes.is_empty() {
                return Err(closed("before the answer was complete"));
            }
            read.extend(bytes);
        }
        Ok(read)
    }

    fn put_back(&mut self, bytes: Vec<u8>) {
        self.ahead.splice(..0, bytes);
    }

    /// Times so far.
    pub fn phases(&self) -> Phases {
        self.inner.phases()
    }

    /// Address and port of the other side.
    pub fn peer(&self) -> String {
        self.inner.peer()
    }
}

/// Conversion of pieces to those of the contract, whose secrets are handles.
#[cfg(target_arch = "wasm32")]
mod wire {
    use super::{Inner, NetError, Piece};
    use crate::handles::Handles;
    use crate::wit::secrets;

    pub(super) fn write(connection: &Inner, pieces: &[Piece]) -> Result<(), NetError> {
        let wanted = pieces.iter().flat_map(|piece| match piece {
            Piece::Bytes(_) => Vec::new(),
            Piece::Secret(secret) => vec![secret],
            Piece::Base64(text) => text.secrets().collect(),
        });
        let handles = Handles::open(wanted)?;
        let pieces: Vec<secrets::Piece<'_>> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Bytes(bytes) => secrets::Piece::Bytes(bytes.clone()),
                Piece::Secret(secret) => secrets::Piece::Secret(handles.of(secret)),
                Piece::Base64(text) => secrets::Piece::Base64(handles.text(text)),
            })
            .collect();
        connection.write_pieces(&pieces).map_err(NetError::from)
    }
}

/// The JSON that recordings have.
#[cfg(not(target_arch = "wasm32"))]
mod recorded {
    use serde::Serializer;
    use serde::ser::SerializeMap;

    use super::{Secret, Text};

    pub(super) fn place<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("secret", secret.pointer())?;
        map.end()
    }

    pub(super) fn encoded<S: Serializer>(text: &Text, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("encoded", text)?;
        map.end()
    }
}

#[cfg(not(target_arch = "wasm32"))]
use recorded::{encoded, place};

fn closed(when: &str) -> NetError {
    NetError::Protocol(format!("the server closed the connection {when}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{Host, StreamScript, tls_session};

    fn open(host: &Host, script: StreamScript) -> Connection {
        host.answer_stream("a:1", script);
        connect("a", 1, None).unwrap()
    }

    #[test]
    fn reads_lines_however_they_are_cut_up() {
        let host = Host::install();
        let script = StreamScript::reading(&["220 re", "ady\r\n250-a\n250", " b\r\nrest"]);
        let mut connection = open(&host, script);
        for line in ["220 ready", "250-a", "250 b"] {
            assert_eq!(connection.read_line(100).unwrap(), line);
        }
        assert_eq!(connection.read_exact(2).unwrap(), b"re");
        assert_eq!(connection.read(9, None).unwrap(), b"st");
        let error = connection.read_line(100).unwrap_err();
        assert!(error.to_string().contains("without an answer"), "{error}");
    }

    #[test]
    fn pieces_are_written_with_their_secrets() {
        let host = Host::install();
        let connection = open(&host, StreamScript::default());
        let secret: Secret = crate::settings::parse("\"p\u{e4}ss\"").unwrap();
        let plain = Text::from("\0me\0").secret(&secret);
        let length = secret.length().to_string();
        connection
            .write_pieces([length.into(), Piece::from(&secret), Piece::Base64(plain)])
            .unwrap();
        let written = host.stream_written();
        assert_eq!(written, "5p\u{e4}ssAG1lAHDDpHNz".as_bytes());
    }

    #[test]
    fn a_line_has_a_limit_and_an_end() {
        let host = Host::install();
        let mut connection = open(&host, StreamScript::reading(&["0123456789"]));
        assert!(matches!(
            connection.read_line(4),
            Err(NetError::TooLarge(_))
        ));
        let error = connection.read_line(100).unwrap_err();
        assert!(error.to_string().contains("middle of a line"), "{error}");
    }

    #[test]
    fn bytes_from_before_the_handshake_are_no_answers_inside_tls() {
        let host = Host::install();
        let script =
            StreamScript::reading(&["220 go\r\n250 forged\r\n"]).with_tls(tls_session(vec![]));
        let mut connection = open(&host, script);
        connection.read_line(100).unwrap();
        let error = connection.start_tls(&Tls::default()).unwrap_err();
        assert!(
            error.to_string().contains("before the TLS handshake"),
            "{error}"
        );
    }
}

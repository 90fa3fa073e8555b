//! The handshake of a WebSocket over HTTP/1.1 (RFC 6455, 4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack_plugin::prelude::*;
use extrack_plugin::stream::Connection;
use sha1::{Digest, Sha1};

use crate::Settings;
use crate::address::Address;

const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Part of the proof, the same for everybody.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Limit of the characters of an answer that are shown in a message.
const SHOWN_CHARACTERS: usize = 80;

/// A request that was sent.
pub(crate) struct Asked {
    key: String,
}

/// True for headers that the handshake sets itself.
pub(crate) fn is_own_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["host", "connection", "upgrade"].contains(&name.as_str())
        || name.starts_with("sec-websocket-")
        || name.is_empty()
        || name.contains(|c: char| c == ':' || c.is_whitespace())
}

/// Returns the proof that a server understood the key.
pub(crate) fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::digest(format!("{key}{GUID}")))
}

pub(crate) fn request(
    connection: &Connection,
    address: &Address,
    settings: &Settings,
) -> Result<Asked, NetError> {
    let key = STANDARD.encode(random::bytes(16));
    let mut head = format!(
        "GET {} HTTP/1.1\r\nhost: {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n",
        address.path,
        address.authority()
    );
    if !settings.protocols.is_empty() {
        let protocols = settings.protocols.join(", ");
        head.push_str(&format!("sec-websocket-protocol: {protocols}\r\n"));
    }
    for (name, value) in &settings.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    connection.write(head)?;
    Ok(Asked { key })
}

impl Asked {
    /// Reads the answer; an error unless it opens the WebSocket.
    pub(crate) fn answered(
        &self,
        connection: &mut Connection,
        settings: &Settings,
    ) -> Result<(), Stop> {
        let head = connection.read_until(b"\r\n\r\n", MAX_HEAD_BYTES)?;
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.lines();
        let status_line = lines.next().unwrap_or_default();
        let status = status_line
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse::<u16>().ok());
        match status {
            Some(101) => {}
            Some(status) => {
                let found = wrong("answer", status_line, "`101 Switching Protocols`");
                return Err(Stop::Found(found.http_status(status)));
            }
            None => return Err(wrong("answer", status_line, "HTTP/1.1").into()),
        }
        let header = |wanted: &str| {
            lines
                .clone()
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map_or("", |(_, value)| value.trim())
        };
        if !header("upgrade").eq_ignore_ascii_case("websocket") {
            return Err(wrong("header `upgrade`", header("upgrade"), "`websocket`").into());
        }
        let proof = accept(&self.key);
        let shown = header("sec-websocket-accept");
        if shown != proof {
            let wanted = format!("`{proof}`, which follows from the key of the request");
            return Err(wrong("header `sec-websocket-accept`", shown, &wanted).into());
        }
        let chosen = header("sec-websocket-protocol");
        let protocols = &settings.protocols;
        if !protocols.is_empty() && !protocols.iter().any(|one| one == chosen) {
            let wanted = format!("one of `{}`", protocols.join("`, `"));
            return Err(wrong("header `sec-websocket-protocol`", chosen, &wanted).into());
        }
        Ok(())
    }
}

fn wrong(what: &str, found: &str, wanted: &str) -> Observation {
    let shown: String = found.chars().take(SHOWN_CHARACTERS).collect();
    let shown = if shown.is_empty() {
        "empty".to_owned()
    } else {
        format!("`{}`", shown.replace(char::is_control, " "))
    };
    Observation::unhealthy(format!("{what} is {shown}, wanted {wanted}"))
}

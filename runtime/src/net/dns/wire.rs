//! Questions and answers on the wire, and records as text.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::DnsRecord;
use crate::net::failure::{NetError, io_text};

/// What fits a datagram that no network on the way cuts up (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// A socket of its own, so that the port is random; connected, so that only the server's answers arrive.
pub(super) async fn ask_udp(server: SocketAddr, question: &Query) -> Result<Message, NetError> {
    let broken = |error: std::io::Error| NetError::Connect(format!("can't ask `{server}`: {}", io_text(&error)));
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await.map_err(broken)?;
    socket.connect(server).await.map_err(broken)?;
    let (id, bytes) = encode(question)?;
    socket.send(&bytes).await.map_err(broken)?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(broken)?;
        // Anything else may be forged, or late: the true answer may still come.
        if let Some(message) = decode(&buffer[..length], id, question) {
            return Ok(message);
        }
    }
}

pub(super) async fn ask_tcp(server: SocketAddr, question: &Query) -> Result<Message, NetError> {
    let broken = |error: std::io::Error| NetError::Connect(format!("can't ask `{server}` by TCP: {}", io_text(&error)));
    let mut stream = TcpStream::connect(server).await.map_err(broken)?;
    let (id, bytes) = encode(question)?;
    let mut framed = Vec::with_capacity(bytes.len() + 2);
    framed.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    framed.extend_from_slice(&bytes);
    stream.write_all(&framed).await.map_err(broken)?;
    let length = stream.read_u16().await.map_err(broken)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(broken)?;
    decode(&answer, id, question)
        .ok_or_else(|| NetError::Protocol(format!("`{server}` sent something that is not an answer to the question")))
}

fn encode(question: &Query) -> Result<(u16, Vec<u8>), NetError> {
    let mut message = Message::query();
    message.metadata.id = rand::random();
    message.metadata.recursion_desired = true;
    message.add_query(question.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    message.set_edns(edns);
    let bytes =
        message.to_vec().map_err(|error| NetError::Protocol(format!("the question can't be written: {error}")))?;
    Ok((message.metadata.id, bytes))
}

/// None unless it is an answer to this very question. Servers that understood nothing may leave the question out.
fn decode(bytes: &[u8], id: u16, question: &Query) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let ours = match message.queries.as_slice() {
        [query] => query == question,
        [] => message.metadata.response_code == ResponseCode::FormErr,
        _ => false,
    };
    (message.metadata.id == id && message.metadata.message_type == MessageType::Response && ours).then_some(message)
}

/// The mnemonic of IANA's registry.
pub(super) fn rcode_text(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE{}", u16::from(other)),
    }
}

pub(super) fn record(record: &Record) -> DnsRecord {
    let data = match &record.data {
        RData::TXT(txt) => txt.txt_data.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(" "),
        other => {
            // Some kinds have no text, and say so by an error; `to_string` would panic on them.
            let mut text = String::new();
            if write!(text, "{other}").is_err() {
                text = "?".to_owned();
            }
            without_control(text)
        }
    };
    DnsRecord { name: record.name.to_string(), record_type: record.record_type().to_string(), ttl: record.ttl, data }
}

/// A log or a terminal takes control characters for more than text.
fn without_control(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => shown.push_str(&format!("\\{:03}", u32::from(character))),
            false => shown.push(character),
        }
    }
    shown
}

/// A character string of RFC 1035: quotes and backslashes escaped, what can't be read as three digits.
fn quoted(text: &[u8]) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for part in text.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                control if control.is_ascii_control() => quoted.push_str(&format!("\\{:03}", u32::from(control))),
                other => quoted.push(other),
            }
        }
        for byte in part.invalid() {
            quoted.push_str(&format!("\\{byte:03}"));
        }
    }
    quoted.push('"');
    quoted
}

//! Questions and answers on the wire, and records as text.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, sleep_until};

use crate::net::failure::{NetError, io_text};

/// Bytes of a datagram that no network on the way cuts up (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// Times a datagram is sent, each after twice the time of the one before; datagrams get lost.
const SENT_AT_MOST: u32 = 4;

const HEADER_BYTES: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// Name with the dot at the end.
    pub name: String,
    pub record_type: String,
    pub ttl: u32,
    /// Value in the presentation form of RFC 1035: names end with a dot, texts stand in quotes.
    pub data: String,
}

/// An answer by UDP.
pub(super) enum Reply {
    Whole(Message),
    /// The answer does not fit a datagram.
    CutOff,
}

/// A socket of its own, so that the port is random; connected, so that only the server's answers
/// arrive. Only an answer with our random id to the question asked counts; silence is waited for.
pub(super) async fn ask_udp(
    server: SocketAddr,
    question: &Query,
    edns: bool,
    pace: Duration,
) -> Result<Reply, NetError> {
    let broken = |error: std::io::Error| {
        NetError::Connect(format!("can't ask `{server}`: {}", io_text(&error)))
    };
    let any: IpAddr = if server.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))
        .await
        .map_err(broken)?;
    socket.connect(server).await.map_err(broken)?;
    let (id, bytes) = encode(question, edns)?;
    let mut buffer = vec![0; usize::from(UDP_PAYLOAD) * 4];
    for repeat in 0..SENT_AT_MOST {
        socket.send(&bytes).await.map_err(broken)?;
        let is_last = repeat + 1 == SENT_AT_MOST;
        let again = Instant::now() + pace * 2u32.pow(repeat);
        loop {
            let length = tokio::select! {
                biased;
                length = socket.recv(&mut buffer) => length.map_err(broken)?,
                () = sleep_until(again), if !is_last => break,
            };
            // Anything else may be forged, or late: the true answer may still come.
            if let Some(reply) = reply(&buffer[..length], id, question) {
                return Ok(reply);
            }
        }
    }
    std::future::pending().await
}

pub(super) async fn ask_tcp(
    server: SocketAddr,
    question: &Query,
    edns: bool,
) -> Result<Message, NetError> {
    let broken = |error: std::io::Error| {
        let text = io_text(&error);
        NetError::Connect(format!(
            "can't ask `{server}` by TCP, as its answer does not fit a datagram: {text}"
        ))
    };
    let mut stream = TcpStream::connect(server).await.map_err(broken)?;
    let (id, bytes) = encode(question, edns)?;
    let mut framed = Vec::with_capacity(bytes.len() + 2);
    framed.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    framed.extend_from_slice(&bytes);
    stream.write_all(&framed).await.map_err(broken)?;
    let length = stream.read_u16().await.map_err(broken)?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await.map_err(broken)?;
    decode(&answer, id, question).ok_or_else(|| {
        NetError::Protocol(format!(
            "`{server}` sent something that is not an answer to the question"
        ))
    })
}

fn encode(question: &Query, with_edns: bool) -> Result<(u16, Vec<u8>), NetError> {
    let mut message = Message::query();
    message.metadata.id = rand::random();
    message.metadata.recursion_desired = true;
    message.add_query(question.clone());
    if with_edns {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD);
        message.set_edns(edns);
    }
    let bytes = message
        .to_vec()
        .map_err(|error| NetError::Protocol(format!("the question can't be written: {error}")))?;
    Ok((message.metadata.id, bytes))
}

/// A server may cut an answer off in the middle of a record, so that only its head can be read.
fn reply(bytes: &[u8], id: u16, question: &Query) -> Option<Reply> {
    match decode(bytes, id, question) {
        Some(message) if message.metadata.truncation => Some(Reply::CutOff),
        Some(message) => Some(Reply::Whole(message)),
        None => {
            let head = bytes.get(..HEADER_BYTES)?;
            let (is_response, is_cut_off) = (head[2] & 0x80 != 0, head[2] & 0x02 != 0);
            let is_broken = Message::from_vec(bytes).is_err();
            (head[..2] == id.to_be_bytes() && is_response && is_cut_off && is_broken)
                .then_some(Reply::CutOff)
        }
    }
}

/// Decodes an answer to this very question; none for other bytes. Servers that understood nothing,
/// or refuse, may leave the question out.
fn decode(bytes: &[u8], id: u16, question: &Query) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let ours = match message.queries.as_slice() {
        [query] => query == question,
        [] => !matches!(
            message.metadata.response_code,
            ResponseCode::NoError | ResponseCode::NXDomain
        ),
        _ => false,
    };
    (message.metadata.id == id && message.metadata.message_type == MessageType::Response && ours)
        .then_some(message)
}

/// The mnemonic of IANA's registry.
pub(in crate::net) fn rcode_text(code: ResponseCode) -> String {
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
        RData::TXT(txt) => txt
            .txt_data
            .iter()
            .map(|text| quoted(text))
            .collect::<Vec<_>>()
            .join(" "),
        other => {
            // Some kinds have no text, which is an error here; `to_string` would panic on them.
            let mut text = String::new();
            if write!(text, "{other}").is_err() {
                text = "?".to_owned();
            }
            without_control(text)
        }
    };
    DnsRecord {
        name: record.name.to_string(),
        record_type: record.record_type().to_string(),
        ttl: record.ttl,
        data,
    }
}

/// A log or a terminal takes control characters for more than text.
fn without_control(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            shown.push_str(&format!("\\{:03}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

/// A character string of RFC 1035: quotes and backslashes escaped, what can't be read as three
/// digits.
fn quoted(text: &[u8]) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for part in text.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                control if control.is_ascii_control() => {
                    quoted.push_str(&format!("\\{:03}", u32::from(control)))
                }
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

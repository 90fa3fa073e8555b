//! Answers of the network, and the connection that plays a script.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::recording::Tape;
use super::{State, next};
use crate::net::{Certificate, NetError, Phases};
use crate::wit::{dns, http, net, tls};

/// As the contract has it.
type Recorded<T> = Result<T, net::NetError>;

/// An HTTP answer that took 20 ms.
pub fn response(status: u16, body: impl Into<Vec<u8>>) -> http::Response {
    http::Response {
        status,
        version: "HTTP/1.1".to_owned(),
        headers: Vec::new(),
        body: body.into(),
        truncated: false,
        phases: Phases {
            total_us: 20_000,
            ..NO_PHASES
        },
        peer: "192.0.2.1:443".to_owned(),
        certificate: None,
    }
}

impl http::Response {
    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets how long it took.
    pub fn with_latency_ms(mut self, ms: u64) -> Self {
        self.phases.total_us = ms * 1_000;
        self
    }
}

const NO_PHASES: Phases = Phases {
    dns_us: None,
    connect_us: None,
    tls_us: None,
    first_byte_us: None,
    body_us: None,
    total_us: 0,
};

/// A DNS answer with records of one type, `NOERROR` or another code.
pub fn dns_response(rcode: &str, record_type: &str, data: &[&str]) -> dns::Response {
    let answer = |data: &&str| dns::Answer {
        name: "example.com.".to_owned(),
        record_type: record_type.to_owned(),
        ttl: 300,
        data: (*data).to_owned(),
    };
    dns::Response {
        rcode: rcode.to_owned(),
        answers: data.iter().map(answer).collect(),
        server: "192.0.2.53:53".to_owned(),
        total_us: 8_000,
    }
}

/// A certificate for some names, until a moment in seconds since 1970.
pub fn certificate(names: &[&str], not_after: i64) -> Certificate {
    Certificate {
        subject: format!("CN={}", names.first().unwrap_or(&"")),
        issuer: "CN=Test".to_owned(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        serial: "01".to_owned(),
        not_before: not_after - 90 * 86_400,
        not_after,
        sha256: "00".repeat(32),
    }
}

/// A trusted session with these certificates, leaf first.
pub fn tls_session(chain: Vec<Certificate>) -> tls::Session {
    tls::Session {
        protocol: "TLSv1.3".to_owned(),
        cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
        chain,
        untrusted: None,
        phases: Phases {
            total_us: 30_000,
            ..NO_PHASES
        },
        peer: "192.0.2.1:443".to_owned(),
    }
}

/// What a connection reads, piece by piece; then the other side closes.
#[derive(Debug, Clone, Default)]
pub struct TcpScript {
    pub reads: Vec<Vec<u8>>,
}

impl TcpScript {
    pub fn reading(pieces: &[&str]) -> Self {
        Self {
            reads: pieces
                .iter()
                .map(|piece| piece.as_bytes().to_vec())
                .collect(),
        }
    }
}

/// A connection that plays a [`TcpScript`].
pub struct Connection {
    reads: RefCell<VecDeque<Vec<u8>>>,
    written: Rc<RefCell<Vec<u8>>>,
    peer: String,
    /// In a recording, from 1.
    number: Option<u32>,
}

impl Connection {
    pub(crate) fn open(host: &str, port: u16, timeout_ms: Option<u64>) -> Result<Self, NetError> {
        super::with(|state| {
            let target = format!("{host}:{port}");
            let asked = json!({"host": host, "port": port, "timeout_ms": timeout_ms});
            let (script, number) = match state.recorded::<Recorded<()>>("tcp.open", &asked) {
                Some(answer) => {
                    answer.map_err(NetError::from)?;
                    (
                        TcpScript::default(),
                        state.tape.as_mut().map(Tape::next_connection),
                    )
                }
                None => (next(&mut state.tcp, &target, "answer_tcp")?, None),
            };
            let (reads, written) = (RefCell::new(script.reads.into()), Rc::clone(&state.written));
            Ok(Self {
                reads,
                written,
                peer: target,
                number,
            })
        })
    }

    /// None: this connection plays a script.
    fn recorded<A: DeserializeOwned>(&self, function: &str, asked: Value) -> Option<A> {
        let mut asked = asked;
        asked["connection"] = self.number?.into();
        super::with(|state| state.recorded(function, &asked))
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), NetError> {
        self.written.borrow_mut().extend_from_slice(bytes);
        match self.recorded::<Recorded<()>>("tcp.write", json!({"bytes": bytes})) {
            Some(answer) => answer.map_err(NetError::from),
            None => Ok(()),
        }
    }

    pub(crate) fn read(&self, max: u32) -> Result<Vec<u8>, NetError> {
        if let Some(answer) = self.recorded::<Recorded<Vec<u8>>>("tcp.read", json!({"max": max})) {
            return answer.map_err(NetError::from);
        }
        let mut reads = self.reads.borrow_mut();
        let Some(mut piece) = reads.pop_front() else {
            return Ok(Vec::new());
        };
        if piece.len() > max as usize {
            reads.push_front(piece.split_off(max as usize));
        }
        Ok(piece)
    }

    pub(crate) fn phases(&self) -> Phases {
        let scripted = Phases {
            connect_us: Some(1_000),
            total_us: 1_000,
            ..NO_PHASES
        };
        self.recorded("tcp.phases", json!({})).unwrap_or(scripted)
    }

    pub(crate) fn peer(&self) -> String {
        self.recorded("tcp.peer", json!({}))
            .unwrap_or_else(|| self.peer.clone())
    }
}

impl State {
    pub(crate) fn http(&mut self, request: &http::Request) -> Result<http::Response, NetError> {
        self.http_requests.push(request.clone());
        if let Some(answer) = self.recorded::<Recorded<http::Response>>("http.send", request) {
            return answer.map_err(NetError::from);
        }
        next(
            &mut self.http,
            &format!("{} {}", request.method, request.url),
            "answer_http",
        )
    }

    pub(crate) fn dns(&mut self, query: &dns::Query) -> Result<dns::Response, NetError> {
        if let Some(answer) = self.recorded::<Recorded<dns::Response>>("dns.resolve", query) {
            return answer.map_err(NetError::from);
        }
        next(
            &mut self.dns,
            &format!("{} {}", query.record_type, query.name),
            "answer_dns",
        )
    }

    pub(crate) fn tls(
        &mut self,
        host: &str,
        port: u16,
        server_name: Option<&str>,
        timeout_ms: Option<u64>,
    ) -> Result<tls::Session, NetError> {
        let asked = json!({"host": host, "port": port, "server_name": server_name, "timeout_ms": timeout_ms});
        if let Some(answer) = self.recorded::<Recorded<tls::Session>>("tls.handshake", &asked) {
            return answer.map_err(NetError::from);
        }
        next(&mut self.tls, &format!("{host}:{port}"), "answer_tls")
    }
}

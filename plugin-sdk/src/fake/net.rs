//! Answers of the network, and the connection that plays a script.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::{State, next};
use crate::net::{Certificate, NetError, Phases};
use crate::wit::{dns, http, tls};

/// An HTTP answer that took 20 ms.
pub fn response(status: u16, body: impl Into<Vec<u8>>) -> http::Response {
    http::Response {
        status,
        version: "HTTP/1.1".to_owned(),
        headers: Vec::new(),
        body: body.into(),
        truncated: false,
        phases: Phases { total_us: 20_000, ..NO_PHASES },
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

const NO_PHASES: Phases =
    Phases { dns_us: None, connect_us: None, tls_us: None, first_byte_us: None, body_us: None, total_us: 0 };

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
        phases: Phases { total_us: 30_000, ..NO_PHASES },
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
        Self { reads: pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect() }
    }
}

/// A connection that plays a [`TcpScript`].
pub struct Connection {
    reads: RefCell<VecDeque<Vec<u8>>>,
    written: Rc<RefCell<Vec<u8>>>,
    peer: String,
}

impl Connection {
    pub(crate) fn open(host: &str, port: u16, _timeout_ms: Option<u64>) -> Result<Self, NetError> {
        super::with(|state| {
            let target = format!("{host}:{port}");
            let script = next(&mut state.tcp, &target, "answer_tcp")?;
            Ok(Self { reads: RefCell::new(script.reads.into()), written: Rc::clone(&state.written), peer: target })
        })
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), NetError> {
        self.written.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn read(&self, max: u32) -> Result<Vec<u8>, NetError> {
        let mut reads = self.reads.borrow_mut();
        let Some(mut piece) = reads.pop_front() else { return Ok(Vec::new()) };
        if piece.len() > max as usize {
            reads.push_front(piece.split_off(max as usize));
        }
        Ok(piece)
    }

    pub(crate) fn phases(&self) -> Phases {
        Phases { connect_us: Some(1_000), total_us: 1_000, ..NO_PHASES }
    }

    pub(crate) fn peer(&self) -> String {
        self.peer.clone()
    }
}

impl State {
    pub(crate) fn http(&mut self, request: &http::Request) -> Result<http::Response, NetError> {
        self.http_requests.push(request.clone());
        next(&mut self.http, &format!("{} {}", request.method, request.url), "answer_http")
    }

    pub(crate) fn dns(&mut self, query: &dns::Query) -> Result<dns::Response, NetError> {
        next(&mut self.dns, &format!("{} {}", query.record_type, query.name), "answer_dns")
    }

    pub(crate) fn tls(
        &mut self,
        host: &str,
        port: u16,
        _: Option<&str>,
        _: Option<u64>,
    ) -> Result<tls::Session, NetError> {
        next(&mut self.tls, &format!("{host}:{port}"), "answer_tls")
    }
}

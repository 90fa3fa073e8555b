//! Answers of the network.

use super::{Request, State, next};
use crate::http::draft::Draft;
use crate::net::{Certificate, NetError, Phases};
use crate::wit::{dns, http, icmp, net, programs, stream};

/// As the contract has it.
pub(super) type Recorded<T> = Result<T, net::NetError>;

/// An HTTP answer that took 20 ms.
pub fn response(status: u16, body: impl Into<Vec<u8>>) -> http::Response {
    http::Response {
        status,
        version: "HTTP/1.1".to_owned(),
        headers: Vec::new(),
        body: body.into(),
        trailers: Vec::new(),
        truncated: false,
        phases: Phases {
            total_us: 20_000,
            ..NO_PHASES
        },
        peer: "192.0.2.1:443".to_owned(),
        certificate: None,
        attributes: Vec::new(),
    }
}

impl http::Response {
    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a trailer.
    pub fn with_trailer(mut self, name: &str, value: &str) -> Self {
        self.trailers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds what the host found out about the answer, such as `unread`.
    pub fn with_attribute(mut self, key: &str, text: &str) -> Self {
        self.attributes.push(crate::value::Entry {
            key: key.to_owned(),
            value: crate::value::Value::Text(text.to_owned()),
        });
        self
    }

    /// Sets how long it took.
    pub fn with_latency_ms(mut self, ms: u64) -> Self {
        self.phases.total_us = ms * 1_000;
        self
    }
}

pub(super) const NO_PHASES: Phases = Phases {
    dns_us: None,
    connect_us: None,
    tls_us: None,
    first_byte_us: None,
    body_us: None,
    total_us: 0,
    attributes: Vec::new(),
};

/// A DNS answer with records of one type, `NOERROR` or another code.
pub fn dns_response(rcode: &str, record_type: &str, data: &[&str]) -> dns::Response {
    let answer = |data: &&str| dns::Answer {
        name: "example.com.".to_owned(),
        record_type: record_type.to_owned(),
        ttl: 300,
        data: (*data).to_owned(),
        attributes: Vec::new(),
    };
    dns::Response {
        rcode: rcode.to_owned(),
        answers: data.iter().map(answer).collect(),
        server: "192.0.2.53:53".to_owned(),
        total_us: 8_000,
        attributes: Vec::new(),
    }
}

/// Answers to echo requests, in milliseconds; none: there was no answer.
pub fn echoes(round_trips_ms: &[Option<f64>]) -> icmp::Echoes {
    let micros = |ms: &Option<f64>| ms.map(|ms| (ms * 1_000.0).round() as u64);
    icmp::Echoes {
        address: "192.0.2.1".to_owned(),
        round_trips_us: round_trips_ms.iter().map(micros).collect(),
        total_us: 1_000_000,
        attributes: Vec::new(),
    }
}

/// A program that ended with a code and wrote this.
pub fn finished(code: i32, output: &str) -> programs::Finished {
    programs::Finished {
        code,
        output: output.to_owned(),
        errors: String::new(),
        took_us: 30_000,
        attributes: Vec::new(),
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
        attributes: Vec::new(),
    }
}

/// A trusted session with these certificates, leaf first.
pub fn tls_session(chain: Vec<Certificate>) -> stream::Session {
    stream::Session {
        protocol: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_256_GCM_SHA384".to_owned(),
        chain,
        untrusted: None,
        alpn: None,
        attributes: Vec::new(),
    }
}

/// Resolves a reference as the host does; no host has to be installed.
pub(crate) fn join(base: &str, reference: &str) -> Result<String, NetError> {
    url::Url::parse(base)
        .and_then(|base| base.join(reference))
        .map(String::from)
        .map_err(|error| NetError::Protocol(format!("the URL is wrong: {error}")))
}

impl State {
    pub(crate) fn http(&mut self, draft: &Draft) -> Result<http::Response, NetError> {
        let request = Request::new(draft);
        let key = format!("{} {}", request.method, request.url);
        self.http_requests.push(request);
        if let Some(answer) = self.recorded::<Recorded<http::Response>>("http.send", draft) {
            return answer.map_err(NetError::from);
        }
        next(&mut self.http, &key, "answer_http")
    }

    pub(crate) fn program(
        &mut self,
        command: &programs::Command,
    ) -> Result<programs::Finished, NetError> {
        if let Some(answer) = self.recorded::<Recorded<programs::Finished>>("programs.run", command)
        {
            return answer.map_err(NetError::from);
        }
        let words = [&command.program].into_iter().chain(&command.arguments);
        let words: Vec<&str> = words.map(String::as_str).collect();
        next(&mut self.programs, &words.join(" "), "answer_program")
    }

    pub(crate) fn icmp(&mut self, echo: &icmp::Echo) -> Result<icmp::Echoes, NetError> {
        if let Some(answer) = self.recorded::<Recorded<icmp::Echoes>>("icmp.ping", echo) {
            return answer.map_err(NetError::from);
        }
        next(&mut self.icmp, &echo.host, "answer_icmp")
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
}

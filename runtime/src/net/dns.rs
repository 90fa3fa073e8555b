//! One DNS question to one server, over UDP and, where the answer does not fit, TCP. Only an answer with our random id,
//! from the server asked, to the question asked counts.

mod servers;
mod wire;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

use self::servers::nameservers;
use self::wire::{ask_tcp, ask_udp};
use super::Net;
use super::connect::resolve;
use super::failure::{NetError, NetFailure, Trace};
use super::policy::{Permission, parse_host, split_port};

/// Attempts per server; datagrams get lost.
const ATTEMPTS: usize = 3;
/// Time one attempt gets while others wait behind it.
const ATTEMPT_SLICE: Duration = Duration::from_secs(2);

const RECORD_TYPES: [RecordType; 10] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::MX,
    RecordType::NS,
    RecordType::SOA,
    RecordType::SRV,
    RecordType::TXT,
    RecordType::CAA,
    RecordType::PTR,
];

#[derive(Debug, Clone)]
pub struct DnsQuery {
    /// For `PTR` an address will do.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `MX`, `NS`, `SOA`, `SRV`, `TXT`, `CAA`, `PTR`.
    pub record_type: String,
    /// `host` or `host:port`, under the permission; none: the operator's or the system's servers, always allowed.
    pub server: Option<String>,
    pub deadline: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAnswer {
    /// `NOERROR`, `NXDOMAIN`, `SERVFAIL` …
    pub rcode: String,
    pub answers: Vec<DnsRecord>,
    /// The server that answered.
    pub server: SocketAddr,
    pub total_us: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsRecord {
    /// With the dot at the end.
    pub name: String,
    pub record_type: String,
    pub ttl: u32,
    /// In the presentation form of RFC 1035: names end with a dot, texts stand in quotes.
    pub data: String,
}

pub(super) async fn query(net: &Net, permission: &Permission, query: DnsQuery) -> Result<DnsAnswer, NetFailure> {
    let mut trace = Trace::new(query.deadline);
    let answer = query_traced(net, permission, &query, &mut trace).await;
    answer.map_err(|error| trace.fail(error))
}

async fn query_traced(
    net: &Net,
    permission: &Permission,
    query: &DnsQuery,
    trace: &mut Trace,
) -> Result<DnsAnswer, NetError> {
    let question = question(&query.name, &query.record_type)?;
    let servers = match &query.server {
        Some(server) => explicit_servers(trace, permission, server).await?,
        None => nameservers(&net.inner.nameservers).await,
    };
    let (server, message) = ask(trace, &servers, &question).await?;
    Ok(DnsAnswer {
        rcode: wire::rcode_text(message.metadata.response_code),
        answers: message.answers.iter().map(wire::record).collect(),
        server,
        total_us: trace.total_us(),
    })
}

fn question(name: &str, record_type: &str) -> Result<Query, NetError> {
    let known = RECORD_TYPES.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(record_type));
    let record_type = known.ok_or_else(|| {
        let known = RECORD_TYPES.map(|known| known.to_string()).join("`, `");
        NetError::Protocol(format!("record type `{record_type}` is not known; use one of `{known}`"))
    })?;
    let parsed = match name.parse::<IpAddr>() {
        Ok(address) if record_type == RecordType::PTR => Ok(Name::from(address)),
        _ => Name::from_str_relaxed(name),
    };
    let mut name = parsed.map_err(|error| NetError::Protocol(format!("`{name}` is not a domain name: {error}")))?;
    name.set_fqdn(true);
    Ok(Query::query(name, record_type))
}

async fn explicit_servers(
    trace: &mut Trace,
    permission: &Permission,
    server: &str,
) -> Result<Vec<SocketAddr>, NetError> {
    let (host, port) = split_port(server)?;
    let (host, port) = (parse_host(host)?, port.unwrap_or(53));
    permission.check_host(&host, port)?;
    resolve(trace, permission, &host, port).await
}

/// Goes round the servers until one answers. A server that refuses the connection is not asked again.
async fn ask(trace: &Trace, servers: &[SocketAddr], question: &Query) -> Result<(SocketAddr, Message), NetError> {
    let mut refused: Vec<(SocketAddr, NetError)> = Vec::new();
    for attempt in 0..ATTEMPTS {
        for (index, &server) in servers.iter().enumerate() {
            if refused.iter().any(|(known, _)| *known == server) {
                continue;
            }
            let waiting = (ATTEMPTS - attempt) * servers.len() - index;
            let left = trace.deadline.saturating_duration_since(Instant::now());
            let slice = if waiting == 1 { left } else { (left / waiting as u32).min(ATTEMPT_SLICE) };
            match tokio::time::timeout(slice, ask_udp(server, question)).await {
                Err(_) => {}
                Ok(Err(error)) => refused.push((server, error)),
                Ok(Ok(message)) if message.metadata.truncation => {
                    let doing = || format!("asking `{server}` by TCP");
                    return Ok((server, trace.until(doing, ask_tcp(server, question)).await?));
                }
                Ok(Ok(message)) => return Ok((server, message)),
            }
        }
    }
    let asked = servers.iter().map(|server| format!("`{server}`")).collect::<Vec<_>>().join(", ");
    match refused.pop() {
        Some((_, error)) if refused.len() + 1 == servers.len() => Err(error),
        _ => Err(trace.timed_out(&format!("waiting for an answer from {asked}"))),
    }
}

#[cfg(test)]
mod tests;

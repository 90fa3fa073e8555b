//! One DNS question, and its answer as the server gave it. The resolver asks by the same code.

mod ask;
mod wire;

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

pub(super) use self::ask::{ask, pace};
pub(super) use self::wire::rcode_text;

use super::Net;
use super::connect::resolve;
use super::failure::{NetError, NetFailure, Trace};
use super::policy::{Permission, parse_host, split_port};

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
    /// Under the permission, unless a server is named. For `PTR` an address will do.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `MX`, `NS`, `SOA`, `SRV`, `TXT`, `CAA`, `PTR`.
    pub record_type: String,
    /// `host` or `host:port`, under the permission; none: the operator's or the system's servers.
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

pub(super) async fn query(
    net: &Net,
    permission: &Permission,
    query: DnsQuery,
) -> Result<DnsAnswer, NetFailure> {
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
        Some(server) => explicit_servers(net, trace, permission, server).await?,
        None => {
            permission.check_query(&query.name)?;
            net.inner.resolver.servers()
        }
    };
    let listed = || {
        servers
            .iter()
            .map(|server| format!("`{server}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let asked = ask(&servers, &question, pace(trace.deadline));
    let (server, message) = trace
        .until(|| format!("waiting for an answer from {}", listed()), asked)
        .await?;
    Ok(DnsAnswer {
        rcode: rcode_text(message.metadata.response_code),
        answers: message.answers.iter().map(wire::record).collect(),
        server,
        total_us: trace.total_us(),
    })
}

fn question(name: &str, record_type: &str) -> Result<Query, NetError> {
    let known = RECORD_TYPES
        .into_iter()
        .find(|known| known.to_string().eq_ignore_ascii_case(record_type));
    let record_type = known.ok_or_else(|| {
        let known = RECORD_TYPES.map(|known| known.to_string()).join("`, `");
        NetError::Protocol(format!(
            "record type `{record_type}` is not known; use one of `{known}`"
        ))
    })?;
    let parsed = match name.parse::<IpAddr>() {
        Ok(address) if record_type == RecordType::PTR => Ok(Name::from(address)),
        _ => Name::from_str_relaxed(name),
    };
    let mut name = parsed
        .map_err(|error| NetError::Protocol(format!("`{name}` is not a domain name: {error}")))?;
    name.set_fqdn(true);
    Ok(Query::query(name, record_type))
}

async fn explicit_servers(
    net: &Net,
    trace: &mut Trace,
    permission: &Permission,
    server: &str,
) -> Result<Vec<SocketAddr>, NetError> {
    let (host, port) = split_port(server)?;
    let (host, port) = (parse_host(host)?, port.unwrap_or(53));
    permission.check_host(&host, port)?;
    resolve(net, trace, permission, &host, port).await
}

#[cfg(test)]
mod tests;

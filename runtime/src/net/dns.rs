//! One DNS question, and its answer as the server gave it. The resolver asks by the same code.

pub(super) mod ask;
pub(super) mod wire;

use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::Query;
use hickory_proto::rr::{Name, RecordType};
use tokio::time::Instant;

pub use self::wire::DnsRecord;

use self::ask::{ask, pace};
use self::wire::rcode_text;

use super::connect::resolve;
use super::context::NetContext;
use super::failure::{NetError, NetFailure, Trace};
use super::host_text::{parse_host, split_port};
use super::policy::Permission;

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
    /// Name to ask for, under the permission unless a server is named. `PTR` takes an address too.
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

pub(super) async fn query(
    context: &NetContext,
    permission: &Permission,
    query: DnsQuery,
) -> Result<DnsAnswer, NetFailure> {
    let mut trace = Trace::new(query.deadline);
    let answer = query_traced(context, permission, &query, &mut trace).await;
    answer.map_err(|error| trace.fail(error))
}

async fn query_traced(
    context: &NetContext,
    permission: &Permission,
    query: &DnsQuery,
    trace: &mut Trace,
) -> Result<DnsAnswer, NetError> {
    let question = question(&query.name, &query.record_type)?;
    let servers = match &query.server {
        Some(server) => explicit_servers(context, trace, permission, server).await?,
        None => {
            permission.check_query(&query.name)?;
            context.resolver.servers()
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
    context: &NetContext,
    trace: &mut Trace,
    permission: &Permission,
    server: &str,
) -> Result<Vec<SocketAddr>, NetError> {
    let (host, port) = split_port(server)?;
    let (host, port) = (parse_host(host)?, port.unwrap_or(53));
    permission.check_host(&host, port)?;
    resolve(context, trace, permission, &host, port).await
}

#[cfg(test)]
mod tests;

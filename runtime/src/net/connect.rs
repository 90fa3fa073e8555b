//! TCP connections from a host and a port: host rule, resolution, address rule, connection.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use url::Host;

use super::context::NetContext;
use super::failure::{NetError, Phase, Trace, io_text};
use super::policy::Permission;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

/// How long an address is waited for before the next one is tried beside it (RFC 8305, 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

/// Checks, resolves, checks again and connects. The phases `dns` (not for a literal address) and
/// `connect` are noted.
pub(super) async fn connect(
    context: &NetContext,
    trace: &mut Trace,
    permission: &Permission,
    host: &Host,
    port: u16,
) -> Result<Connected, NetError> {
    permission.check_host(host, port)?;
    let addresses = resolve(context, trace, permission, host, port).await?;
    connect_to(trace, host, port, &addresses).await
}

/// The addresses of a host that the permission allows; the host rule has been asked before.
pub(super) async fn resolve(
    context: &NetContext,
    trace: &mut Trace,
    permission: &Permission,
    host: &Host,
    port: u16,
) -> Result<Vec<SocketAddr>, NetError> {
    let literal =
        |address| permission.keep_allowed(&host.to_string(), vec![SocketAddr::new(address, port)]);
    let name = match host {
        Host::Ipv4(address) => return literal((*address).into()),
        Host::Ipv6(address) => return literal((*address).into()),
        Host::Domain(name) => name,
    };
    let look_up = context.resolver.look_up(name, trace.deadline);
    let found = trace
        .phase(Phase::Dns, || format!("resolving `{name}`"), look_up)
        .await?;
    let addresses = found
        .addresses
        .iter()
        .map(|address| SocketAddr::new(*address, port))
        .collect();
    permission
        .keep_allowed(name, addresses)
        .map_err(|denial| match denial {
            // Filters and captive portals answer so for a while: another attempt may be answered
            // otherwise.
            NetError::Denied(text) if found.is_answer => {
                NetError::Dns(format!("the answer for `{name}` can't be used: {text}"))
            }
            denial => denial,
        })
}

/// Tries the addresses in their order, the next one when one fails or is silent for
/// [`ATTEMPT_DELAY`], and goes on waiting for those before: the first that connects counts (RFC
/// 8305, "Happy Eyeballs"). A dead address delays, but never hides, a live one. `connect` covers
/// all attempts.
async fn connect_to(
    trace: &mut Trace,
    host: &Host,
    port: u16,
    addresses: &[SocketAddr],
) -> Result<Connected, NetError> {
    let started = Instant::now();
    let mut waiting = addresses.iter().copied().take(MAX_ADDRESSES);
    let mut trying = FuturesUnordered::new();
    let mut silent: Vec<SocketAddr> = Vec::new();
    let mut faults: Vec<String> = Vec::new();
    loop {
        if let Some(address) = waiting.next() {
            silent.push(address);
            trying.push(async move { (address, TcpStream::connect(address).await) });
        }
        if trying.is_empty() {
            return Err(NetError::Connect(format!(
                "can't connect to `{host}:{port}`: {}",
                faults.join(", ")
            )));
        }
        let next = Instant::now() + ATTEMPT_DELAY;
        let (address, attempt) = tokio::select! {
            biased;
            Some(attempt) = trying.next() => attempt,
            () = sleep_until(trace.deadline) => {
                let doing = format!("connecting to `{host}:{port}`{}", listed(host, &silent));
                return Err(trace.timed_out(&doing));
            }
            () = sleep_until(next), if waiting.len() > 0 => continue,
        };
        match attempt {
            Ok(stream) => {
                // Small writes go out at once; a socket that can't is still a connection.
                let _ = stream.set_nodelay(true);
                trace.note(Phase::Connect, started.elapsed());
                return Ok(Connected {
                    stream,
                    peer: address,
                });
            }
            Err(error) => {
                silent.retain(|known| *known != address);
                faults.push(format!("{}{}", io_text(&error), listed(host, &[address])));
            }
        }
    }
}

/// The addresses in brackets, where the host does not show them.
fn listed(host: &Host, addresses: &[SocketAddr]) -> String {
    let Host::Domain(_) = host else {
        return String::new();
    };
    let addresses: Vec<String> = addresses
        .iter()
        .map(|address| address.ip().to_string())
        .collect();
    format!(" ({})", addresses.join(", "))
}

#[cfg(test)]
mod tests;

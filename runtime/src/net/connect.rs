//! From a host and a port to a TCP connection: host rule, resolution, address rule, connection.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use url::Host;

use super::failure::{NetError, Phase, Trace, io_text};
use super::policy::Permission;

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Time one address gets while others wait behind it: enough for one repeated SYN.
const ADDRESS_SLICE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
}

/// Checks, resolves, checks again and connects. The phases `dns` (not for a literal address) and `connect` are noted.
pub(super) async fn connect(
    trace: &mut Trace,
    permission: &Permission,
    host: &Host,
    port: u16,
) -> Result<Connected, NetError> {
    permission.check_host(host, port)?;
    let addresses = resolve(trace, permission, host, port).await?;
    connect_to(trace, host, port, &addresses).await
}

/// The addresses of a host that the permission allows; the host rule has been asked before.
pub(super) async fn resolve(
    trace: &mut Trace,
    permission: &Permission,
    host: &Host,
    port: u16,
) -> Result<Vec<SocketAddr>, NetError> {
    let addresses = match host {
        Host::Ipv4(address) => vec![SocketAddr::new((*address).into(), port)],
        Host::Ipv6(address) => vec![SocketAddr::new((*address).into(), port)],
        Host::Domain(name) => trace.phase(Phase::Dns, || format!("resolving `{name}`"), look_up(name, port)).await?,
    };
    permission.keep_allowed(&host.to_string(), addresses)
}

/// Look-ups at once. Each holds a thread until the operating system gives up, long after a deadline cut the wait for it
/// short: dead name servers must not take all threads there are for blocking work (512).
static LOOK_UPS: Semaphore = Semaphore::const_new(128);

/// The operating system's resolver, so that `/etc/hosts` and the like hold.
pub(super) async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    let fault = |text: &str| NetError::Dns(format!("`{name}` does not resolve: {text}"));
    let permit = LOOK_UPS.acquire().await.map_err(|error| fault(&error.to_string()))?;
    let owned = name.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        let found = (owned.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        drop(permit);
        found
    });
    let addresses =
        found.await.map_err(|error| fault(&error.to_string()))?.map_err(|error| fault(&resolver_text(&error)))?;
    if addresses.is_empty() {
        return Err(fault("it has no address"));
    }
    Ok(addresses)
}

fn resolver_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_lowercase()
}

/// Tries the addresses one after the other in the resolver's order (RFC 6724). Each gets an equal share of what is left,
/// at most [`ADDRESS_SLICE`] while others wait, the last one all of it: a dead address delays, but never hides, a live one.
/// `connect` covers all attempts.
async fn connect_to(
    trace: &mut Trace,
    host: &Host,
    port: u16,
    addresses: &[SocketAddr],
) -> Result<Connected, NetError> {
    let started = Instant::now();
    let addresses = &addresses[..addresses.len().min(MAX_ADDRESSES)];
    let mut faults: Vec<String> = Vec::new();
    for (index, address) in addresses.iter().enumerate() {
        let waiting = (addresses.len() - index) as u32;
        let left = trace.deadline.saturating_duration_since(Instant::now());
        let slice = if waiting == 1 { left } else { (left / waiting).min(ADDRESS_SLICE) };
        match timeout_at(Instant::now() + slice, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Small writes go out at once; a socket that can't is still a connection.
                let _ = stream.set_nodelay(true);
                trace.note(Phase::Connect, started.elapsed());
                return Ok(Connected { stream, peer: *address });
            }
            Ok(Err(error)) => faults.push(attempt(host, address, &io_text(&error))),
            Err(_) if waiting == 1 => {
                return Err(trace.timed_out(&format!("connecting to `{host}:{port}`{}", attempt(host, address, ""))));
            }
            Err(_) => faults.push(attempt(host, address, "no answer")),
        }
    }
    Err(NetError::Connect(format!("can't connect to `{host}:{port}`: {}", faults.join(", "))))
}

/// What one attempt came to; the address is told where the host does not tell it.
fn attempt(host: &Host, address: &SocketAddr, text: &str) -> String {
    match host {
        Host::Domain(_) => format!("{text} ({})", address.ip()),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;

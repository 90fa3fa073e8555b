//! Echo requests of ICMP (RFC 792) and ICMPv6 (RFC 4443), from datagram sockets that send nothing
//! else and need no privilege.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::connect::resolve;
use super::context::NetContext;
use super::failure::{NetError, NetFailure, Trace, io_text};
use super::host_text::parse_host;
use super::policy::Permission;
use crate::domain::Phases;

const MAX_COUNT: u32 = 100;
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// Together with all headers it fits into one packet nearly everywhere.
const MAX_SIZE: usize = 1_400;
/// The token by which an answer is known to be ours.
const MIN_SIZE: usize = 8;
const HEADER_BYTES: usize = 8;

#[cfg(not(target_vendor = "apple"))]
const FLAGS: SocketFlags = SocketFlags::CLOEXEC;
#[cfg(target_vendor = "apple")]
const FLAGS: SocketFlags = SocketFlags::empty();

/// Echo requests to one host.
#[derive(Debug, Clone)]
pub struct EchoRequest {
    /// Name or address.
    pub host: String,
    pub count: u32,
    /// Time from one request to the next.
    pub interval: Duration,
    /// Time that each answer is waited for.
    pub timeout: Duration,
    /// Bytes behind the header.
    pub size: usize,
    pub deadline: Instant,
}

/// Answers to echo requests.
#[derive(Debug, Clone)]
pub struct Echoes {
    pub address: IpAddr,
    /// Time until each answer, in the order of the requests; none: there was none in time.
    pub round_trips: Vec<Option<Duration>>,
    /// The look-up of the name.
    pub phases: Phases,
    pub total_us: u64,
}

pub(super) async fn ping(
    context: &NetContext,
    permission: &Permission,
    request: &EchoRequest,
) -> Result<Echoes, NetFailure> {
    let mut trace = Trace::new(request.deadline);
    let exchanged = exchange(context, &mut trace, permission, request).await;
    match exchanged {
        Ok((address, round_trips)) => Ok(Echoes {
            address,
            round_trips,
            phases: trace.phases,
            total_us: trace.total_us(),
        }),
        Err(error) => Err(trace.fail(error)),
    }
}

async fn exchange(
    context: &NetContext,
    trace: &mut Trace,
    permission: &Permission,
    request: &EchoRequest,
) -> Result<(IpAddr, Vec<Option<Duration>>), NetError> {
    let host = parse_host(&request.host)?;
    permission.check_name(&host)?;
    request.check_bounds()?;
    let addresses = resolve(context, trace, permission, &host, 0).await?;
    if addresses.is_empty() {
        return Err(NetError::Dns(format!("`{host}` has no address")));
    }
    request.check_time()?;
    first_reached(&addresses, request).await
}

/// Tries the addresses in their order, as long as there is time for all requests: a machine without
/// a way to one of them may have one to the next.
async fn first_reached(
    addresses: &[SocketAddr],
    request: &EchoRequest,
) -> Result<(IpAddr, Vec<Option<Duration>>), NetError> {
    let mut faults = Vec::new();
    for address in addresses.iter().take(MAX_ADDRESSES).map(SocketAddr::ip) {
        if !faults.is_empty() && request.check_time().is_err() {
            break;
        }
        match exchange_with(address, request).await {
            Ok(round_trips) => return Ok((address, round_trips)),
            Err(NetError::Connect(fault)) => faults.push(fault),
            Err(error) => return Err(error),
        }
    }
    Err(NetError::Connect(faults.join("; ")))
}

async fn exchange_with(
    address: IpAddr,
    request: &EchoRequest,
) -> Result<Vec<Option<Duration>>, NetError> {
    let socket = open(address)?;
    let connected = socket.connect(SocketAddr::new(address, 0)).await;
    connected.map_err(|error| broken("opening a socket to", address, &error))?;
    exchange_all(&socket, address, request).await
}

impl EchoRequest {
    fn check_bounds(&self) -> Result<(), NetError> {
        let wrong = if !(1..=MAX_COUNT).contains(&self.count) {
            format!(
                "1 to {MAX_COUNT} echo requests can be sent, not {}",
                self.count
            )
        } else if self.interval < MIN_INTERVAL {
            let least = MIN_INTERVAL.as_millis();
            format!("echo requests must be at least {least} ms apart")
        } else if !(MIN_SIZE..=MAX_SIZE).contains(&self.size) {
            format!(
                "an echo request has {MIN_SIZE} to {MAX_SIZE} bytes, not {}",
                self.size
            )
        } else {
            return Ok(());
        };
        Err(NetError::Protocol(wrong))
    }

    /// Refuses what could only be cut off: its end would be taken for a loss.
    fn check_time(&self) -> Result<(), NetError> {
        let needed = self.interval.checked_mul(self.count - 1);
        let needed = needed.and_then(|between| between.checked_add(self.timeout));
        let left = self.deadline.saturating_duration_since(Instant::now());
        if needed.is_some_and(|needed| needed <= left) {
            return Ok(());
        }
        Err(NetError::Protocol(format!(
            "{} echo requests {} ms apart, each waited for {} ms, do not fit into the {} ms that are left of the run; \
             lower these, or raise the probe's timeout",
            self.count,
            self.interval.as_millis(),
            self.timeout.as_millis(),
            left.as_millis()
        )))
    }
}

fn open(address: IpAddr) -> Result<UdpSocket, NetError> {
    let (family, protocol) = if address.is_ipv4() {
        (AddressFamily::INET, ipproto::ICMP)
    } else {
        (AddressFamily::INET6, ipproto::ICMPV6)
    };
    let descriptor = socket_with(family, SocketType::DGRAM, FLAGS, Some(protocol));
    let socket = std::net::UdpSocket::from(descriptor.map_err(|errno| refused(address, errno))?);
    let opened = socket
        .set_nonblocking(true)
        .and_then(|()| UdpSocket::from_std(socket));
    opened.map_err(|error| broken("opening a socket to", address, &error))
}

fn refused(address: IpAddr, errno: Errno) -> NetError {
    if [Errno::ACCESS, Errno::PERM].contains(&errno) {
        return NetError::Denied(
            "the system lets this program send no echo requests, because no group of its is in `net.ipv4.ping_group_range`; \
             allow it with `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`, which holds for IPv6 as well"
                .to_owned(),
        );
    }
    broken("opening a socket to", address, &errno.into())
}

/// Sends the requests at their moments, and notes the answers meanwhile.
async fn exchange_all(
    socket: &UdpSocket,
    address: IpAddr,
    request: &EchoRequest,
) -> Result<Vec<Option<Duration>>, NetError> {
    let echo = Echo {
        is_v6: address.is_ipv6(),
        token: rand::random(),
    };
    let count = request.count as usize;
    let mut sent: Vec<Instant> = Vec::with_capacity(count);
    let mut round_trips = vec![None; count];
    let mut buffer = [0; 2_048];
    let start = Instant::now();
    // The network reports some losses; each request can have few of them.
    let mut reports_left = 4 * request.count;
    loop {
        let is_sent = sent.len() == count;
        if is_sent && round_trips.iter().all(Option::is_some) {
            return Ok(round_trips);
        }
        let until = match sent.last() {
            Some(last) if is_sent => *last + request.timeout,
            _ => start + request.interval * sent.len() as u32,
        };
        let failed = tokio::select! {
            received = socket.recv(&mut buffer) => match received {
                Ok(bytes) => {
                    note(&echo, &buffer[..bytes], &sent, request.timeout, &mut round_trips);
                    None
                }
                Err(error) => Some(("receiving from", error)),
            },
            () = sleep_until(until) => {
                if is_sent {
                    return Ok(round_trips);
                }
                let packet = echo.packet(sent.len() as u16, request.size);
                sent.push(Instant::now());
                let failed = socket.send(&packet).await.err();
                failed.map(|error| ("sending to", error))
            }
        };
        if let Some((doing, error)) = failed {
            // Where not even the first one leaves, there is no way; what comes later is lost.
            let is_first = sent.len() <= 1 && doing == "sending to";
            if is_first || reports_left == 0 {
                return Err(broken(doing, address, &error));
            }
            reports_left -= 1;
        }
    }
}

fn note(
    echo: &Echo,
    bytes: &[u8],
    sent: &[Instant],
    timeout: Duration,
    round_trips: &mut [Option<Duration>],
) {
    let Some(sequence) = echo.answered(bytes).map(usize::from) else {
        return;
    };
    if let (Some(sent), Some(slot)) = (sent.get(sequence), round_trips.get_mut(sequence)) {
        let took = sent.elapsed();
        if slot.is_none() && took <= timeout {
            *slot = Some(took);
        }
    }
}

/// Form of the messages of one exchange.
struct Echo {
    is_v6: bool,
    /// Begin of what each request carries and its answer repeats.
    token: u64,
}

impl Echo {
    fn packet(&self, sequence: u16, size: usize) -> Vec<u8> {
        let mut packet = vec![0; HEADER_BYTES + size.max(MIN_SIZE)];
        // The system writes the identifier, and for ICMPv6 the checksum.
        packet[0] = if self.is_v6 { 128 } else { 8 };
        packet[6..8].copy_from_slice(&sequence.to_be_bytes());
        packet[8..16].copy_from_slice(&self.token.to_be_bytes());
        if !self.is_v6 {
            let sum = checksum(&packet);
            packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        packet
    }

    /// Returns the number of the request that a message answers; none: it answers none of ours.
    fn answered(&self, bytes: &[u8]) -> Option<u16> {
        // Some systems hand the header of IPv4 over.
        let bytes = match bytes.first() {
            Some(first) if first >> 4 == 4 && !self.is_v6 => {
                bytes.get(usize::from(first & 0x0f) * 4..)?
            }
            _ => bytes,
        };
        let is_answer = *bytes.first()? == if self.is_v6 { 129 } else { 0 };
        let is_ours = bytes.get(8..16)? == self.token.to_be_bytes();
        let sequence: [u8; 2] = bytes.get(6..8)?.try_into().ok()?;
        (is_answer && is_ours).then(|| u16::from_be_bytes(sequence))
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Errors of the operating system, some of which come from the network by ICMP.
fn broken(doing: &str, address: IpAddr, error: &std::io::Error) -> NetError {
    NetError::Connect(format!("{doing} `{address}` failed: {}", io_text(error)))
}

#[cfg(test)]
mod tests;

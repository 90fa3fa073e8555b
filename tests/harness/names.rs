//! A name server for the program's own look-ups. It can answer differently each time, and
//! some names not at all.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

use crate::ports::LOOPBACK;

pub struct Names {
    address: SocketAddr,
    names: Known,
    _server: AbortOnDropHandle<()>,
}

type Known = Arc<Mutex<HashMap<String, Name>>>;

#[derive(Debug, Default)]
struct Name {
    /// One a query, the last one for good.
    addresses: Vec<Ipv4Addr>,
    queries: usize,
    /// Zone: names below it are not answered.
    is_dead: bool,
}

/// Makes the answer to a question; none: there is no answer.
type Answer = fn(&[u8], &Mutex<HashMap<String, Name>>) -> Option<Vec<u8>>;

impl Names {
    pub async fn start() -> Self {
        Self::start_with(answer).await
    }

    /// Answers every question with SERVFAIL.
    pub async fn start_failing() -> Self {
        Self::start_with(|query, _| failure(query)).await
    }

    async fn start_with(answer: Answer) -> Self {
        let socket = UdpSocket::bind((LOOPBACK, 0))
            .await
            .expect("a port can be opened");
        let address = socket.local_addr().expect("an open port has an address");
        let names = Known::default();
        let known = names.clone();
        let server = tokio::spawn(async move {
            let mut packet = [0; 512];
            // A question that is sent again, as it is when the machine stood still, gets the same
            // answer.
            let mut answered = HashMap::new();
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                let id = (from, packet[..2].to_vec());
                let answer = answered
                    .entry(id)
                    .or_insert_with(|| answer(&packet[..length], &known));
                if let Some(answer) = answer {
                    let _ = socket.send_to(answer, from).await;
                }
            }
        });
        Self {
            address,
            names,
            _server: AbortOnDropHandle::new(server),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// No name below this one is answered.
    pub fn kill_zone(&self, zone: &str) {
        self.lock().insert(
            zone.to_owned(),
            Name {
                is_dead: true,
                ..Name::default()
            },
        );
    }

    /// The first query for the name gets the first address, and so on; all after them the last.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses
            .iter()
            .map(|address| address.parse().expect("an IPv4 address"))
            .collect();
        self.lock().insert(
            name.to_owned(),
            Name {
                addresses,
                ..Name::default()
            },
        );
    }

    /// Queries for an IPv4 address so far.
    pub fn queries(&self, name: &str) -> usize {
        self.lock().get(name).map_or(0, |name| name.queries)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// RFC 1035: the question comes back, with the code 2.
fn failure(query: &[u8]) -> Option<Vec<u8>> {
    let (_, end) = name_of(query)?;
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x82, 0, 1, 0, 0, 0, 0, 0, 0]);
    reply.extend(query.get(12..end + 4)?);
    Some(reply)
}

/// RFC 1035: the question comes back, with one address if there is one.
fn answer(query: &[u8], names: &Mutex<HashMap<String, Name>>) -> Option<Vec<u8>> {
    let (name, end) = name_of(query)?;
    let question = query.get(12..end + 4)?;
    let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let is_dead = name
        .split_once('.')
        .and_then(|(_, zone)| names.get(zone))
        .is_some_and(|zone| zone.is_dead);
    if is_dead {
        return None;
    }
    let known = names.get_mut(&name);
    let is_known = known.is_some();
    let address = known.filter(|_| is_a).and_then(|known| {
        known.queries += 1;
        known
            .addresses
            .get(known.queries - 1)
            .or(known.addresses.last())
            .copied()
    });
    let mut reply = query[..2].to_vec();
    // Recursion done, no error or no such name; one question, one answer or none.
    reply.extend([
        0x81,
        if is_known { 0x80 } else { 0x83 },
        0,
        1,
        0,
        u8::from(address.is_some()),
        0,
        0,
        0,
        0,
    ]);
    reply.extend(question);
    if let Some(address) = address {
        // The name of the question, type A, class IN, good for no time at all.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        reply.extend(address.octets());
    }
    Some(reply)
}

/// The name asked for, and where it ends.
fn name_of(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
}

//! A name server for the program's own look-ups, which go through the operating system: the program runs with a
//! `/etc/resolv.conf` of its own, in a mount namespace of its own. It answers differently each time, if it was told to.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tempfile::TempDir;
use tokio::net::UdpSocket;
use tokio_util::task::AbortOnDropHandle;

/// `resolv.conf` knows no ports; the whole of 127/8 is this machine.
const PORT: u16 = 53;

pub struct Names {
    folder: TempDir,
    names: Arc<Mutex<HashMap<String, Name>>>,
    _server: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Name {
    /// One a query, the last one for good.
    addresses: Vec<Ipv4Addr>,
    queries: usize,
}

impl Names {
    pub async fn start() -> Self {
        let (socket, address) = bind().await;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        for (file, text) in [
            ("resolv.conf", format!("nameserver {}\noptions timeout:2 attempts:1\n", address.ip())),
            ("nsswitch.conf", "hosts: files dns\n".to_owned()),
        ] {
            std::fs::write(folder.path().join(file), text).expect("a fresh folder can be filled");
        }
        let names = Arc::<Mutex<HashMap<String, Name>>>::default();
        let known = names.clone();
        let server = tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                if let Some(answer) = answer(&packet[..length], &known) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Self { folder, names, _server: AbortOnDropHandle::new(server) }
    }

    /// Files that take the place of those of the same name in `/etc`.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The first query for the name gets the first address, and so on; all after them the last.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().expect("an IPv4 address")).collect();
        self.lock().insert(name.to_owned(), Name { addresses, queries: 0 });
    }

    /// Queries for an IPv4 address so far.
    pub fn queries(&self, name: &str) -> usize {
        self.lock().get(name).map_or(0, |name| name.queries)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Name>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Any address of the loopback network: other tests may have a name server too.
async fn bind() -> (UdpSocket, SocketAddr) {
    let mut failed = None;
    for _ in 0..100 {
        let address = Ipv4Addr::new(127, 53, rand::random(), rand::random_range(1..255));
        match UdpSocket::bind((address, PORT)).await {
            Ok(socket) => return (socket, (address, PORT).into()),
            Err(error) => failed = Some(error),
        }
    }
    panic!(
        "can't open port {PORT} on loopback: {failed:?}; run as root, or allow it: \
         sysctl net.ipv4.ip_unprivileged_port_start={PORT}"
    );
}

/// RFC 1035: the question comes back, with one address if there is one.
fn answer(query: &[u8], names: &Mutex<HashMap<String, Name>>) -> Option<Vec<u8>> {
    let (name, end) = name_of(query)?;
    let question = query.get(12..end + 4)?;
    let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    let known = names.get_mut(&name);
    let is_known = known.is_some();
    let address = known.filter(|_| is_a).and_then(|known| {
        known.queries += 1;
        known.addresses.get(known.queries - 1).or(known.addresses.last()).copied()
    });
    let mut reply = query[..2].to_vec();
    // Recursion done, no error or no such name; one question, one answer or none.
    reply.extend([0x81, if is_known { 0x80 } else { 0x83 }, 0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
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

//! `/etc/resolv.conf` and `/etc/hosts` as they are now: each is read again when it has changed.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hickory_proto::rr::Name;
use resolv_conf::{Config, ScopedIp};

/// Larger than the lists of blocked names that people keep in `/etc/hosts`.
const MAX_FILE_BYTES: u64 = 32 << 20;

/// Search domains that are tried: as many as the C library tries.
const MAX_SEARCH: usize = 6;

const DNS_PORT: u16 = 53;

/// Addresses by name, in lower case and without a dot at the end.
pub(super) type Hosts = HashMap<String, Vec<IpAddr>>;

#[derive(Debug)]
pub(super) struct System {
    resolv_conf: Watched<ResolvConf>,
    hosts: Watched<Hosts>,
}

/// Settings of `/etc/resolv.conf` that matter here.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<SocketAddr>,
    pub(super) search: Vec<Name>,
    pub(super) ndots: usize,
    pub(super) no_aaaa: bool,
}

impl System {
    pub(super) fn of_this_machine() -> Self {
        Self::of(Path::new("/etc"))
    }

    /// `resolv.conf` and `hosts` in this folder.
    pub(super) fn of(folder: &Path) -> Self {
        Self {
            resolv_conf: Watched::new(folder.join("resolv.conf"), ResolvConf::parse),
            hosts: Watched::new(folder.join("hosts"), parse_hosts),
        }
    }

    pub(super) fn resolv_conf(&self) -> Arc<ResolvConf> {
        self.resolv_conf.current()
    }

    pub(super) fn hosts(&self) -> Arc<Hosts> {
        self.hosts.current()
    }
}

/// A file and what was read from it.
#[derive(Debug)]
struct Watched<T> {
    path: PathBuf,
    parse: fn(&[u8]) -> T,
    last: Mutex<Option<(Stamp, Arc<T>)>>,
}

/// Changes with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

impl<T> Watched<T> {
    fn new(path: PathBuf, parse: fn(&[u8]) -> T) -> Self {
        Self {
            path,
            parse,
            last: Mutex::new(None),
        }
    }

    /// A file that can't be read, as one that is just being replaced, is taken to be as it was, or
    /// else empty.
    fn current(&self) -> Arc<T> {
        let stamp = Stamp::of(&self.path);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, value)) = &*last
            && stamp.as_ref().is_none_or(|stamp| stamp == known)
        {
            return value.clone();
        }
        match (stamp, read(&self.path), &*last) {
            (Some(stamp), Ok(bytes), _) => {
                let value = Arc::new((self.parse)(&bytes));
                *last = Some((stamp, value.clone()));
                value
            }
            (_, _, Some((_, value))) => value.clone(),
            _ => Arc::new((self.parse)(b"")),
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (file.mtime(), file.mtime_nsec()),
            bytes: file.len(),
            inode: file.ino(),
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl ResolvConf {
    /// Lines that are not understood are passed over. Without a server it is the machine itself.
    fn parse(bytes: &[u8]) -> Self {
        let (config, _) = Config::parse_with_errors(bytes);
        let mut servers: Vec<SocketAddr> = config.nameservers.iter().filter_map(server).collect();
        if servers.is_empty() {
            servers.push((Ipv4Addr::LOCALHOST, DNS_PORT).into());
        }
        let mut search: Vec<String> = config.get_last_search_or_domain().cloned().collect();
        if search.is_empty() {
            search.extend(config.get_system_domain());
        }
        let mut domains: Vec<Name> = Vec::new();
        for domain in search
            .iter()
            .filter_map(|domain| Name::from_str_relaxed(domain).ok())
        {
            if !domain.is_root() && domains.len() < MAX_SEARCH && !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        for domain in &mut domains {
            domain.set_fqdn(true);
        }
        Self {
            servers,
            search: domains,
            ndots: config.ndots as usize,
            no_aaaa: config.no_aaaa,
        }
    }
}

/// Returns the address of a server; none for an interface that does not exist.
fn server(address: &ScopedIp) -> Option<SocketAddr> {
    match address {
        ScopedIp::V4(address) => Some((*address, DNS_PORT).into()),
        ScopedIp::V6(address, None) => Some((*address, DNS_PORT).into()),
        ScopedIp::V6(address, Some(interface)) => {
            let scope = interface
                .parse()
                .ok()
                .or_else(|| interface_index(interface))?;
            Some(SocketAddrV6::new(*address, DNS_PORT, 0, scope).into())
        }
    }
}

fn interface_index(name: &str) -> Option<u32> {
    let is_name = !name.is_empty() && !name.contains(['/', '.']);
    let text = is_name
        .then(|| std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok())??;
    text.trim().parse().ok()
}

/// Lines `ADDRESS NAME…`, as in hosts(5). Addresses with a zone are passed over.
fn parse_hosts(bytes: &[u8]) -> Hosts {
    let mut hosts = Hosts::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let Some(address) = words
            .next()
            .and_then(|address| address.parse::<IpAddr>().ok())
        else {
            continue;
        };
        for name in words {
            let addresses = hosts
                .entry(name.trim_end_matches('.').to_ascii_lowercase())
                .or_default();
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_servers_of_the_system() {
        let text = "# nameserver 9.9.9.9\nsearch a.example b.example. A.example\n nameserver\t10.0.0.1 # first\n\
                    nameserver ::1\nnameservers 1.1.1.1\nnameserver fe80::1%no-such-interface\nnameserver fe80::1%7\n\
                    options ndots:5 timeout:2 no-aaaa";
        let conf = ResolvConf::parse(text.as_bytes());
        let found: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53", "[fe80::1%7]:53"]);
        let search: Vec<String> = conf.search.iter().map(ToString::to_string).collect();
        assert_eq!(
            (search, conf.ndots, conf.no_aaaa),
            (
                vec!["a.example.".to_owned(), "b.example.".to_owned()],
                5,
                true
            )
        );
        assert_eq!(
            ResolvConf::parse(b"").servers,
            [SocketAddr::from(([127, 0, 0, 1], 53))]
        );
        assert_eq!(ResolvConf::parse(b"search .\n").search, []);
    }

    #[test]
    fn reads_the_hosts_of_the_system() {
        let hosts =
            parse_hosts(b"\xff\n127.0.0.1 localhost\n# 1.1.1.1 no\n10.0.0.1\tDb.Example. db # 2\n::1 localhost\nx y");
        let list = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        assert_eq!(hosts["localhost"], list(&["127.0.0.1", "::1"]));
        assert_eq!(
            (&hosts["db.example"], &hosts["db"]),
            (&list(&["10.0.0.1"]), &list(&["10.0.0.1"]))
        );
        assert_eq!(hosts.len(), 3);
    }

    #[test]
    fn a_file_that_changed_is_read_again_and_one_that_is_gone_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let system = System::of(folder.path());
        let servers = |system: &System| {
            system
                .resolv_conf()
                .servers
                .iter()
                .map(|server| server.ip())
                .collect::<Vec<_>>()
        };
        assert_eq!(servers(&system), [IpAddr::from([127, 0, 0, 1])]);
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, "nameserver 10.0.0.1\n").unwrap();
        assert_eq!(servers(&system), [IpAddr::from([10, 0, 0, 1])]);
        std::fs::write(&path, "nameserver 10.0.0.1\nnameserver 10.0.0.2\n").unwrap();
        assert_eq!(servers(&system).len(), 2);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(servers(&system).len(), 2);
    }
}

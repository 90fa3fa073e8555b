//! Which servers to ask when the caller names none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// As many as the system's own resolver asks.
const MAX_SERVERS: usize = 3;

/// The operator's, else those of `/etc/resolv.conf` as it is now, else the machine itself.
pub(super) async fn nameservers(configured: &[SocketAddr]) -> Vec<SocketAddr> {
    if !configured.is_empty() {
        return configured.iter().copied().take(MAX_SERVERS).collect();
    }
    let text = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
    let found = parse(&text);
    if found.is_empty() { vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)] } else { found }
}

/// Lines `nameserver ADDRESS`, as in resolv.conf(5). Addresses with a zone (`fe80::1%eth0`) are passed over.
fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter(|rest| rest.starts_with([' ', '\t']))
        .filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok())
        .map(|address| SocketAddr::new(address, 53))
        .take(MAX_SERVERS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_the_servers_of_the_system() {
        let text = "# nameserver 9.9.9.9\nsearch x\n nameserver\t10.0.0.1 # first\nnameserver ::1\nnameservers 1.1.1.1\n\
                    nameserver fe80::1%eth0\nnameserver 10.0.0.2\nnameserver 10.0.0.3";
        let found: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.1:53", "[::1]:53", "10.0.0.2:53"]);
    }
}

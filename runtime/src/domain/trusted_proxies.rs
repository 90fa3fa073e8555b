//! The reverse proxies whose word on a client's address is believed.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// Addresses and networks of proxies. Empty: the peer of the connection is the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is neither an address nor a network such as `10.0.0.0/8`")]
pub struct ProxyFault(String);

impl TrustedProxies {
    /// Addresses and networks in CIDR notation, separated by commas.
    pub fn parse(text: &str) -> Result<Self, ProxyFault> {
        let entries = text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let network = |entry: &str| {
            let address = entry.parse::<IpAddr>().map(IpNet::from);
            address
                .or_else(|_| entry.parse::<IpNet>())
                .map_err(|_| ProxyFault(entry.to_owned()))
        };
        entries.map(network).collect::<Result<_, _>>().map(Self)
    }

    fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind a peer: the last address in the chain that no trusted proxy has. `hops`
    /// are the forwarded addresses in their order, the nearest to us last; one that can't be
    /// read ends the search, as it was made up.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        hops: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        for hop in hops.rev() {
            if !self.contains(client) {
                break;
            }
            match hop_address(hop) {
                Some(address) => client = address.to_canonical(),
                None => break,
            }
        }
        client
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`, with or
/// without quotes.
fn hop_address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']')?.0.parse().ok();
    }
    text.rsplit_once(':')?.0.parse().ok()
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        let proxies = TrustedProxies::parse("10.0.0.0/8, 192.0.2.7,fd00::/8").unwrap();
        for (peer, hops, client) in [
            ("203.0.113.9", vec!["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", vec!["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", vec!["198.51.100.1:4711"], "198.51.100.1"),
            (
                "10.0.0.1",
                vec!["6.6.6.6", "198.51.100.1", "10.2.3.4"],
                "198.51.100.1",
            ),
            ("192.0.2.7", vec!["10.9.9.9"], "10.9.9.9"),
            ("192.0.2.8", vec!["10.9.9.9"], "192.0.2.8"),
            ("fd00::1", vec!["\"[2001:db8::1]:80\""], "2001:db8::1"),
            ("10.0.0.1", vec!["6.6.6.6", "unknown"], "10.0.0.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
        ] {
            let found = proxies.client(peer.parse().unwrap(), hops.iter().copied());
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {hops:?}");
        }
    }

    #[test]
    fn without_proxies_headers_mean_nothing() {
        let found =
            TrustedProxies::default().client([203, 0, 113, 9].into(), ["198.51.100.1"].into_iter());
        assert_eq!(found, IpAddr::from([203, 0, 113, 9]));
    }

    #[test]
    fn a_network_that_makes_no_sense_is_named() {
        let fault = TrustedProxies::parse("10.0.0.0/8,example.com").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "`example.com` is neither an address nor a network such as `10.0.0.0/8`"
        );
        assert!(TrustedProxies::parse("10.0.0.0/33").is_err());
    }
}

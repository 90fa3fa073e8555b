//! The order in which the addresses of a name are tried: what the machine can reach first (RFC
//! 6724), and the two families in turn (RFC 8305, 4), so that neither of them hides the other.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};

/// Orders the addresses, without duplicates; the servers' order stays within a family.
pub(super) fn ordered(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut unique: Vec<IpAddr> = Vec::with_capacity(addresses.len());
    for address in addresses {
        if !unique.contains(&address) {
            unique.push(address);
        }
    }
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = unique.into_iter().partition(IpAddr::is_ipv6);
    let v6_first = match (v6.first(), v4.first()) {
        (Some(IpAddr::V6(v6)), Some(_)) => is_preferred(*v6),
        _ => true,
    };
    if v6_first {
        in_turn(v6, v4)
    } else {
        in_turn(v4, v6)
    }
}

fn in_turn(first: Vec<IpAddr>, second: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut taken = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let (one, other) = (first.next(), second.next());
        if one.is_none() && other.is_none() {
            return taken;
        }
        taken.extend(one.into_iter().chain(other));
    }
}

/// There is a route to it, from an address of the same reach: a unique local source does not lead
/// to the internet.
fn is_preferred(address: Ipv6Addr) -> bool {
    source(address).is_some_and(|source| source.is_unique_local() == address.is_unique_local())
}

/// The address that the system would send from; connecting a datagram socket sends nothing.
fn source(address: Ipv6Addr) -> Option<Ipv6Addr> {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((address, 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V6(source) => Some(source),
        IpAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns_in_the_servers_order() {
        let list = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| text.parse().unwrap())
                .collect::<Vec<IpAddr>>()
        };
        for (first, second, wanted) in [
            (
                &["::1", "::2"][..],
                &["1.1.1.1"][..],
                &["::1", "1.1.1.1", "::2"][..],
            ),
            (&["1.1.1.1"], &["::1", "::2"], &["1.1.1.1", "::1", "::2"]),
            (&["1.1.1.2", "1.1.1.1"], &[], &["1.1.1.2", "1.1.1.1"]),
        ] {
            assert_eq!(in_turn(list(first), list(second)), list(wanted));
        }
        assert_eq!(
            ordered(list(&["1.1.1.2", "1.1.1.1", "1.1.1.2"])),
            list(&["1.1.1.2", "1.1.1.1"])
        );
        let mixed = ordered(list(&["192.0.2.1", "2001:db8::1"]));
        assert_eq!(
            mixed.len(),
            2,
            "an address without a route comes later, and is not lost: {mixed:?}"
        );
    }
}

//! What kind of place an address is. Forms of IPv6 that carry an IPv4 address are seen through, so that no spelling of an
//! address is judged more kindly than the address itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Public,
    /// Open only to what the operator marked as private; the text names the range.
    Private(&'static str),
    /// Closed to everyone; the text names the range.
    Never(&'static str),
}

pub(super) fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// Where clouds answer with the machine's credentials, outside the link-local ranges.
const METADATA_V4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// By the registry of RFC 6890 and its updates.
fn reach_v4(address: Ipv4Addr) -> Reach {
    if METADATA_V4.contains(&address) {
        return Reach::Never("a cloud metadata address");
    }
    match address.octets() {
        [0, ..] => Reach::Never("the unspecified range"),
        [169, 254, ..] => Reach::Never("link-local or a cloud metadata address"),
        [224..=239, ..] => Reach::Never("multicast"),
        [255, 255, 255, 255] => Reach::Never("broadcast"),
        [240..=255, ..] => Reach::Never("reserved"),
        [127, ..] => Reach::Private("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Reach::Private("a private range"),
        [100, 64..=127, ..] => Reach::Private("the carrier-grade NAT range"),
        [192, 0, 0, _] | [198, 18..=19, ..] => Reach::Private("a special-purpose range"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Reach::Private("a documentation range"),
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if METADATA_V6.contains(&address) {
        return Reach::Never("a cloud metadata address");
    }
    let own = match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Reach::Never("the unspecified address"),
        [0, 0, 0, 0, 0, 0, 0, 1] => return Reach::Private("loopback"),
        [0xfe80..=0xfebf, ..] => Reach::Never("link-local"),
        [0xfec0..=0xfeff, ..] => Reach::Never("site-local"),
        [0xff00..=0xffff, ..] => Reach::Never("multicast"),
        [0xfc00..=0xfdff, ..] => Reach::Private("a unique local range"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Reach::Private("a documentation range"),
        [0x64, 0xff9b, 1, ..] => Reach::Private("a local NAT64 range"),
        // What follows carries an IPv4 address, which alone decides.
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Reach::Public,
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => Reach::Public,
        [0x2001, 0, ..] | [0x2002, ..] => Reach::Public,
        [0x2001, 0..=0x01ff, ..] => Reach::Private("a special-purpose range"),
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Private("outside the public ranges"),
    };
    embedded(address).into_iter().flatten().map(reach_v4).fold(own, Ord::max)
}

/// The IPv4 addresses that an IPv6 address leads to.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let segments = address.segments();
    let at = |index: usize| Ipv4Addr::from((u32::from(segments[index]) << 16) | u32::from(segments[index + 1]));
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None, None],
        // Compatible (::a.b.c.d), mapped (::ffff:a.b.c.d), translated (::ffff:0:a.b.c.d).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [Some(at(6)), None],
        // NAT64, the well-known prefix (RFC 6052) and the one for local use (RFC 8215).
        [0x64, 0xff9b, ..] => [Some(at(6)), None],
        // 6to4 (RFC 3056).
        [0x2002, ..] => [Some(at(1)), None],
        // Teredo (RFC 4380): the server, and the client with its bits turned.
        [0x2001, 0, ..] => [Some(at(2)), Some(Ipv4Addr::from(!u32::from(at(6))))],
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [Some(at(6)), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> &'static str {
        match reach(text.parse().unwrap()) {
            Reach::Public => "public",
            Reach::Private(_) => "private",
            Reach::Never(_) => "never",
        }
    }

    #[test]
    fn judges_addresses_by_where_they_lead() {
        for (address, wanted) in [
            ("1.1.1.1", "public"),
            ("172.32.0.1", "public"),
            ("100.128.0.1", "public"),
            ("127.0.0.1", "private"),
            ("127.255.0.9", "private"),
            ("10.1.2.3", "private"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.168.1.1", "private"),
            ("100.64.0.1", "private"),
            ("198.18.0.1", "private"),
            ("203.0.113.9", "private"),
            ("0.0.0.0", "never"),
            ("0.1.2.3", "never"),
            ("169.254.169.254", "never"),
            ("169.254.170.2", "never"),
            ("100.100.100.200", "never"),
            ("168.63.129.16", "never"),
            ("224.0.0.1", "never"),
            ("239.255.255.250", "never"),
            ("240.0.0.1", "never"),
            ("255.255.255.255", "never"),
            ("2606:4700:4700::1111", "public"),
            ("2a00:1450:4001::1", "public"),
            ("::1", "private"),
            ("fc00::1", "private"),
            ("fd12:3456::1", "private"),
            ("2001:db8::1", "private"),
            ("100::1", "private"),
            ("4000::1", "private"),
            ("::", "never"),
            ("fe80::1", "never"),
            ("febf::1", "never"),
            ("fec0::1", "never"),
            ("ff02::1", "never"),
            ("fd00:ec2::254", "never"),
            ("fd20:ce::254", "never"),
        ] {
            assert_eq!(kind(address), wanted, "{address}");
        }
    }

    #[test]
    fn sees_through_every_form_that_carries_an_ipv4_address() {
        for (v4, wanted) in [("8.8.8.8", "public"), ("127.0.0.1", "private"), ("169.254.169.254", "never")] {
            let [a, b, c, d] = v4.parse::<Ipv4Addr>().unwrap().octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for form in [
                format!("::ffff:{v4}"),
                format!("::{v4}"),
                format!("::ffff:0:{v4}"),
                format!("64:ff9b::{v4}"),
                format!("2002:{high:x}:{low:x}::1"),
                format!("2001:0:0808:0808:0:0:{:x}:{:x}", !high, !low),
                format!("2001:0:{high:x}:{low:x}:0:0:f7f7:f7f7"),
                format!("2a00::5efe:{v4}"),
            ] {
                assert_eq!(kind(&form), wanted, "{form}");
            }
        }
        assert_eq!(kind("64:ff9b:1::169.254.169.254"), "never");
        assert_eq!(kind("64:ff9b:1::8.8.8.8"), "private");
        assert_eq!(kind("fd00::5efe:8.8.8.8"), "private");
    }
}

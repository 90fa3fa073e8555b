//! Kinds of addresses: public, private, never reached. Forms of IPv6 that carry an IPv4 address are seen through, so
//! that no spelling of an address is judged more kindly than the address itself.

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
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// Follows the registry of RFC 6890 and its updates.
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
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18..=19, ..] => {
            Reach::Private("a special-purpose range")
        }
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Reach::Private("a documentation range")
        }
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
    embedded(address)
        .into_iter()
        .flatten()
        .map(reach_v4)
        .fold(own, Ord::max)
}

/// The IPv4 addresses that an IPv6 address may lead to. Where a form leaves open which bits they
/// are, all readings count.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let segments = address.segments();
    let at = |index: usize| {
        Some(Ipv4Addr::from(
            (u32::from(segments[index]) << 16) | u32::from(segments[index + 1]),
        ))
    };
    // ISATAP (RFC 5214), under any prefix.
    let isatap = match segments {
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => at(6),
        _ => None,
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => [None; 4],
        // Compatible (::a.b.c.d), mapped (::ffff:a.b.c.d), translated (::ffff:0:a.b.c.d).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => [at(6), None, None, None],
        // NAT64 for local use (RFC 8215): the prefix may end after 48, 56, 64 or 96 bits (RFC 6052,
        // 2.2).
        [0x64, 0xff9b, 1, ..] => {
            let octets = address.octets();
            // Nothing lies below 1.0.0.0: such a reading is another form's padding.
            let of = |[a, b, c, d]: [usize; 4]| {
                (octets[a] > 0).then(|| Ipv4Addr::new(octets[a], octets[b], octets[c], octets[d]))
            };
            [
                of([6, 7, 9, 10]),
                of([7, 9, 10, 11]),
                of([9, 10, 11, 12]),
                at(6),
            ]
        }
        // NAT64, the well-known prefix (RFC 6052).
        [0x64, 0xff9b, ..] => [at(6), None, None, None],
        // 6to4 (RFC 3056).
        [0x2002, ..] => [at(1), isatap, None, None],
        // Teredo (RFC 4380): the server, and the client with its bits turned.
        [0x2001, 0, ..] => [
            at(2),
            at(6).map(|address| Ipv4Addr::from(!u32::from(address))),
            isatap,
            None,
        ],
        _ => [isatap, None, None, None],
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
            ("fd00:c1::a9fe:a9fe", "never"),
            ("fd00:42::42", "never"),
            ("192.88.99.1", "private"),
            ("100:0:0:1::1", "private"),
            ("5f00::1", "private"),
        ] {
            assert_eq!(kind(address), wanted, "{address}");
        }
    }

    #[test]
    fn sees_through_every_form_that_carries_an_ipv4_address() {
        for (v4, wanted) in [
            ("8.8.8.8", "public"),
            ("127.0.0.1", "private"),
            ("169.254.169.254", "never"),
        ] {
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
        for form in [
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
        ] {
            assert_eq!(kind(form), "never", "{form}");
        }
        assert_eq!(kind("2002:808:808::5efe:169.254.169.254"), "never");
        assert_eq!(kind("fd00::5efe:8.8.8.8"), "private");
    }
}

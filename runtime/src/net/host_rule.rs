//! Rules that cover hosts: one by its name or address, all below a name, or all. Patterns are
//! only read where an operator writes grants; everywhere else a host is a host.

use std::fmt;

use url::{Host, Url};

use super::failure::NetError;
use super::host_text::{canonical, parse_host, split_port};

/// Hosts that may be reached, in any spelling, on one port or on all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRule {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    One(Host),
    /// All names that end in `.name`, at any depth; not the name itself.
    Below(String),
    All,
}

impl HostRule {
    /// `host` is a name or an address; IPv6 with or without brackets.
    pub fn new(host: &str, port: Option<u16>) -> Result<Self, NetError> {
        Ok(Self {
            hosts: Hosts::One(parse_host(host)?),
            port,
        })
    }

    /// `host`, `host:port`, `[::1]:port`.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let (host, port) = split_port(text)?;
        Self::new(host, port)
    }

    /// Parses what [`Self::parse`] does, and `*.name` and `*`, each with a port or without.
    pub fn pattern(text: &str) -> Result<Self, NetError> {
        let (host, port) = split_port(text)?;
        let (hosts, name) = match host.strip_prefix('*') {
            None => return Self::exact(text, host, port),
            Some("") => (Hosts::All, ""),
            Some(rest) => match rest.strip_prefix('.').map(parse_host) {
                Some(Ok(Host::Domain(name))) => (Hosts::Below(name), rest),
                Some(Ok(_)) => {
                    return Err(NetError::Protocol(format!(
                        "`{text}`: `*.` goes before a name, not an address"
                    )));
                }
                Some(Err(_)) | None => (Hosts::All, rest),
            },
        };
        if name.contains('*') || (hosts == Hosts::All && !name.is_empty()) {
            return Err(NetError::Protocol(format!(
                "`{text}` is not a pattern; write `*.example.org`, or `*` for all hosts"
            )));
        }
        Ok(Self { hosts, port })
    }

    fn exact(text: &str, host: &str, port: Option<u16>) -> Result<Self, NetError> {
        if host.contains('*') {
            let message = format!(
                "`{text}` has a `*` in the middle; it can only stand first, as in `*.example.org`"
            );
            return Err(NetError::Protocol(message));
        }
        Self::new(host, port)
    }

    /// Host and port of a URL whose scheme has a port.
    pub fn of_url(url: &Url) -> Option<Self> {
        let hosts = Hosts::One(canonical(url.host()?.to_owned()));
        Some(Self {
            hosts,
            port: Some(url.port_or_known_default()?),
        })
    }

    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same hosts at this port alone.
    pub fn at(&self, port: u16) -> Self {
        Self {
            port: Some(port),
            ..self.clone()
        }
    }

    /// True for `*`, on some port or on all.
    pub fn is_every_host(&self) -> bool {
        self.hosts == Hosts::All
    }

    /// True if the rule names one host, written out.
    pub fn is_exact(&self) -> bool {
        matches!(self.hosts, Hosts::One(_))
    }

    /// Returns the rule for what both cover; none if that is nothing.
    pub fn intersection(&self, other: &Self) -> Option<Self> {
        let port = match (self.port, other.port) {
            (Some(one), Some(other)) if one != other => return None,
            (one, other) => one.or(other),
        };
        let hosts = if other.hosts.covers(&self.hosts) {
            &self.hosts
        } else if self.hosts.covers(&other.hosts) {
            &other.hosts
        } else {
            return None;
        };
        Some(Self {
            hosts: hosts.clone(),
            port,
        })
    }

    pub fn matches(&self, host: &Host, port: u16) -> bool {
        self.port.is_none_or(|wanted| wanted == port) && self.matches_name(host)
    }

    /// True if the rule covers the host on some port.
    pub(super) fn matches_name(&self, host: &Host) -> bool {
        match (&self.hosts, host) {
            (Hosts::All, _) => true,
            (Hosts::One(one), host) => one == host,
            (Hosts::Below(name), Host::Domain(host)) => is_below(host, name),
            (Hosts::Below(_), _) => false,
        }
    }

    /// True if the rule names one host and this one lies below it.
    pub(super) fn is_above(&self, host: &Host) -> bool {
        matches!((&self.hosts, host), (Hosts::One(Host::Domain(name)), Host::Domain(host)) if is_below(host, name))
    }
}

impl Hosts {
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Hosts::All, _) => true,
            (Hosts::Below(name), Hosts::Below(other)) => other == name || is_below(other, name),
            (Hosts::Below(name), Hosts::One(Host::Domain(host))) => is_below(host, name),
            (Hosts::One(one), Hosts::One(other)) => one == other,
            _ => false,
        }
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::One(host) => write!(f, "{host}")?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
            Hosts::All => f.write_str("*")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_says() {
        for (pattern, host, port, wanted) in [
            ("*.example.org", "a.example.org", 443, true),
            ("*.example.org", "a.b.EXAMPLE.org.", 443, true),
            ("*.example.org", "example.org", 443, false),
            ("*.example.org", "evilexample.org", 443, false),
            ("*.example.org", "example.org.evil", 443, false),
            ("*.example.org:8443", "a.example.org", 8443, true),
            ("*.example.org:8443", "a.example.org", 443, false),
            ("*", "anything.test", 1, true),
            ("*", "127.0.0.1", 1, true),
            ("*:443", "anything.test", 443, true),
            ("*:443", "anything.test", 80, false),
            ("*.0.0.1x", "127.0.0.1", 80, false),
            ("Example.org", "example.org", 80, true),
        ] {
            let rule = HostRule::pattern(pattern).unwrap();
            assert_eq!(
                rule.matches(&parse_host(host).unwrap(), port),
                wanted,
                "{pattern} {host}:{port}"
            );
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "a.*.example",
            "**",
            "*a.example",
            "*.",
            "*.*",
            "*.*.example",
            "*.127.0.0.1",
            "https://a.example",
            "a b",
        ] {
            assert!(
                HostRule::pattern(text).is_err(),
                "{text}: {:?}",
                HostRule::pattern(text)
            );
        }
        let in_a_setting = HostRule::parse("*.example.org").unwrap();
        assert!(
            !in_a_setting.matches(&parse_host("a.example.org").unwrap(), 443),
            "a host in a setting is no pattern"
        );
    }

    #[test]
    fn an_intersection_is_what_both_cover() {
        for (one, other, wanted) in [
            ("a.example", "a.example", Some("a.example")),
            ("a.example", "A.example:443", Some("a.example:443")),
            ("a.example:80", "a.example:443", None),
            ("a.example", "b.example", None),
            ("*", "a.example:1", Some("a.example:1")),
            ("*:443", "a.example", Some("a.example:443")),
            ("*", "*", Some("*")),
            ("*.example", "a.example", Some("a.example")),
            ("*.example", "example", None),
            ("*.example", "*.a.example", Some("*.a.example")),
            ("*.a.example", "*.b.example", None),
            ("*.example:1", "*:2", None),
            ("*.example", "10.0.0.1", None),
            ("*", "10.0.0.1", Some("10.0.0.1")),
        ] {
            let (one, other) = (
                HostRule::pattern(one).unwrap(),
                HostRule::pattern(other).unwrap(),
            );
            let shown = |rule: Option<HostRule>| rule.map(|rule| rule.to_string());
            assert_eq!(
                shown(one.intersection(&other)).as_deref(),
                wanted,
                "{one} and {other}"
            );
            assert_eq!(
                shown(other.intersection(&one)).as_deref(),
                wanted,
                "{other} and {one}"
            );
        }
    }
}

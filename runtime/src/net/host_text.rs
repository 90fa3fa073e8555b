//! Hosts and ports as people write them.

use std::net::IpAddr;

use url::Host;

use super::failure::NetError;

/// Parses a name or an address in any spelling a browser takes: `0x7f.1` is 127.0.0.1, `EXAMPLE.com.` is
/// example.com.
pub(super) fn parse_host(text: &str) -> Result<Host, NetError> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(match address {
            IpAddr::V4(address) => Host::Ipv4(address),
            IpAddr::V6(address) => Host::Ipv6(address),
        });
    }
    if text.is_empty() {
        return Err(NetError::Protocol(
            "the host is empty; give a name or an address".to_owned(),
        ));
    }
    Host::parse(text).map(canonical).map_err(|error| {
        NetError::Protocol(format!("`{text}` is not a host name or address: {error}"))
    })
}

/// Returns the host without the dot at the end, which changes nothing but would miss the rules.
pub fn canonical(host: Host) -> Host {
    match host {
        Host::Domain(name) if name.ends_with('.') && name.len() > 1 => {
            Host::Domain(name.trim_end_matches('.').to_owned())
        }
        host => host,
    }
}

/// Splits `host`, `host:port`, `[v6]`, `[v6]:port` and bare v6.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<u16>), NetError> {
    let wrong = || NetError::Protocol(format!("`{text}` is not `host` or `host:port`"));
    let (host, port) = match text.rfind(']') {
        Some(end) => (&text[..=end], text[end + 1..].strip_prefix(':')),
        None if text.matches(':').count() > 1 => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port
        .map(|port| port.parse::<u16>().map_err(|_| wrong()))
        .transpose()?;
    if host.is_empty() || (text.contains(']') && text[host.len()..].len() == 1) {
        Err(wrong())
    } else {
        Ok((host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_split_from_every_kind_of_host() {
        for (text, wanted) in [
            ("a.example", Some(("a.example", None))),
            ("a.example:53", Some(("a.example", Some(53)))),
            ("::1", Some(("::1", None))),
            ("[::1]", Some(("[::1]", None))),
            ("[::1]:5353", Some(("[::1]", Some(5353)))),
            ("a:b", None),
            ("a:70000", None),
            (":53", None),
            ("[::1]:", None),
        ] {
            assert_eq!(split_port(text).ok(), wanted, "{text}");
        }
    }
}

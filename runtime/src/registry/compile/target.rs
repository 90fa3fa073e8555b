//! Meaning of a service's `type`, and whether its base URL fits it.

use url::Url;

/// `type` in lower case, its probe plugin, and whether it speaks HTTP.
const KINDS: [(&str, &str, &str); 12] = [
    ("REST", "http", "http"),
    ("HTTP", "http", "http"),
    ("GraphQL", "http", "http"),
    ("SOAP", "http", "http"),
    ("gRPC", "grpc", "host"),
    ("TCP", "tcp", "host:port"),
    ("DNS", "dns", "host"),
    ("TLS", "tls", "host"),
    ("ICMP", "icmp", "host"),
    ("SMTP", "smtp", "host"),
    ("Redis", "redis", "host"),
    ("WebSocket", "websocket", "host"),
];

/// Types of the seed that imply a probe.
pub(super) fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|(kind, ..)| *kind)
}

pub(crate) fn default_probe(kind: &str) -> Option<&'static str> {
    find(kind).map(|(_, probe, _)| probe)
}

fn find(kind: &str) -> Option<(&'static str, &'static str, &'static str)> {
    KINDS
        .into_iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(kind))
}

/// Returns what is wrong with a base URL. Never repeats one that may hold a password.
pub(super) fn base_url_fault(kind: &str, text: &str) -> Option<String> {
    const MAX_BYTES: usize = 2048;
    let speaks = find(kind).map_or("any", |(_, _, speaks)| speaks);
    if text.is_empty() || text.len() > MAX_BYTES {
        return Some(format!("must have between 1 and {MAX_BYTES} characters"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("must not hold spaces or line breaks".to_owned());
    }
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    if after_scheme
        .split(['/', '?', '#'])
        .next()
        .is_some_and(|authority| authority.contains('@'))
    {
        return Some(
            "must not hold a user name or password; write them under `authentication`".to_owned(),
        );
    }
    let bare = !text.contains("://");
    if bare && speaks == "http" {
        return Some(format!("`{text}` has no scheme; write `https://{text}`"));
    }
    let url = match Url::parse(&if bare {
        format!("tcp://{text}")
    } else {
        text.to_owned()
    }) {
        Ok(url) => url,
        Err(error) => return Some(format!("`{text}` is not a URL: {error}")),
    };
    if url.host_str().is_none_or(str::is_empty) {
        return Some(format!("`{text}` names no host"));
    }
    if bare && !matches!(url.path(), "" | "/") {
        return Some(format!(
            "`{text}` has a path but no scheme; write a URL, or `host:port`"
        ));
    }
    if url.fragment().is_some() {
        return Some("must not have a `#fragment`".to_owned());
    }
    if speaks == "http" && !matches!(url.scheme(), "http" | "https") {
        return Some(format!(
            "a {kind} service is reached over `http` or `https`, not `{}`",
            url.scheme()
        ));
    }
    if speaks == "host:port" && url.port_or_known_default().is_none() {
        return Some(format!("`{text}` names no port; write `host:port`"));
    }
    None
}

/// Scheme, host and port: where a service's credentials may go.
pub(crate) fn authority(base_url: &str) -> Option<(String, String, Option<u16>)> {
    let text = if base_url.contains("://") {
        base_url.to_owned()
    } else {
        format!("tcp://{base_url}")
    };
    let url = Url::parse(&text).ok()?;
    Some((
        url.scheme().to_owned(),
        url.host_str()?.to_owned(),
        url.port_or_known_default(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_base_urls_by_type() {
        for (kind, text, wanted) in [
            ("REST", "https://api.example.com", None),
            ("rest", "http://127.0.0.1:8080/v1", None),
            ("HTTP", "https://[::1]:8443", None),
            (
                "REST",
                "api.example.com",
                Some("`api.example.com` has no scheme; write `https://api.example.com`"),
            ),
            (
                "REST",
                "ftp://a.example",
                Some("a REST service is reached over `http` or `https`, not `ftp`"),
            ),
            (
                "REST",
                "https://",
                Some("`https://` is not a URL: empty host"),
            ),
            (
                "REST",
                "https://a:b@c",
                Some("must not hold a user name or password; write them under `authentication`"),
            ),
            (
                "REST",
                "https://a b",
                Some("must not hold spaces or line breaks"),
            ),
            (
                "REST",
                "https://a:99999",
                Some("`https://a:99999` is not a URL: invalid port number"),
            ),
            ("REST", "https://a/#x", Some("must not have a `#fragment`")),
            ("REST", "https://a/@user", None),
            ("TCP", "db.example.com:5432", None),
            ("TCP", "tcp://db.example.com:5432", None),
            ("TCP", "[::1]:53", None),
            (
                "TCP",
                "db.example.com",
                Some("`db.example.com` names no port; write `host:port`"),
            ),
            (
                "TCP",
                "a/b",
                Some("`a/b` has a path but no scheme; write a URL, or `host:port`"),
            ),
            ("DNS", "example.com", None),
            ("TLS", "example.com:8443", None),
            ("own", "whatever://x", None),
            ("own", "", Some("must have between 1 and 2048 characters")),
        ] {
            assert_eq!(
                base_url_fault(kind, text).as_deref(),
                wanted,
                "{kind} {text}"
            );
        }
    }

    #[test]
    fn credentials_stay_with_scheme_host_and_port() {
        assert_eq!(authority("https://a/x"), authority("https://a:443/y"));
        assert_ne!(authority("https://a"), authority("http://a"));
        assert_ne!(authority("https://a"), authority("https://b"));
        assert_eq!(authority("a:1"), authority("tcp://a:1"));
    }
}

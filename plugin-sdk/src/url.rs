//! The little a plugin needs to know of URLs: joining a base with a path, resolving a redirect, taking a host out.

/// Appends a path to a base URL with exactly one slash between them, in front of the base's query. A path that is a
/// whole URL replaces the base.
pub fn join(base: &str, path: &str) -> String {
    if path.contains("://") {
        return path.to_owned();
    }
    if path.is_empty() {
        return base.to_owned();
    }
    let (base, query) = base.split_at(base.find(['?', '#']).unwrap_or(base.len()));
    let query = if path.starts_with(['?', '#']) || path.contains('?') { "" } else { query };
    if path.starts_with(['?', '#']) {
        return format!("{base}{path}");
    }
    format!("{}/{}{query}", base.trim_end_matches('/'), path.trim_start_matches('/'))
}

/// A name or value of `application/x-www-form-urlencoded`.
pub fn form_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Resolves a reference such as a `Location` header against the URL it came from (RFC 3986, section 5.2).
pub fn resolve(base: &str, reference: &str) -> String {
    let reference = reference.trim();
    if has_scheme(reference) {
        return reference.to_owned();
    }
    let Some((scheme, rest)) = base.split_once("://") else { return reference.to_owned() };
    if let Some(host_and_path) = reference.strip_prefix("//") {
        return format!("{scheme}://{host_and_path}");
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let without_fragment = path.split('#').next().unwrap_or_default();
    let directory = without_fragment.split('?').next().unwrap_or_default();
    match reference.chars().next() {
        None => format!("{scheme}://{authority}{without_fragment}"),
        Some('#') => format!("{scheme}://{authority}{without_fragment}{reference}"),
        Some('?') => format!("{scheme}://{authority}{directory}{reference}"),
        Some('/') => format!("{scheme}://{authority}{}", without_dots(reference)),
        Some(_) => {
            let folder = &directory[..directory.rfind('/').map_or(0, |slash| slash + 1)];
            let folder = if folder.is_empty() { "/" } else { folder };
            format!("{scheme}://{authority}{}", without_dots(&format!("{folder}{reference}")))
        }
    }
}

/// Scheme, host and port in one text, to compare: `https://api.example.com:443`. None if it is no URL.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let (host, port) = host_and_port(url)?;
    let port = port.or(match scheme.as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    });
    Some(format!("{scheme}://{}:{}", host.to_ascii_lowercase(), port.unwrap_or(0)))
}

/// Host and port of a URL or of `host:port`. An IPv6 address comes without its brackets.
pub fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse().ok()?),
        None => None,
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&c))
}

/// Removes `.` and `..` from the path in front of a query or fragment.
fn without_dots(path: &str) -> String {
    let (path, rest) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            _ => kept.push(segment),
        }
    }
    format!("/{}{rest}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_with_one_slash() {
        for (base, path, wanted) in [
            ("https://a.example", "/health", "https://a.example/health"),
            ("https://a.example/", "health", "https://a.example/health"),
            ("https://a.example/v2/", "/health", "https://a.example/v2/health"),
            ("https://a.example/v2?key=1", "health", "https://a.example/v2/health?key=1"),
            ("https://a.example/v2?key=1", "health?deep=1", "https://a.example/v2/health?deep=1"),
            ("https://a.example/v2", "?deep=1", "https://a.example/v2?deep=1"),
            ("https://a.example", "", "https://a.example"),
            ("https://a.example", "https://b.example/x", "https://b.example/x"),
        ] {
            assert_eq!(join(base, path), wanted);
        }
    }

    #[test]
    fn resolves_as_the_standard_says() {
        // Examples of RFC 3986, section 5.4, with an `http` base.
        for (reference, wanted) in [
            ("g:h", "g:h"),
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q#s"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
        ] {
            assert_eq!(resolve("http://a/b/c/d;p?q", reference), wanted, "{reference}");
        }
        assert_eq!(resolve("http://a", "g"), "http://a/g");
    }

    #[test]
    fn tells_origins_apart() {
        assert_eq!(origin("https://A.example/x"), origin("https://a.example:443/y"));
        assert_ne!(origin("https://a.example"), origin("http://a.example"));
        assert_ne!(origin("https://a.example"), origin("https://a.example:8443"));
    }

    #[test]
    fn takes_host_and_port_out() {
        for (text, host, port) in [
            ("https://user:pw@a.example:8443/x", "a.example", Some(8443)),
            ("a.example:25", "a.example", Some(25)),
            ("a.example", "a.example", None),
            ("[::1]:53", "::1", Some(53)),
            ("tls://[2001:db8::1]", "2001:db8::1", None),
        ] {
            assert_eq!(host_and_port(text), Some((host.to_owned(), port)), "{text}");
        }
        for text in ["", "https://", "a.example:port", "a.example:70000"] {
            assert_eq!(host_and_port(text), None, "{text}");
        }
    }
}

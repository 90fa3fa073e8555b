//! The little a plugin needs to know of URLs: appending a path to a base, resolving a redirect,
//! taking a host out. Where a text can be read in two ways, the host reads it, which is as browsers
//! do (URL standard of WHATWG).

use crate::net::NetError;

/// Appends a path to a base URL with exactly one slash between them, in front of the base's query.
/// A path that begins with `http://` or `https://` is a whole URL, and replaces the base.
pub fn join(base: &str, path: &str) -> String {
    if ["http://", "https://"].iter().any(|start| {
        path.get(..start.len())
            .is_some_and(|text| text.eq_ignore_ascii_case(start))
    }) {
        return path.to_owned();
    }
    if path.is_empty() {
        return base.to_owned();
    }
    let (base, query) = base.split_at(base.find(['?', '#']).unwrap_or(base.len()));
    let query = if path.starts_with(['?', '#']) || path.contains('?') {
        ""
    } else {
        query
    };
    if path.starts_with(['?', '#']) {
        return format!("{base}{path}");
    }
    format!(
        "{}/{}{query}",
        base.trim_end_matches('/'),
        path.trim_start_matches('/')
    )
}

/// A name or value of `application/x-www-form-urlencoded`.
pub fn form_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte))
            }
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Resolves a reference, such as a `Location` header, against an absolute URL, as browsers do (URL
/// standard of WHATWG). The host does it.
pub fn resolve(base: &str, reference: &str) -> Result<String, NetError> {
    #[cfg(target_arch = "wasm32")]
    return crate::wit::http::join(base, reference).map_err(NetError::from);
    #[cfg(not(target_arch = "wasm32"))]
    crate::fake::join(base, reference)
}

/// Scheme, host and port in one text, to compare: `https://api.example.com:443`. None if it is no
/// URL with a host.
pub fn origin(url: &str) -> Option<String> {
    let url = usual(url)?;
    let Parts {
        scheme, authority, ..
    } = Parts::of(&url)?;
    let (host, port) = host_and_port(authority)?;
    let port = port.or(match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    });
    let port = port.unwrap_or(0);
    Some(format!("{scheme}://{host}:{port}"))
}

/// The host of a URL in lower case; none where [`origin`] has none.
pub(crate) fn host(url: &str) -> Option<String> {
    let origin = origin(url)?;
    let (_, host) = origin.split_once("://")?;
    host.rsplit_once(':').map(|(host, _)| host.to_owned())
}

/// The path of a URL, at least `/`.
pub(crate) fn path(url: &str) -> String {
    let url = usual(url);
    let path = url
        .as_deref()
        .and_then(Parts::of)
        .and_then(|parts| parts.rest.split(['?', '#']).next())
        .unwrap_or_default();
    if path.is_empty() { "/" } else { path }.to_owned()
}

pub(crate) fn is_https(url: &str) -> bool {
    usual(url).is_some_and(|url| url.starts_with("https://"))
}

/// Returns the URL in its usual spelling, in which a text has one meaning.
fn usual(url: &str) -> Option<String> {
    resolve(url, "").ok()
}

/// `scheme://authority` and the rest, which begins with `/`, `?` or `#` or is empty.
struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, behind) = url.split_once("://")?;
        let (authority, rest) =
            behind.split_at(behind.find(['/', '?', '#']).unwrap_or(behind.len()));
        Some(Self {
            scheme,
            authority,
            rest,
        })
    }
}

/// Host and port of a URL or of `host:port`. An IPv6 address comes without its brackets.
pub fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let authority = match Parts::of(text) {
        Some(parts) => parts.authority,
        None => text.split(['/', '?', '#']).next()?,
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_with_one_slash() {
        for (base, path, wanted) in [
            ("https://a.example", "/health", "https://a.example/health"),
            ("https://a.example/", "health", "https://a.example/health"),
            (
                "https://a.example/v2/",
                "/health",
                "https://a.example/v2/health",
            ),
            (
                "https://a.example/v2?key=1",
                "health",
                "https://a.example/v2/health?key=1",
            ),
            (
                "https://a.example/v2?key=1",
                "health?deep=1",
                "https://a.example/v2/health?deep=1",
            ),
            (
                "https://a.example/v2",
                "?deep=1",
                "https://a.example/v2?deep=1",
            ),
            ("https://a.example", "", "https://a.example"),
            (
                "https://a.example",
                "https://b.example/x",
                "https://b.example/x",
            ),
            (
                "https://a.example",
                "HTTP://b.example/x",
                "HTTP://b.example/x",
            ),
            (
                "http://127.0.0.1:18100",
                "/probe?target=https://shop.example/health",
                "http://127.0.0.1:18100/probe?target=https://shop.example/health",
            ),
            (
                "https://a.example",
                "ftp://b.example/x",
                "https://a.example/ftp://b.example/x",
            ),
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
            ("//g", "http://g/"),
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
            assert_eq!(
                resolve("http://a/b/c/d;p?q", reference).as_deref(),
                Ok(wanted),
                "{reference}"
            );
        }
        assert_eq!(resolve("http://a", "g").as_deref(), Ok("http://a/g"));
        for (base, reference) in [("a", "b"), ("http://a", "http://[")] {
            assert!(matches!(
                resolve(base, reference),
                Err(NetError::Protocol(_))
            ));
        }
    }

    #[test]
    fn tells_origins_apart() {
        assert_eq!(
            origin("https://A.example/x"),
            origin("https://a.example:443/y")
        );
        assert_ne!(origin("https://a.example"), origin("http://a.example"));
        assert_ne!(
            origin("https://a.example"),
            origin("https://a.example:8443")
        );
        assert_eq!(
            origin("http://user@[::1]/x").as_deref(),
            Some("http://::1:80")
        );
        for spelling in ["https://a%2eexample/", "https://A\u{3002}example"] {
            assert_eq!(origin(spelling), origin("https://a.example"), "{spelling}");
        }
        for none in ["mailto:a@b.example", "a.example", "***"] {
            assert_eq!(origin(none), None, "{none}");
        }
    }

    #[test]
    fn no_spelling_makes_another_host_look_like_the_own_one() {
        let base = "https://a.example/in";
        for (reference, wanted) in [
            (
                "https://evil.example\\@a.example/",
                "https://evil.example:443",
            ),
            ("https:\\\\evil.example/", "https://evil.example:443"),
            ("\\\\evil.example/@a.example", "https://evil.example:443"),
            ("/\\evil.example/", "https://evil.example:443"),
            ("\\/evil.example", "https://evil.example:443"),
            ("/\t/evil.example", "https://evil.example:443"),
            ("\u{1} https://evil.example/", "https://evil.example:443"),
            ("ht\ntps://evil.example/", "https://evil.example:443"),
            ("https:////evil.example", "https://evil.example:443"),
            ("https:///evil.example/", "https://evil.example:443"),
            ("http:/evil.example/", "http://evil.example:80"),
            ("http:evil.example/", "http://evil.example:80"),
            (
                "https://a.example:8443\\@a.example/",
                "https://a.example:8443",
            ),
            (
                "https://a.example@evil.example/",
                "https://evil.example:443",
            ),
            (
                "https://evil.example#@a.example",
                "https://evil.example:443",
            ),
            (
                "https://evil.example?@a.example",
                "https://evil.example:443",
            ),
            ("https:/evil.example/", "https://a.example:443"),
            ("https:evil.example/", "https://a.example:443"),
            ("/evil.example\\@x", "https://a.example:443"),
        ] {
            let target = resolve(base, reference).unwrap();
            assert_eq!(
                origin(&target).as_deref(),
                Some(wanted),
                "{reference:?} is {target:?}"
            );
        }
        assert_eq!(
            resolve(base, "up\\er?x=\\y").as_deref(),
            Ok("https://a.example/up/er?x=\\y")
        );
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

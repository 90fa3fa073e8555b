//! The little a plugin needs to know of URLs: joining a base with a path, resolving a redirect,
//! taking a host out. Where a text can be read in two ways, it is read as the host reads it, which
//! is as browsers do (URL standard of WHATWG).

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

/// Resolves a reference such as a `Location` header against the URL it came from. A backslash is a
/// slash, as browsers have it.
pub fn resolve(base: &str, reference: &str) -> String {
    let reference = clean(reference);
    let Some(base) = Parts::of(base) else {
        return reference;
    };
    let relative = match split_scheme(&reference) {
        None => reference.as_str(),
        // `https:path` and `https:/path` stay with the host.
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(&base.scheme) => rest,
        Some(_) => {
            return Parts::of(&reference).map_or_else(|| reference.clone(), |parts| parts.text());
        }
    };
    let is_slash = |character: char| matches!(character, '/' | '\\');
    let mut start = relative.chars();
    match (start.next(), start.next()) {
        (Some(first), Some(second)) if is_slash(first) && is_slash(second) => {
            Parts::after_scheme(&base.scheme, relative).text()
        }
        (Some(first), _) if is_slash(first) => base.with_path(&without_dots(&slashes(relative))),
        (None, _) => base.with_path(base.rest.split('#').next().unwrap_or_default()),
        (Some('#'), _) => base.with_path(&format!(
            "{}{relative}",
            base.rest.split('#').next().unwrap_or_default()
        )),
        (Some('?'), _) => base.with_path(&format!("{}{relative}", base.path())),
        (Some(_), _) => {
            let path = base.path();
            let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
            let folder = if folder.is_empty() { "/" } else { folder };
            base.with_path(&without_dots(&format!("{folder}{}", slashes(relative))))
        }
    }
}

/// Scheme, host and port in one text, to compare: `https://api.example.com:443`. None if it is no URL, or one whose host can be
/// written in more than one way.
pub fn origin(url: &str) -> Option<String> {
    let parts = Parts::of(url)?;
    let (host, port) = host_and_port(&parts.authority)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if !host.chars().all(is_plain) {
        return None;
    }
    let port = port.or(match parts.scheme.as_str() {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    });
    Some(format!(
        "{}://{}:{}",
        parts.scheme,
        host.to_ascii_lowercase(),
        port.unwrap_or(0)
    ))
}

/// The host of a URL in lower case; none where [`origin`] has none.
pub(crate) fn host(url: &str) -> Option<String> {
    let origin = origin(url)?;
    let (_, host) = origin.split_once("://")?;
    host.rsplit_once(':').map(|(host, _)| host.to_owned())
}

/// The path of a URL, at least `/`.
pub(crate) fn path(url: &str) -> String {
    let path = Parts::of(url)
        .map(|parts| parts.path().to_owned())
        .unwrap_or_default();
    if path.is_empty() {
        "/".to_owned()
    } else {
        path
    }
}

pub(crate) fn is_https(url: &str) -> bool {
    Parts::of(url).is_some_and(|parts| parts.scheme == "https")
}

/// `scheme://authority` and the rest, which begins with `/`, `?` or `#` or is empty.
struct Parts {
    scheme: String,
    authority: String,
    rest: String,
}

impl Parts {
    fn of(url: &str) -> Option<Self> {
        let url = clean(url);
        let (scheme, rest) = split_scheme(&url)?;
        let scheme = scheme.to_ascii_lowercase();
        if !is_web(&scheme) && !rest.starts_with("//") {
            return None;
        }
        Some(Self::after_scheme(&scheme, rest))
    }

    /// Any number of slashes of either kind stands between scheme and host; either kind ends the
    /// host.
    fn after_scheme(scheme: &str, rest: &str) -> Self {
        let is_end = |c: char| matches!(c, '/' | '?' | '#') || (c == '\\' && is_web(scheme));
        let rest = match is_web(scheme) {
            true => rest.trim_start_matches(['/', '\\']),
            false => rest.strip_prefix("//").unwrap_or(rest),
        };
        let (authority, rest) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
        let rest = if is_web(scheme) {
            slashes(rest)
        } else {
            rest.to_owned()
        };
        Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            rest,
        }
    }

    /// Returns the path, without query and fragment.
    fn path(&self) -> &str {
        self.rest.split(['?', '#']).next().unwrap_or_default()
    }

    fn with_path(&self, rest: &str) -> String {
        format!("{}://{}{rest}", self.scheme, self.authority)
    }

    fn text(&self) -> String {
        self.with_path(&self.rest)
    }
}

fn is_web(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

/// Removes what browsers remove: spaces and control characters around it, tabs and line breaks
/// inside.
fn clean(text: &str) -> String {
    let text = text.trim_matches(|c: char| c <= ' ');
    text.chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect()
}

/// Backslashes in front of the query as slashes.
fn slashes(rest: &str) -> String {
    let (path, behind) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
    format!("{}{behind}", path.replace('\\', "/"))
}

/// Host and port of a URL or of `host:port`. An IPv6 address comes without its brackets.
pub fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let parts = Parts::of(text);
    let authority = parts
        .as_ref()
        .map_or(text, |parts| &parts.authority)
        .split(['/', '?', '#'])
        .next()?;
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

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&c));
    is_scheme.then_some((scheme, rest))
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
            assert_eq!(
                resolve("http://a/b/c/d;p?q", reference),
                wanted,
                "{reference}"
            );
        }
        assert_eq!(resolve("http://a", "g"), "http://a/g");
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
        for unsure in [
            "https://a%2eexample/",
            "https://bücher.example/",
            "https://a\u{3002}example/",
            "mailto:a@b.example",
        ] {
            assert_eq!(origin(unsure), None, "{unsure}");
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
            let target = resolve(base, reference);
            assert_eq!(
                origin(&target).as_deref(),
                Some(wanted),
                "{reference:?} is {target:?}"
            );
        }
        assert_eq!(
            resolve(base, "up\\er?x=\\y"),
            "https://a.example/up/er?x=\\y"
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

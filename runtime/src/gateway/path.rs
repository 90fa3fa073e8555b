//! Paths of calls: what can't be read in one way only is refused, and what is left is compared with
//! the patterns of the service.

use percent_encoding::percent_decode_str;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AmbiguousPath(pub(super) &'static str);

/// Longest path with its query.
pub(super) const MAX_PATH_BYTES: usize = 16 * 1024;

/// Returns the segments of a path as the vendor will read them. What servers are known to read in
/// more than one way (dot segments, encoded slashes, parameters behind dots) is refused.
pub(super) fn segments(path: &str) -> Result<Vec<String>, AmbiguousPath> {
    let refuse = |text| Err(AmbiguousPath(text));
    let Some(rest) = path.strip_prefix('/') else {
        return refuse("does not begin with `/`");
    };
    if path.contains('\\') {
        return refuse("holds a `\\`");
    }
    if has_broken_escape(path) {
        return refuse("holds a `%` without two hexadecimal digits");
    }
    let mut segments = Vec::new();
    for segment in rest.split('/') {
        let Ok(text) = percent_decode_str(segment).decode_utf8() else {
            return refuse("is not UTF-8");
        };
        if text.contains(['/', '\\']) {
            return refuse("holds an encoded `/` or `\\`");
        }
        if text.chars().any(char::is_control) {
            return refuse("holds a control character");
        }
        let name = text.split(';').next().unwrap_or_default().trim();
        if matches!(name, "." | "..") {
            return refuse("has a segment `.` or `..`");
        }
        if is_encoded_again(&text) {
            return refuse("is encoded twice");
        }
        segments.push(text.into_owned());
    }
    Ok(segments)
}

fn has_broken_escape(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.match_indices('%').any(|(at, _)| {
        !bytes
            .get(at + 1..at + 3)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// A server that decodes once more would find a slash or a dot segment.
fn is_encoded_again(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["%2e", "%2f", "%5c", "%00", "%25"]
        .iter()
        .any(|escape| lower.contains(escape))
}

/// Patterns of the paths that pass.
#[derive(Debug, Clone)]
pub(super) struct PathPatterns(Vec<Vec<String>>);

impl PathPatterns {
    pub(super) fn new(patterns: &[String]) -> Self {
        let parts = |pattern: &String| {
            let rest = pattern.strip_prefix('/').unwrap_or(pattern);
            rest.split('/').map(str::to_owned).collect()
        };
        Self(patterns.iter().map(parts).collect())
    }

    pub(super) fn allow(&self, segments: &[String]) -> bool {
        self.0.iter().any(|pattern| matches(pattern, segments))
    }
}

/// A `*` is one segment; the last one is all that follows, at least one.
fn matches(pattern: &[String], segments: &[String]) -> bool {
    let fits = |(part, segment): (&String, &String)| part == "*" || part == segment;
    match pattern.split_last() {
        Some((last, before)) if last == "*" => {
            segments.len() > before.len() && before.iter().zip(segments).all(fits)
        }
        _ => pattern.len() == segments.len() && pattern.iter().zip(segments).all(fits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_read_in_two_ways_is_refused() {
        for path in [
            "v1",
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1/.%2E/admin",
            "/v1/./x",
            "/v1/..;/admin",
            "/v1/..;x=1/admin",
            "/v1%2fadmin",
            "/v1%2Fadmin",
            "/v1%5cadmin",
            "/v1\\admin",
            "/v1%00",
            "/v1/%252e%252e/admin",
            "/v1%252fadmin",
            "/v1/%",
            "/v1/%2",
            "/v1/%zz",
            "/v1/%ff",
            "/v1/%0d%0ax",
            "/v1/%2e%2e%3b/x",
        ] {
            assert!(segments(path).is_err(), "{path}");
        }
        for (path, wanted) in [
            ("/", vec![""]),
            ("/v1/a%20b", vec!["v1", "a b"]),
            ("/v1/...", vec!["v1", "..."]),
            ("/v1//x", vec!["v1", "", "x"]),
            ("/%761/x;y=1", vec!["v1", "x;y=1"]),
            ("/v1/100%25", vec!["v1", "100%"]),
        ] {
            assert_eq!(segments(path).unwrap(), wanted, "{path}");
        }
    }

    #[test]
    fn patterns_match_whole_segments() {
        for (pattern, path, wanted) in [
            ("/v1/*", "/v1/a/b", true),
            ("/v1/*", "/v1/", true),
            ("/v1/*", "/v1", false),
            ("/v1/*", "/v10/a", false),
            ("/*", "/", true),
            ("/v1/*/invoices", "/v1/7/invoices", true),
            ("/v1/*/invoices", "/v1/7/8/invoices", false),
            ("/v1/*/invoices", "/v1/7/invoices/8", false),
            ("/v1/a", "/v1/a", true),
            ("/v1/a", "/v1/a/", false),
            ("/v1/a", "/V1/a", false),
            ("/v1/a", "/%76%31/a", true),
        ] {
            let patterns = PathPatterns::new(&[pattern.to_owned()]);
            let segments = segments(path).unwrap();
            assert_eq!(patterns.allow(&segments), wanted, "{pattern} {path}");
        }
    }
}

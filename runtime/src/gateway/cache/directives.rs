//! `Cache-Control` (RFC 9111, 5.2) and other headers that state how long an answer may be used.

use std::time::Duration;

use http::header::{CACHE_CONTROL, DATE, EXPIRES, PRAGMA};
use http::{HeaderMap, HeaderName};

use crate::domain::UnixMillis;

/// Longest time that is counted.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// Directives of a message, by their names in lower case.
#[derive(Debug, Default)]
pub(super) struct Directives(Vec<(String, Option<String>)>);

impl Directives {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut found = Vec::new();
        for value in headers.get_all(CACHE_CONTROL) {
            // What can't be read may have forbidden to keep it.
            match value.to_str() {
                Ok(text) => parts(text).for_each(|part| found.extend(directive(part))),
                Err(_) => found.push(("no-store".to_owned(), None)),
            }
        }
        let is_old = headers
            .get_all(PRAGMA)
            .iter()
            .any(|value| value.as_bytes().eq_ignore_ascii_case(b"no-cache"));
        if found.is_empty() && is_old {
            found.push(("no-cache".to_owned(), None));
        }
        Self(found)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Seconds of a directive; one that can't be read, or is there twice, is none at all.
    pub(super) fn seconds(&self, name: &str) -> Option<Duration> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        let (_, value) = values.next()?;
        if values.any(|(_, other)| other != value) {
            return Some(Duration::ZERO);
        }
        let seconds = value.as_deref().and_then(seconds);
        Some(seconds.unwrap_or_default())
    }
}

/// Digits, however many.
pub(super) fn seconds(text: &str) -> Option<Duration> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = text.parse().map_or(LONGEST, Duration::from_secs);
    Some(seconds.min(LONGEST))
}

/// Parts between commas that are not within quotes.
pub(super) fn parts(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter| {
        if std::mem::take(&mut is_escaped) {
            return false;
        }
        match letter {
            '"' => is_quoted = !is_quoted,
            '\\' if is_quoted => is_escaped = true,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

fn directive(part: &str) -> Option<(String, Option<String>)> {
    let (name, value) = match part.split_once('=') {
        Some((name, value)) => (name, Some(value.trim().trim_matches('"').to_owned())),
        None => (part, None),
    };
    let name = name.trim().to_ascii_lowercase();
    (!name.is_empty()).then_some((name, value))
}

/// Returns how long an answer is fresh from when it was made (RFC 9111, 4.2.1, for shared caches).
/// Nothing is guessed: without a statement it is zero.
pub(super) fn lifetime(
    directives: &Directives,
    headers: &HeaderMap,
    now_ms: UnixMillis,
) -> Duration {
    let stated = ["s-maxage", "max-age"];
    if let Some(stated) = stated.iter().find_map(|name| directives.seconds(name)) {
        return stated;
    }
    let mut expires = headers.get_all(EXPIRES).iter();
    match (expires.next(), expires.next()) {
        (Some(_), None) => {
            let made_ms = moment_ms(headers, &DATE).unwrap_or(now_ms);
            let until_ms = moment_ms(headers, &EXPIRES).unwrap_or(made_ms);
            between(made_ms, until_ms).min(LONGEST)
        }
        _ => Duration::ZERO,
    }
}

/// Reads a date.
pub(super) fn moment_ms(headers: &HeaderMap, name: &HeaderName) -> Option<UnixMillis> {
    let moment = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// Zero if the second one is not later.
pub(super) fn between(from_ms: UnixMillis, to_ms: UnixMillis) -> Duration {
    let ms = to_ms.saturating_sub(from_ms);
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn directives_are_read_whatever_their_letters_and_quotes() {
        let read = Directives::of(&headers(&[
            (
                "cache-control",
                "No-Store , PRIVATE=\"set-cookie, max-age=9\"",
            ),
            ("cache-control", "s-maxage = \"30\",, x=\"a\\\", no-cache\""),
        ]));
        assert!(read.has("no-store") && read.has("private") && read.has("x"));
        assert!(!read.has("max-age") && !read.has("no-cache"));
        assert_eq!(read.seconds("s-maxage"), Some(Duration::from_secs(30)));
        let pragma = headers(&[("pragma", "No-Cache")]);
        assert!(Directives::of(&pragma).has("no-cache"));
        let both = headers(&[("pragma", "no-cache"), ("cache-control", "max-age=1")]);
        assert!(!Directives::of(&both).has("no-cache"));
    }

    #[test]
    fn an_answer_is_fresh_for_as_long_as_it_states_and_no_longer() {
        const NOW_MS: i64 = 1_700_000_000_000;
        for (lines, wanted) in [
            (&[("cache-control", "max-age=60")][..], 60),
            (&[("cache-control", "max-age=60, s-maxage=5")], 5),
            (&[("cache-control", "max-age=60, max-age=60")], 60),
            (&[("cache-control", "max-age=60, max-age=50")], 0),
            (&[("cache-control", "max-age=-1")], 0),
            (&[("cache-control", "max-age=1.5")], 0),
            (&[("cache-control", "max-age")], 0),
            (
                &[("cache-control", "max-age=99999999999999999999999")],
                366 * 86_400,
            ),
            (
                &[
                    ("date", "Tue, 14 Nov 2023 22:00:00 GMT"),
                    ("expires", "Tue, 14 Nov 2023 22:01:30 GMT"),
                ],
                90,
            ),
            (
                &[
                    ("date", "Tue, 14 Nov 2023 22:00:00 GMT"),
                    ("expires", "Tue, 14 Nov 2023 21:00:00 GMT"),
                ],
                0,
            ),
            // The moment of arrival where there is no date: 22:13:20.
            (&[("expires", "Tue, 14 Nov 2023 22:13:25 GMT")], 5),
            (&[("expires", "0")], 0),
            (
                &[
                    ("cache-control", "max-age=0"),
                    ("expires", "Tue, 14 Nov 2033 22:13:25 GMT"),
                ],
                0,
            ),
            (&[("last-modified", "Tue, 14 Nov 2013 22:13:25 GMT")], 0),
            (&[], 0),
        ] {
            let headers = headers(lines);
            let found = lifetime(&Directives::of(&headers), &headers, NOW_MS);
            assert_eq!(found, Duration::from_secs(wanted), "{lines:?}");
        }
    }
}

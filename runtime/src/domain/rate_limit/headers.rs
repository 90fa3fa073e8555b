//! Rate limits in the headers of an answer: the IETF's structured fields `RateLimit` and
//! `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, from 03 on), the
//! `RateLimit-Limit/-Remaining/-Reset` of its first drafts, the `X-RateLimit-*` that vendors had
//! before them, and `Retry-After` (RFC 9110) of a refusal.
//!
//! A reset is told in many ways: seconds from now, seconds or milliseconds since 1970, a duration
//! such as `6m0s`, a date. What can't be read is left out; nothing here fails.

use super::{MAX_RATE_LIMITS, RateLimit};
use crate::domain::UnixMillis;

const DEFAULT: &str = "default";

/// Characters of a name that are kept.
const NAME: usize = 64;

/// A reset further away than this is no reset; also keeps the arithmetic in bounds.
const LONGEST_MS: i64 = 400 * 86_400_000;

/// Numbers from here on are seconds since 1970 (2001-09-09); a window of 31 years has not been
/// seen.
const EPOCH_SECONDS: f64 = 1e9;
const EPOCH_MILLIS: f64 = 1e12;

/// Prefixes of the vendors' headers, in lower case.
const PREFIXES: [&str; 4] = [
    "x-ratelimit-",
    "x-rate-limit-",
    "anthropic-ratelimit-",
    "ratelimit-",
];

/// What the headers of one answer say, each limit once. `host` is who was asked; names of headers
/// are in lower case.
pub fn read_rate_limits(
    host: &str,
    status: u16,
    headers: &[(String, String)],
    now_ms: UnixMillis,
) -> Vec<RateLimit> {
    let mut found = Found {
        host,
        now_ms,
        limits: Vec::new(),
    };
    structured(&mut found, headers);
    separate(&mut found, headers);
    call_limit(&mut found, headers);
    retry_after(&mut found, status, headers);
    let mut limits = found.limits;
    limits.retain(|limit| limit.remaining.is_some() || limit.quota.is_some());
    limits
}

struct Found<'a> {
    host: &'a str,
    now_ms: UnixMillis,
    limits: Vec<RateLimit>,
}

impl Found<'_> {
    fn limit(&mut self, name: &str) -> Option<&mut RateLimit> {
        let name: String = name
            .chars()
            .filter(|c| !c.is_control())
            .take(NAME)
            .collect();
        let name = if name.is_empty() {
            DEFAULT.to_owned()
        } else {
            name
        };
        let position = self.limits.iter().position(|limit| limit.name == name);
        let position = match position {
            Some(position) => position,
            None if self.limits.len() < MAX_RATE_LIMITS => {
                let host = self.host.to_owned();
                let blank = RateLimit {
                    ts_ms: self.now_ms,
                    host,
                    name,
                    quota: None,
                    remaining: None,
                    reset_ms: None,
                    window_ms: None,
                };
                self.limits.push(blank);
                self.limits.len() - 1
            }
            None => return None,
        };
        self.limits.get_mut(position)
    }
}

fn values<'a>(headers: &'a [(String, String)], name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .iter()
        .filter(move |(header, _)| header == name)
        .map(|(_, value)| value.trim())
}

/// `RateLimit: "core";r=50;t=30` and `RateLimit-Policy: "core";q=100;w=60`; before draft 08
/// `limit=100, remaining=50, reset=30` and `100;w=60`.
fn structured(found: &mut Found<'_>, headers: &[(String, String)]) {
    let now_ms = found.now_ms;
    for value in values(headers, "ratelimit-policy") {
        for item in split(value, ',') {
            let (name, parameters) = item_of(item);
            let quota = parameter(&parameters, "q").and_then(whole);
            // The quota itself was the item, and the name not yet there.
            let (name, quota) = match whole(name) {
                Some(number) => (DEFAULT, quota.or(Some(number))),
                None => (name, quota),
            };
            let Some(limit) = found.limit(name) else {
                return;
            };
            limit.quota = limit.quota.or(quota);
            limit.window_ms = parameter(&parameters, "w")
                .and_then(whole)
                .map(|seconds| seconds.saturating_mul(1_000));
        }
    }
    for value in values(headers, "ratelimit") {
        let items: Vec<&str> = split(value, ',').collect();
        let is_dictionary = items
            .iter()
            .any(|item| item.starts_with("remaining=") || item.starts_with("limit="));
        if is_dictionary {
            let pairs: Vec<(&str, &str)> = items
                .iter()
                .filter_map(|item| item.split_once('='))
                .collect();
            // One policy: it names the limit.
            let name = match found.limits.as_slice() {
                [only] => only.name.clone(),
                _ => DEFAULT.to_owned(),
            };
            let Some(limit) = found.limit(&name) else {
                return;
            };
            limit.quota = parameter(&pairs, "limit").and_then(whole).or(limit.quota);
            limit.remaining = parameter(&pairs, "remaining").and_then(whole);
            limit.reset_ms = parameter(&pairs, "reset").and_then(|reset| moment(reset, now_ms));
            continue;
        }
        for item in items {
            let (name, parameters) = item_of(item);
            let Some(limit) = found.limit(name) else {
                return;
            };
            limit.remaining = parameter(&parameters, "r").and_then(whole);
            limit.reset_ms = parameter(&parameters, "t")
                .and_then(|reset| moment(reset, now_ms))
                .or(limit.reset_ms);
            limit.quota = limit.quota.or(parameter(&parameters, "q").and_then(whole));
        }
    }
}

/// `"name";a=1;b=2`: the bare item and its parameters.
fn item_of(item: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = split(item, ';');
    let name = parts.next().unwrap_or_default().trim_matches('"');
    (
        name,
        parts.filter_map(|part| part.split_once('=')).collect(),
    )
}

fn parameter<'a>(pairs: &[(&str, &'a str)], key: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

/// At a separator that stands in no quotes; parts without the space around them.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

/// One header for each figure: `X-RateLimit-Remaining`, `x-ratelimit-remaining-tokens`,
/// `anthropic-ratelimit-tokens-remaining`.
fn separate(found: &mut Found<'_>, headers: &[(String, String)]) {
    let now_ms = found.now_ms;
    // Vendors who have several say which one in a header of its own.
    let named = [
        "x-ratelimit-resource",
        "x-ratelimit-bucket",
        "x-ratelimit-scope",
        "x-ratelimit-name",
    ];
    let named = named
        .iter()
        .find_map(|header| values(headers, header).next())
        .unwrap_or(DEFAULT);
    for (header, value) in headers {
        let Some(rest) = PREFIXES
            .iter()
            .find_map(|prefix| header.strip_prefix(prefix))
        else {
            continue;
        };
        let Some((figure, name)) = figure_of(rest) else {
            continue;
        };
        let name = if name.is_empty() { named } else { name };
        // `100, 100;w=60`: the first is the limit, the others are policies.
        let first = split(value, ',').next().unwrap_or_default();
        let first = split(first, ';').next().unwrap_or_default();
        // A header that says nothing makes no limit.
        let number = whole(first);
        let reset_ms = moment(value.trim(), now_ms);
        if number.is_none() && reset_ms.is_none() {
            continue;
        }
        let Some(limit) = found.limit(name) else {
            return;
        };
        match figure {
            Figure::Limit => {
                limit.quota = limit.quota.or(number);
                let policy = split(value, ',')
                    .find_map(|item| parameter(&item_of(item).1, "w").and_then(whole));
                limit.window_ms = limit
                    .window_ms
                    .or(policy.map(|seconds| seconds.saturating_mul(1_000)));
            }
            Figure::Remaining => limit.remaining = limit.remaining.or(number),
            // What is told from now is exact where it stands beside a moment by the service's
            // clock.
            Figure::ResetAfter => limit.reset_ms = reset_ms,
            Figure::Reset => limit.reset_ms = limit.reset_ms.or(reset_ms),
        }
    }
}

#[derive(Clone, Copy)]
enum Figure {
    Limit,
    Remaining,
    Reset,
    ResetAfter,
}

/// What follows the prefix: the figure first or last, and the limit's name in what is left.
fn figure_of(rest: &str) -> Option<(Figure, &str)> {
    const FIGURES: [(&str, Figure); 4] = [
        ("reset-after", Figure::ResetAfter),
        ("remaining", Figure::Remaining),
        ("limit", Figure::Limit),
        ("reset", Figure::Reset),
    ];
    FIGURES.iter().find_map(|(word, figure)| {
        let name = match (rest.strip_prefix(word), rest.strip_suffix(word)) {
            (Some(""), _) => "",
            (Some(after), _) => after.strip_prefix('-')?,
            (None, Some(before)) => before.strip_suffix('-')?,
            (None, None) => return None,
        };
        Some((*figure, name))
    })
}

/// `X-Shopify-Shop-Api-Call-Limit: 32/40`: used of how many.
fn call_limit(found: &mut Found<'_>, headers: &[(String, String)]) {
    for value in values(headers, "x-shopify-shop-api-call-limit") {
        let Some((used, most)) = value.split_once('/') else {
            continue;
        };
        let (Some(used), Some(most)) = (whole(used.trim()), whole(most.trim())) else {
            continue;
        };
        let Some(limit) = found.limit("shop-api-call") else {
            return;
        };
        (limit.quota, limit.remaining) = (Some(most), Some(most.saturating_sub(used)));
    }
}

/// A refusal says that nothing is left, and until when.
fn retry_after(found: &mut Found<'_>, status: u16, headers: &[(String, String)]) {
    if !matches!(status, 429 | 503) {
        return;
    }
    let now_ms = found.now_ms;
    let until_ms = values(headers, "retry-after").find_map(|value| moment(value, now_ms));
    if found.limits.iter().any(|limit| limit.remaining == Some(0)) {
        return;
    }
    // Out of order is not out of quota, unless it is said when to come again.
    if status == 503 && until_ms.is_none() {
        return;
    }
    let name = match found.limits.as_slice() {
        [only] => only.name.clone(),
        [] => DEFAULT.to_owned(),
        // Which of them ran out is not said.
        _ => "retry-after".to_owned(),
    };
    let Some(limit) = found.limit(&name) else {
        return;
    };
    limit.remaining = Some(0);
    limit.reset_ms = until_ms.or(limit.reset_ms);
}

/// Vendors write `50` and `50.0`.
fn whole(text: &str) -> Option<u64> {
    let text = text.trim_matches('"');
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.is_finite() && (0.0..9e15).contains(&number)).then_some(number as u64)
    })
}

/// A moment in any of the spellings.
fn moment(text: &str, now_ms: UnixMillis) -> Option<UnixMillis> {
    let moment_ms = match text.parse::<f64>() {
        Ok(number) if !number.is_finite() || number < 0.0 => return None,
        Ok(number) if number >= EPOCH_MILLIS => number as i64,
        Ok(number) if number >= EPOCH_SECONDS => (number * 1_000.0).round() as i64,
        Ok(number) => now_ms.saturating_add((number * 1_000.0).round() as i64),
        Err(_) => match duration_ms(text) {
            Some(ms) => now_ms.saturating_add(ms),
            None => date_ms(text)?,
        },
    };
    (moment_ms.abs_diff(now_ms) <= LONGEST_MS.unsigned_abs()).then_some(moment_ms)
}

/// `6m0s`, `1h2m`, `20ms`, `1.5s`.
fn duration_ms(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total_ms = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|length| *length > 0)?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        total_ms += number
            * match &rest[..unit] {
                "us" => 0.001,
                "ms" => 1.0,
                "s" => 1_000.0,
                "m" => 60_000.0,
                "h" => 3_600_000.0,
                "d" => 86_400_000.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (!text.is_empty() && total_ms < LONGEST_MS as f64).then_some(total_ms as i64)
}

/// RFC 3339, or the date of HTTP.
fn date_ms(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    jiff::fmt::rfc2822::parse(text)
        .ok()
        .map(|date| date.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-01T00:00:00Z
    const NOW_MS: i64 = 1_767_225_600_000;

    /// Each as `name limit/remaining reset window`, in seconds from now; `-` where nothing is
    /// known.
    fn read(status: u16, headers: &[(&str, &str)]) -> Vec<String> {
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let shown = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        read_rate_limits("api.example.com", status, &headers, NOW_MS)
            .into_iter()
            .map(|limit| {
                let reset = limit.reset_ms.map_or("-".to_owned(), |ms| {
                    format!("{}", (ms - NOW_MS) as f64 / 1_000.0)
                });
                let window = shown(limit.window_ms.map(|ms| ms / 1_000));
                format!(
                    "{} {}/{} {reset} {window}",
                    limit.name,
                    shown(limit.quota),
                    shown(limit.remaining)
                )
            })
            .collect()
    }

    #[test]
    fn every_spelling_is_read() {
        type Case = (
            &'static str,
            u16,
            &'static [(&'static str, &'static str)],
            &'static [&'static str],
        );
        let cases: [Case; 24] = [
            (
                "structured fields",
                200,
                &[
                    (
                        "ratelimit-policy",
                        r#""burst";q=100;w=60, "daily";q=1000;w=86400"#,
                    ),
                    ("ratelimit", r#""burst";r=20;t=30,"daily";r=900;t=40000"#),
                ],
                &["burst 100/20 30 60", "daily 1000/900 40000 86400"],
            ),
            (
                "a name with a comma",
                200,
                &[("ratelimit", r#""a,b;c";r=1"#)],
                &["a,b;c -/1 - -"],
            ),
            (
                "draft 07",
                200,
                &[
                    ("ratelimit-policy", "100;w=60"),
                    ("ratelimit", "limit=100, remaining=50, reset=5"),
                ],
                &["default 100/50 5 60"],
            ),
            (
                "the first drafts",
                200,
                &[
                    ("ratelimit-limit", "10, 10;w=1, 50;w=60"),
                    ("ratelimit-remaining", "9"),
                    ("ratelimit-reset", "1"),
                ],
                &["default 10/9 1 1"],
            ),
            (
                "GitHub: seconds since 1970, and a name",
                200,
                &[
                    ("x-ratelimit-limit", "5000"),
                    ("x-ratelimit-remaining", "4987"),
                    ("x-ratelimit-reset", "1767229200"),
                    ("x-ratelimit-used", "13"),
                    ("x-ratelimit-resource", "core"),
                ],
                &["core 5000/4987 3600 -"],
            ),
            (
                "milliseconds since 1970",
                200,
                &[
                    ("x-ratelimit-remaining", "3"),
                    ("x-ratelimit-reset", "1767225660000"),
                ],
                &["default -/3 60 -"],
            ),
            (
                "seconds from now",
                200,
                &[
                    ("x-rate-limit-limit", "600"),
                    ("x-rate-limit-remaining", "599"),
                    ("x-rate-limit-reset", "17"),
                ],
                &["default 600/599 17 -"],
            ),
            (
                "Discord: both, with fractions",
                200,
                &[
                    ("x-ratelimit-limit", "5"),
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", "1767225700.123"),
                    ("x-ratelimit-reset-after", "64.57"),
                    ("x-ratelimit-bucket", "80c17d"),
                ],
                &["80c17d 5/0 64.57 -"],
            ),
            (
                "several, by duration",
                200,
                &[
                    ("x-ratelimit-limit-requests", "60"),
                    ("x-ratelimit-limit-tokens", "150000"),
                    ("x-ratelimit-remaining-requests", "59"),
                    ("x-ratelimit-remaining-tokens", "149984"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
                &["requests 60/59 1 -", "tokens 150000/149984 360 -"],
            ),
            (
                "several, by date",
                200,
                &[
                    ("anthropic-ratelimit-input-tokens-limit", "4000"),
                    ("anthropic-ratelimit-input-tokens-remaining", "3999"),
                    (
                        "anthropic-ratelimit-input-tokens-reset",
                        "2026-01-01T00:00:30Z",
                    ),
                ],
                &["input-tokens 4000/3999 30 -"],
            ),
            (
                "used of how many",
                200,
                &[("x-shopify-shop-api-call-limit", "32/40")],
                &["shop-api-call 40/8 - -"],
            ),
            (
                "a refusal",
                429,
                &[("retry-after", "120")],
                &["default -/0 120 -"],
            ),
            ("a refusal without a moment", 429, &[], &["default -/0 - -"]),
            (
                "a refusal by date",
                503,
                &[("retry-after", "Thu, 01 Jan 2026 00:01:00 GMT")],
                &["default -/0 60 -"],
            ),
            ("out of order", 503, &[], &[]),
            (
                "a refusal with a limit beside it",
                429,
                &[("x-ratelimit-limit", "9"), ("retry-after", "4")],
                &["default 9/0 4 -"],
            ),
            (
                "an answer that is none",
                200,
                &[("retry-after", "120")],
                &[],
            ),
            (
                "which of two ran out is not said",
                429,
                &[
                    ("x-ratelimit-remaining-a", "1"),
                    ("x-ratelimit-remaining-b", "2"),
                    ("retry-after", "3"),
                ],
                &["a -/1 - -", "b -/2 - -", "retry-after -/0 3 -"],
            ),
            (
                "20 ms",
                200,
                &[
                    ("x-ratelimit-remaining", "1"),
                    ("x-ratelimit-reset", "20ms"),
                ],
                &["default -/1 0.02 -"],
            ),
            (
                "no reset far away",
                200,
                &[
                    ("x-ratelimit-remaining", "1"),
                    ("x-ratelimit-reset", "9e14"),
                ],
                &["default -/1 - -"],
            ),
            (
                "a fraction",
                200,
                &[("x-ratelimit-remaining", "49.0")],
                &["default -/49 - -"],
            ),
            ("a reset alone", 200, &[("x-ratelimit-reset", "60")], &[]),
            (
                "rubbish",
                200,
                &[
                    ("x-ratelimit-remaining", "plenty"),
                    ("ratelimit", ";;=,"),
                    ("ratelimit-policy", "\""),
                ],
                &[],
            ),
            ("nothing", 200, &[("content-type", "text/plain")], &[]),
        ];
        for (name, status, headers, wanted) in cases {
            assert_eq!(read(status, headers), wanted, "{name}");
        }
    }

    #[test]
    fn names_and_numbers_of_limits_are_bounded() {
        let headers: Vec<(String, String)> = (0..100)
            .map(|n| {
                (
                    format!("x-ratelimit-remaining-{n}{}", "x".repeat(200)),
                    "1".to_owned(),
                )
            })
            .collect();
        let found = read_rate_limits("a", 200, &headers, NOW_MS);
        assert_eq!(found.len(), MAX_RATE_LIMITS);
        assert!(found.iter().all(|limit| limit.name.len() <= NAME));
    }

    #[test]
    fn the_last_reading_of_a_run_counts() {
        let of = |remaining: &str| {
            read_rate_limits(
                "a",
                200,
                &[("x-ratelimit-remaining".to_owned(), remaining.to_owned())],
                NOW_MS,
            )
        };
        let mut kept = of("5");
        super::super::keep_latest(&mut kept, of("4"));
        assert_eq!(kept, of("4"));
    }

    proptest! {
        #[test]
        fn nothing_a_service_sends_breaks_the_reader(name in "(ratelimit|ratelimit-policy|x-ratelimit-reset|retry-after)", value in "\\PC{0,60}") {
            for limit in read_rate_limits("a", 429, &[(name, value)], NOW_MS) {
                if let Some(reset_ms) = limit.reset_ms {
                    prop_assert!((reset_ms - NOW_MS).abs() <= LONGEST_MS);
                }
            }
        }
    }
}

//! Rate limits in the headers of an answer: the IETF's structured fields `RateLimit` and
//! `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers, from 03 on), the
//! `RateLimit-Limit/-Remaining/-Reset` of its first drafts, the `X-RateLimit-*` that vendors had
//! before them, and `Retry-After` (RFC 9110) of a refusal.
//!
//! A reset is written in many ways: seconds from now, seconds or milliseconds since 1970, a
//! duration such as `6m0s`, a date. What can't be read is left out; nothing here fails.

#[cfg(test)]
mod tests;

use super::{MAX_RATE_LIMITS, RateLimit};
use crate::domain::UnixMillis;

const DEFAULT: &str = "default";

/// Characters of a name that are kept.
const NAME: usize = 64;

/// A reset further away than this is no reset; also keeps the arithmetic in bounds.
const MAX_RESET_MS: i64 = 400 * 86_400_000;

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

/// Reads the limits in the headers of one answer, each limit once. `host` is who was asked; names
/// of headers are in lower case.
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

/// Splits at a separator that stands in no quotes; parts without the space around them.
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
    // Vendors who have several name the one in a header of its own.
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
        // A header without a value makes no limit.
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
            // A time counted from now is exact where it stands beside a moment by the service's
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

/// Splits what follows the prefix: the figure first or last, and the limit's name in what is left.
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

/// Reads a refusal: nothing is left, until a moment.
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
    (moment_ms.abs_diff(now_ms) <= MAX_RESET_MS.unsigned_abs()).then_some(moment_ms)
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
    (!text.is_empty() && total_ms < MAX_RESET_MS as f64).then_some(total_ms as i64)
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
